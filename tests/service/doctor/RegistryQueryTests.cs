using System.Net;
using Agent.Hub;
using Agent.Service.Doctor;
using Agent.Tests.Wire;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Agent.Tests.Service.Doctor;

/// <summary>The registry, asked over TLS and answered by a server that does what the test says.</summary>
[Collection(RealTime.Name)]
public sealed class RegistryQueryTests : IAsyncDisposable
{
    private const string Text = "HostName=localhost;SharedAccessKeyName=registryRead;SharedAccessKey=c2VjcmV0IGtleSBvZiB0aGVzZSB0ZXN0cw==";

    private WebApplication? server;
    private Func<HttpContext, Task> answer = _ => Task.CompletedTask;

    [Fact]
    public async Task A_device_is_read_with_its_twin_and_the_clock_of_the_hub()
    {
        var asked = new List<string>();
        answer = context =>
        {
            asked.Add($"{context.Request.Path}{context.Request.QueryString}");
            return context.Response.WriteAsync(context.Request.Path.StartsWithSegments("/twins")
                ? """{"properties":{"reported":{"$metadata":{"$lastUpdated":"2026-03-01T11:00:00Z"},"$version":4}}}"""
                : """
                  {"deviceId":"device-0001","status":"disabled","statusReason":"stolen","connectionState":"Disconnected",
                   "lastActivityTime":"0001-01-01T00:00:00Z","cloudToDeviceMessageCount":7,
                   "authentication":{"type":"sas","symmetricKey":{"primaryKey":"never shown"}}}
                  """);
        };

        RegistryAnswer found = await AskAsync("device-0001");

        Assert.Equal(["/devices/device-0001?api-version=2021-04-12", "/twins/device-0001?api-version=2021-04-12"], asked);
        Assert.Equal((RegistryOutcome.Found, false, "stolen"), (found.Outcome, found.IsEnabled, found.StatusReason));
        Assert.Equal(("Disconnected", "sas", 7), (found.ConnectionState, found.AuthenticationType, found.WaitingCommands));
        Assert.Null(found.LastActivityMs);
        Assert.Equal(DateTimeOffset.Parse("2026-03-01T11:00:00Z").ToUnixTimeMilliseconds(), found.LastReportedMs);
        Assert.InRange(found.HubAheadMs!.Value, -10_000, 10_000);
    }

    [Fact]
    public async Task The_token_is_the_one_the_local_hub_would_make()
    {
        string token = "";
        answer = context =>
        {
            token = context.Request.Headers.Authorization.ToString();
            context.Response.StatusCode = 404;
            return Task.CompletedTask;
        };

        RegistryAnswer found = await AskAsync("x");

        Assert.Equal(RegistryOutcome.NotFound, found.Outcome);
        long expiry = long.Parse(token.Split("&se=")[1].Split('&')[0]);
        byte[] key = Convert.FromBase64String(Text.Split("SharedAccessKey=")[1]);
        Assert.Equal(SasTokenWriter.Write("localhost", key, expiry, "registryRead"), token);
        Assert.InRange(expiry - DateTimeOffset.UtcNow.ToUnixTimeSeconds(), 200, 300);
    }

    [Theory]
    [InlineData(401, RegistryOutcome.Refused)]
    [InlineData(403, RegistryOutcome.Refused)]
    [InlineData(404, RegistryOutcome.NotFound)]
    [InlineData(429, RegistryOutcome.Throttled)]
    [InlineData(500, RegistryOutcome.Failed)]
    [InlineData(302, RegistryOutcome.Failed)]
    public async Task An_answer_means(int status, RegistryOutcome outcome)
    {
        answer = context =>
        {
            context.Response.StatusCode = status;
            return Task.CompletedTask;
        };

        Assert.Equal(outcome, (await AskAsync("x")).Outcome);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("\"device\"")]
    public async Task What_is_no_device_is_a_failure_and_no_exception(string body)
    {
        answer = context => context.Response.WriteAsync(body);

        Assert.Equal(RegistryOutcome.Failed, (await AskAsync("x")).Outcome);
    }

    [Theory]
    [InlineData("""{"status":1,"authentication":"sas","cloudToDeviceMessageCount":"many","lastActivityTime":{}}""")]
    [InlineData("""{"authentication":{"type":[]},"cloudToDeviceMessageCount":1e300,"properties":7}""")]
    public async Task Members_of_the_wrong_kind_count_as_missing(string body)
    {
        answer = context => context.Response.WriteAsync(body);

        RegistryAnswer found = await AskAsync("x");

        Assert.Equal(
            (RegistryOutcome.Found, false, "", 0), (found.Outcome, found.IsEnabled, found.AuthenticationType, found.WaitingCommands));
    }

    [Fact]
    public async Task A_body_without_end_and_a_server_without_answer_are_left()
    {
        answer = async context =>
        {
            byte[] block = new byte[1 << 16];
            for (int i = 0; i < 64; i++)
            {
                await context.Response.Body.WriteAsync(block);
            }
        };
        Assert.Equal(RegistryOutcome.Unreachable, (await AskAsync("x")).Outcome);

        answer = context => Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted).ContinueWith(_ => { });
        RegistryAnswer silent = await AskAsync("x", withinMs: 1000);
        Assert.Equal((RegistryOutcome.Unreachable, "no answer in time"), (silent.Outcome, silent.Problem));
    }

    [Fact]
    public async Task The_whole_examination_finds_a_disabled_device_behind_a_good_port()
    {
        answer = context => context.Response.WriteAsync("""{"status":"disabled","authentication":{"type":"sas"}}""");
        int port = await StartAsync();

        Diagnosis diagnosis = await DeviceDoctor.ExamineAsync(
            new DoctorRequest
            {
                DeviceId = "device-0001",
                Connection = Connection(),
                MqttPort = port,
                HttpsPort = port,
                Roots = TestCertificates.Shared.Roots,
            },
            device: null, fleet: null, checkerProblem: null, CancellationToken.None);

        Assert.Equal(1, diagnosis.ExitCode);
        Assert.Equal(StepVerdict.Trouble, diagnosis.Steps.Single(step => step.Id == "enabled").Verdict);
        Assert.Equal(StepVerdict.Good, diagnosis.Steps.Single(step => step.Id == "port8883").Verdict);
        Assert.DoesNotContain("c2VjcmV0", DoctorText.Json(diagnosis) + DoctorText.Text(diagnosis), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("HostName=localhost")]
    [InlineData("HostName=localhost;DeviceId=x;SharedAccessKey=c2VjcmV0a2V5")]
    [InlineData("HostName=local host;SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0a2V5")]
    [InlineData("HostName=localhost;SharedAccessKeyName=a;SharedAccessKey=*c2VjcmV0a2V5")]
    [InlineData("HostName=localhost;HostName=localhost;SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0a2V5")]
    [InlineData("c2VjcmV0a2V5")]
    public void What_is_no_service_connection_string_is_refused_without_repeating_it(string text)
    {
        Assert.False(ServiceConnection.TryParse(text, out _, out string problem));

        Assert.StartsWith("connection string: ", problem, StringComparison.Ordinal);
        Assert.DoesNotContain("c2VjcmV0a2V5", problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("device-0001", true)]
    [InlineData("a/b", false)]
    [InlineData("a b", false)]
    [InlineData("Gerät", false)]
    public void A_device_id_is_checked_before_anybody_is_asked(string id, bool isGood) =>
        Assert.Equal(isGood, new DoctorRequest { DeviceId = id }.FindProblem() is null);

    public async ValueTask DisposeAsync()
    {
        if (server is not null)
        {
            using var now = new CancellationTokenSource();
            await now.CancelAsync();
            await server.StopAsync(now.Token);
            await server.DisposeAsync();
        }
    }

    private static ServiceConnection Connection()
    {
        Assert.True(ServiceConnection.TryParse(Text, out ServiceConnection? connection, out string problem), problem);
        Assert.Equal("localhost (registryRead)", $"{connection}");
        return connection!;
    }

    private async Task<RegistryAnswer> AskAsync(string deviceId, int withinMs = 20_000)
    {
        int port = await StartAsync();
        using var query = new RegistryQuery(
            Connection(), port, TestCertificates.Shared.Roots, TimeProvider.System, TimeSpan.FromMilliseconds(withinMs));
        return await query.AskAsync(deviceId, CancellationToken.None);
    }

    private async Task<int> StartAsync()
    {
        if (server is null)
        {
            WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseKestrelHttpsConfiguration();
            builder.WebHost.ConfigureKestrel(kestrel =>
                kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(TestCertificates.Shared.Server)));
            server = builder.Build();
            server.Run(context => answer(context));
            await server.StartAsync();
        }

        return new Uri(server.Urls.First()).Port;
    }
}
