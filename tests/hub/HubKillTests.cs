using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Agent.Tests.Hub;

/// <summary>
/// The hub as a process of its own, under load through its own ports, killed with SIGKILL twenty times over the same folder: what a
/// client was told is done must be there, and nothing that nobody asked for. Each writer has one request under way at a time, so
/// after a kill the truth is what was acknowledged, or that and the one request more.
/// </summary>
[Collection(RealTime.Name)]
public sealed class HubKillTests
{
    private const int Rounds = 20;
    private const int Registrars = 3;
    private const int Reporters = 2;
    private const int MessagesPerRoundMax = 30;

    private readonly Dictionary<string, Truth> identities = new(StringComparer.Ordinal);
    private readonly Truth[] desired = [new(0), new(0)];
    private readonly Truth[] reported = [new(0), new(0)];
    private readonly List<int> sent = [];
    private int? sending;
    private int nextMessage;
    private long acknowledged;

    [Fact]
    public async Task Nothing_acknowledged_is_lost_by_kill_9_under_load()
    {
        using var folder = new HubFolder();
        var random = new Random(20);
        for (int round = 0; round < Rounds; round++)
        {
            await using HubProcess hub = await HubProcess.StartAsync(folder.Path, devices: 3);
            await CheckAsync(hub);
            using var ending = new CancellationTokenSource();
            Task[] load =
            [
                .. Enumerable.Range(0, Registrars).Select(i => RunAsync(() => RegisterAsync(hub, i, round), ending.Token)),
                .. Enumerable.Range(0, Reporters).Select(i => RunAsync(() => ChangeTwinAsync(hub, i), ending.Token)),
                .. Enumerable.Range(0, Reporters).Select(i => ReportAsync(hub, i, ending.Token)),
                RunAsync(() => SendAsync(hub), ending.Token),
            ];
            await Task.Delay(random.Next(150, 700));
            hub.Kill();
            await ending.CancelAsync();
            await Task.WhenAll(load);
        }

        await using HubProcess last = await HubProcess.StartAsync(folder.Path, devices: 3);
        await CheckAsync(last);
        Assert.True(acknowledged > Rounds * 20, $"only {acknowledged} writes were acknowledged");
    }

    private static async Task RunAsync(Func<Task<bool>> write, CancellationToken ending)
    {
        try
        {
            while (!ending.IsCancellationRequested && await write())
            {
            }
        }
        catch (Exception exception) when (
            exception is HttpRequestException or IOException or OperationCanceledException or SocketException)
        {
            // The hub is gone, which is the point; HttpClient lets a socket's own exception through where it dies as it connects.
        }
    }

    /// <summary>Makes an identity, changes it a few times, deletes it, makes it anew.</summary>
    private async Task<bool> RegisterAsync(HubProcess hub, int writer, int round)
    {
        string id = string.Create(CultureInfo.InvariantCulture, $"kept-{writer}-{round % 4}");
        Truth truth;
        lock (identities)
        {
            truth = identities.TryGetValue(id, out Truth? known) ? known : identities[id] = new Truth(-1);
        }

        int next = truth.Done == 5 ? -1 : truth.Done + 1;
        truth.Trying = next;
        HttpStatusCode status = next < 0
            ? await hub.DeleteAsync($"/devices/{id}")
            : await hub.PutAsync(
                $"/devices/{id}", new { deviceId = id, status = "enabled", statusReason = $"n{next}" }, ifMatch: next > 0);
        Assert.Equal(next < 0 ? HttpStatusCode.NoContent : HttpStatusCode.OK, status);
        truth.Settle();
        Interlocked.Increment(ref acknowledged);
        return true;
    }

    private async Task<bool> ChangeTwinAsync(HubProcess hub, int index)
    {
        Truth truth = desired[index];
        truth.Trying = truth.Done + 1;
        Assert.Equal(HttpStatusCode.OK, await hub.PatchAsync(
            $"/twins/{hub.DeviceId(index)}", new { properties = new { desired = new { n = truth.Trying } } }));
        truth.Settle();
        Interlocked.Increment(ref acknowledged);
        return true;
    }

    private async Task ReportAsync(HubProcess hub, int index, CancellationToken ending)
    {
        await using TestDevice device = await hub.ConnectAsync(index);
        await device.SubscribeAsync(0, "$iothub/twin/res/#");
        await RunAsync(
            async () =>
            {
                Truth truth = reported[index];
                truth.Trying = truth.Done + 1;
                await device.PublishOnceAsync(
                    "$iothub/twin/PATCH/properties/reported/?$rid=1",
                    string.Create(CultureInfo.InvariantCulture, $"{{\"n\":{truth.Trying}}}"));
                (byte type, byte[] body) = await device.ReadAsync();
                if (type == 0)
                {
                    return false;
                }

                Assert.Contains("/res/204/", Encoding.UTF8.GetString(body), StringComparison.Ordinal);
                truth.Settle();
                Interlocked.Increment(ref acknowledged);
                return true;
            },
            ending);
    }

    /// <summary>Messages to the third device, which reads them only after the next start.</summary>
    private async Task<bool> SendAsync(HubProcess hub)
    {
        if (sent.Count >= MessagesPerRoundMax)
        {
            return false;
        }

        sending = nextMessage++;
        await hub.SendAsync(hub.DeviceId(2), sending.Value.ToString(CultureInfo.InvariantCulture));
        sent.Add(sending.Value);
        sending = null;
        Interlocked.Increment(ref acknowledged);
        return true;
    }

    private async Task CheckAsync(HubProcess hub)
    {
        foreach ((string id, Truth truth) in identities)
        {
            JsonElement? found = await hub.FindAsync($"/devices/{id}");
            string? reason = found?.GetProperty("statusReason").GetString();
            truth.Meet(reason is null ? -1 : int.Parse(reason[1..], CultureInfo.InvariantCulture));
        }

        for (int i = 0; i < Reporters; i++)
        {
            JsonElement properties = (await hub.FindAsync($"/twins/{hub.DeviceId(i)}"))!.Value.GetProperty("properties");
            desired[i].Meet(Number(properties.GetProperty("desired")));
            reported[i].Meet(Number(properties.GetProperty("reported")));
        }

        int count = (await hub.FindAsync($"/devices/{hub.DeviceId(2)}"))!.Value.GetProperty("cloudToDeviceMessageCount").GetInt32();
        var received = new List<int>();
        await using TestDevice device = await hub.ConnectAsync(2);
        await device.SubscribeAsync(1, $"devices/{hub.DeviceId(2)}/messages/devicebound/#");
        while (received.Count < count)
        {
            (byte[] packet, _) = await device.ReadPublishAsync();
            received.Add(int.Parse(TestDevice.BodyOf(packet), CultureInfo.InvariantCulture));
            await device.SendPubackAsync(packet);
        }

        // What was acknowledged to the hub before a kill may come again; what was acknowledged to the sender must come.
        Assert.Empty(sent.Except(received));
        Assert.True(received.All(number => number < nextMessage));
        await HubRig.WaitAsync(
            () => hub.FindAsync($"/devices/{hub.DeviceId(2)}").GetAwaiter().GetResult()!.Value
                .GetProperty("cloudToDeviceMessageCount").GetInt32() == 0,
            seconds: 10);
        sent.Clear();
        sending = null;
    }

    private static int Number(JsonElement section) => section.TryGetProperty("n", out JsonElement n) ? n.GetInt32() : 0;

    /// <summary>A value with one writer.</summary>
    private sealed class Truth(int done)
    {
        public int Done { get; private set; } = done;

        public int Trying { get; set; } = done;

        public void Settle() => Done = Trying;

        /// <summary>What is there after a kill must be what was acknowledged, or what was under way.</summary>
        public void Meet(int found)
        {
            Assert.True(found == Done || found == Trying, $"{found} is there, {Done} was acknowledged and {Trying} under way");
            Done = Trying = found;
        }
    }
}
