using System.Net;
using System.Text;
using System.Text.Json;
using Agent.Service;
using Agent.Service.Alarms;
using Agent.Service.Doctor;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Agent.Tests.Service.Page;

/// <summary>A service whose clock stands where the test puts it, while its timers run.</summary>
internal sealed class PageRig : IAsyncDisposable
{
    public const string Key = "a key of more than sixteen characters";

    private readonly SetClock clock;
    private readonly string? folder;

    private PageRig(WebApplication application, SetClock clock, string? folder)
    {
        Application = application;
        this.clock = clock;
        this.folder = folder;
    }

    public WebApplication Application { get; }

    public HttpClient Client { get; } = new();

    public string Address => Application.Urls.First() + "/";

    /// <param name="isKeyAsked">Whether it asks for <see cref="Key"/>.</param>
    /// <param name="isTelling">Whether it has a destination, where it is quiet all day.</param>
    /// <param name="hub">The hub it may ask; null = none.</param>
    public static async Task<PageRig> StartAsync(bool isKeyAsked = false, bool isTelling = false, HubAccess? hub = null)
    {
        var clock = new SetClock();
        string? folder = isTelling ? Directory.CreateTempSubdirectory("page-").FullName : null;
        Assert.True(QuietHours.TryParse("00:00-23:59", TimeZoneInfo.Utc, out QuietHours? quiet, out _));
        var options = new ServiceOptions
        {
            Port = 0,
            Folder = folder,
            Liveness = Told.Settings,
            Key = isKeyAsked ? AccessKey.Of(Key) : null,
            Hub = hub,
            Alarms = !isTelling ? null : new AlarmSettings
            {
                Installation = "page",
                Destinations = [new Destination { Name = "ops", Url = new Uri("https://127.0.0.1:9/"), Quiet = quiet }],
            },
        };
        var rig = new PageRig(Server.Build(options, clock), clock, folder);
        await rig.Application.StartAsync();
        rig.Client.BaseAddress = new Uri(rig.Address);
        return rig;
    }

    public void MoveTo(double secondsFromStart) => clock.Seconds = secondsFromStart;

    public async Task PostAsync(params string[] events)
    {
        using var body = new StringContent("[" + string.Join(",", events) + "]", Encoding.UTF8, "application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, "/events") { Content = body };
        request.Headers.Add("x-agent-key", Key);
        using HttpResponseMessage answer = await Client.SendAsync(request);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    /// <summary>Heartbeats of many devices, past HTTP: what is tested is the page and not the way in.</summary>
    public async Task BeatAsync(int devices, Func<int, (string Id, int Interval, string? Site)> of)
    {
        var batch = new FactBatch();
        for (int i = 0; i < devices; i++)
        {
            (string id, int interval, string? site) = of(i);
            ref Fact fact = ref batch.Add(FactKind.Heartbeat, Encoding.ASCII.GetBytes(id), HubMessages.StartMs);
            fact.Number = 1;
            fact.IntervalSeconds = interval;
            if (site is not null)
            {
                batch.SetSite(ref fact, site);
            }
        }

        CheckLoop loop = Application.Services.GetRequiredService<CheckLoop>();
        Assert.Null(await loop.TakeAsync(batch, TimeSpan.FromMinutes(10)));
    }

    public async Task<JsonElement> GetAsync(string path)
    {
        using JsonDocument document = JsonDocument.Parse(await Client.GetStringAsync(path));
        return document.RootElement.Clone();
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Application.DisposeAsync();
        if (folder is not null && Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private sealed class SetClock : TimeProvider
    {
        private long ticks;

        public double Seconds
        {
            set => Interlocked.Exchange(ref ticks, TimeSpan.FromSeconds(value).Ticks);
        }

        public override DateTimeOffset GetUtcNow() => HubMessages.Start.AddTicks(Interlocked.Read(ref ticks));
    }
}
