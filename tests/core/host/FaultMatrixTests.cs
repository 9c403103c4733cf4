using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Agent.Core;
using Agent.Hub;
using Agent.Tests.Hub;

namespace Agent.Tests.Host;

/// <summary>
/// Faults made on real sockets, against the local hub where it can make them, and what the black box calls them. The output is
/// a confusion matrix; only its diagonal may be filled.
/// </summary>
[Collection(RealTime.Name)]
public sealed class FaultMatrixTests(ITestOutputHelper output)
{
    private static readonly (DisconnectReason Injected, Func<Task<DisconnectReason>> Make)[] Faults =
    [
        (DisconnectReason.NameNotResolved, () => FailingAsync(AgentRun.Text("no-such-host.invalid"), 8883)),
        (DisconnectReason.TcpRefused, () => FailingAsync(AgentRun.Text("localhost"), port: 1)),
        (DisconnectReason.TcpTimedOut, TcpTimedOutAsync),
        (DisconnectReason.PortBlocked, PortBlockedAsync),
        (DisconnectReason.TlsWrongRoot, () => CertificateAsync(trusted: false)),
        (DisconnectReason.TlsWrongName, () => CertificateAsync(host: "127.0.0.1")),
        (DisconnectReason.TlsWrongClock, () => CertificateAsync(validFromDays: -8)),
        (DisconnectReason.TlsFailed, () => GateAsync(GateMode.Close)),
        (DisconnectReason.SilentPeer, () => GateAsync(GateMode.Silent)),
        (DisconnectReason.RefusedProtocolVersion, () => RefusedAsync(1)),
        (DisconnectReason.RefusedIdentifier, () => RefusedAsync(2)),
        (DisconnectReason.RefusedUnavailable, () => RefusedAsync(3)),
        (DisconnectReason.RefusedCredentials, () => RefusedAsync(4)),
        (DisconnectReason.RefusedNotAuthorized, WrongKeyAsync),
        (DisconnectReason.RefusedOther, RefusedOtherAsync),
        (DisconnectReason.ClockSkew, ClockSkewAsync),
        (DisconnectReason.TokenExpired, TokenExpiredAsync),
        (DisconnectReason.HubClosedAtExpiry, ExpiryAsync),
        (DisconnectReason.TakenOver, TakenOverAsync),
        (DisconnectReason.KeepAliveLost, () => FrozenAsync(Core.Build.Settings(heartbeat: 0, keepAlive: 5))),
        (DisconnectReason.SilentPeer, () => FrozenAsync(Core.Build.Settings(heartbeat: 3, keepAlive: 1000))),
        (DisconnectReason.PublishNotAcknowledged, NotAcknowledgedAsync),
        (DisconnectReason.Throttled, () => OnHubAsync((hub, device) => hub.SetQuotaGone(device, true), heartbeat: 1, closes: 2)),
        (DisconnectReason.Disabled, () => OnHubAsync((hub, device) => hub.SetEnabled(device, false), closes: 1, refusals: 3)),
        (DisconnectReason.ConnectionReset, () => OnHubAsync((hub, device) => hub.Drop(device, reset: true), closes: 1)),
        (DisconnectReason.ClosedByPeer, () => OnHubAsync((hub, device) => hub.Drop(device, reset: false), closes: 1)),
        (DisconnectReason.ProtocolViolation, ViolationAsync),
        (DisconnectReason.PlannedRenewal, () => MethodAsync("renewNow", "renewed")),
        (DisconnectReason.SettingsChange, SettingsChangeAsync),
        (DisconnectReason.Reboot, () => MethodAsync("reboot", "restart asked for")),
        (DisconnectReason.Stopped, StoppedAsync),
        (DisconnectReason.Restarted, () => EndedAsync(null)),
        (DisconnectReason.Crash, () => EndedAsync(new InvalidOperationException("planted"))),
        (DisconnectReason.OutOfMemory, () => EndedAsync(new OutOfMemoryException("planted"))),
        (DisconnectReason.NetworkLost, () => ToldAsync((core, now) => core.OnNetworkLost(now, true), "no network")),
        (DisconnectReason.NoAddress, () => ToldAsync((core, now) => core.OnNetworkLost(now, false), "no network")),
        (DisconnectReason.Watchdog, () => ToldAsync((core, now) => core.OnFatal(now, DisconnectReason.Watchdog), null)),
        (DisconnectReason.TlsNoMemory, TlsNoMemoryAsync),
    ];

    [Fact]
    public async Task Every_injected_fault_is_called_by_its_name()
    {
        (DisconnectReason Injected, string Seen)[] cells = await Task.WhenAll(Faults.Select(async fault =>
        {
            try
            {
                return (fault.Injected, DisconnectReasonText.Of(await fault.Make()));
            }
            catch (Exception failed) when (failed is not OutOfMemoryException)
            {
                return (fault.Injected, $"({failed.GetType().Name} {failed.Message.Split('\n')[0]})");
            }
        }));
        output.WriteLine($"{"injected",-57}seen");
        foreach ((DisconnectReason injected, string seen) in cells.OrderBy(cell => cell.Injected))
        {
            string mark = seen == DisconnectReasonText.Of(injected) ? "" : "   <-- not this";
            output.WriteLine($"0x{(int)injected:X2} {DisconnectReasonText.Of(injected),-52}{seen}{mark}");
        }

        int right = cells.Count(cell => cell.Seen == DisconnectReasonText.Of(cell.Injected));
        output.WriteLine($"{right} of {cells.Length} on the diagonal, {cells.Select(cell => cell.Injected).Distinct().Count()} reasons");
        Assert.All(cells, cell => Assert.Equal(DisconnectReasonText.Of(cell.Injected), cell.Seen));
    }

    private static async Task<DisconnectReason> FailingAsync(
        string text, int port, X509Certificate2Collection? roots = null, int probePort = 1, int dialSeconds = 30, int failures = 1)
    {
        await using AgentRun agent = new(text, roots, port, probePort: probePort, dialSeconds: dialSeconds);
        for (int i = 0; i < failures; i++)
        {
            await agent.LineAsync("failed:");
        }

        return await NewestAsync(agent);
    }

    private static async Task<DisconnectReason> NewestAsync(AgentRun agent) => await agent.AskAsync(core =>
    {
        BlackBoxEntry entry = new();
        return core.BlackBox.TryReadBelow(int.MaxValue, entry) ? entry.Reason : DisconnectReason.None;
    });

    private static async Task<DisconnectReason> TcpTimedOutAsync()
    {
        using Socket hole = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        hole.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        hole.Listen(0);
        Socket[] fill = [.. Enumerable.Range(0, 3)
            .Select(_ => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))];
        foreach (Socket socket in fill)
        {
            // With the queue full, further SYNs are dropped.
            _ = socket.ConnectAsync(hole.LocalEndPoint!).ContinueWith(_ => { }, TaskScheduler.Default);
        }

        await Task.Delay(200);
        DisconnectReason seen = await FailingAsync(
            AgentRun.Text("127.0.0.1"), ((IPEndPoint)hole.LocalEndPoint!).Port, dialSeconds: 2);
        Array.ForEach(fill, socket => socket.Dispose());
        return seen;
    }

    private static async Task<DisconnectReason> PortBlockedAsync()
    {
        using TcpListener https = new(IPAddress.Loopback, 0);
        https.Start();
        return await FailingAsync(
            AgentRun.Text("localhost"), port: 1, probePort: ((IPEndPoint)https.LocalEndpoint).Port, failures: 3);
    }

    private static async Task<DisconnectReason> CertificateAsync(string host = "localhost", bool trusted = true, int validFromDays = 0)
    {
        await using FakeHub hub = new(validFromDays);
        return await FailingAsync(AgentRun.Text(host), hub.Port, trusted ? hub.Roots : null);
    }

    private static async Task<DisconnectReason> GateAsync(GateMode mode)
    {
        await using FaultGate gate = new(0, mode);
        return await FailingAsync(AgentRun.Text("localhost"), gate.Port, dialSeconds: 3);
    }

    private static async Task<DisconnectReason> RefusedAsync(byte code)
    {
        await using FakeHub hub = new() { Code = code };
        return await FailingAsync(AgentRun.Text("localhost"), hub.Port, hub.Roots);
    }

    /// <summary>
    /// The PC's codec ends a connection over a CONNACK code above 5, which MQTT 3.1.1 reserves; M2Mqtt passes it on, and so the agent
    /// is told as the board's driver tells it.
    /// </summary>
    private static async Task<DisconnectReason> RefusedOtherAsync()
    {
        await using FaultGate gate = new(0, GateMode.Hold);
        await using AgentRun agent = new(AgentRun.Text("localhost"), null, gate.Port);
        await agent.LineAsync("connecting");
        agent.Driver.Do((core, now) => core.OnRefused(now, 6));
        await agent.LineAsync("failed:");
        return await NewestAsync(agent);
    }

    private static AgentRun OnHub(HubRig hub, TokenSettings settings, int? port = null, TimeProvider? time = null, byte[]? key = null)
    {
        Device device = hub.Server.Registry.Devices[0];
        X509Certificate2Collection roots = [X509CertificateLoader.LoadCertificateFromFile(hub.Server.Data.AuthorityPath)];
        string text = $"HostName=localhost;DeviceId={device.Id};SharedAccessKey={Convert.ToBase64String(key ?? device.PrimaryKey)}";
        return new AgentRun(text, roots, port ?? hub.Server.EndPoint.Port, settings, time: time);
    }

    private static async Task<DisconnectReason> WrongKeyAsync()
    {
        await using HubRig hub = new();
        await using AgentRun agent = OnHub(hub, Core.Build.Settings(heartbeat: 0), key: new byte[32]);
        await agent.LineAsync("failed:");
        return await NewestAsync(agent);
    }

    private static async Task<DisconnectReason> ClockSkewAsync()
    {
        await using HubRig hub = new();
        ShiftedTime clock = new();
        await using AgentRun agent = OnHub(
            hub, Core.Build.Settings(heartbeat: 0, lifetime: 600), time: new Offset(clock, TimeSpan.FromHours(-2)));
        await agent.LineAsync("failed: refused");
        clock.Advance(TimeSpan.FromHours(2));
        agent.Driver.Do((_, _) => { }); // a turn, in which the step is seen
        await agent.LineAsync("connected");
        return await NewestAsync(agent);
    }

    /// <summary>The token is good when the attempt begins; while TLS waits the clock is set right, and it has run out.</summary>
    private static async Task<DisconnectReason> TokenExpiredAsync()
    {
        await using FakeHub hub = new() { Code = 5 };
        await using FaultGate gate = new(hub.Port, GateMode.Hold);
        ShiftedTime clock = new();
        await using AgentRun agent = new(
            AgentRun.Text("localhost"), hub.Roots, gate.Port, Core.Build.Settings(heartbeat: 0, lifetime: 600),
            time: new Offset(clock, TimeSpan.FromHours(-2)));
        await agent.LineAsync("connecting");
        clock.Advance(TimeSpan.FromHours(2));
        gate.Mode = GateMode.Forward;
        await agent.LineAsync("failed: ");
        return await NewestAsync(agent);
    }

    /// <summary>A PC has memory for TLS always; that it has none is told to the agent as the board's driver tells it.</summary>
    private static async Task<DisconnectReason> TlsNoMemoryAsync()
    {
        await using FaultGate gate = new(0, GateMode.Hold);
        await using AgentRun agent = new(AgentRun.Text("localhost"), null, gate.Port);
        await agent.LineAsync("connecting");
        await agent.AskAsync(core =>
        {
            core.NoteMemory(40_000, 9_000);
            return true;
        });
        gate.Mode = GateMode.Close;
        await agent.LineAsync("failed:");
        return await NewestAsync(agent);
    }

    /// <summary>An end on purpose is nothing to keep for the next start, which shows no entry; the session has it.</summary>
    private static async Task<DisconnectReason> StoppedAsync()
    {
        using HubFolder folder = new();
        await using FakeHub hub = new();
        AgentRun agent = new(AgentRun.Text("localhost"), hub.Roots, hub.Port, folder: folder.Path);
        await agent.LineAsync("acknowledged");
        await agent.StopAsync();
        DisconnectReason seen = agent.Driver.Agent.Session.LastReason;
        await using AgentRun next = new(AgentRun.Text("localhost"), hub.Roots, hub.Port, folder: folder.Path);
        await next.LineAsync("acknowledged");
        return await NewestAsync(next) == DisconnectReason.None ? seen : DisconnectReason.Unknown;
    }

    /// <summary>The renewal hangs in opening its second connection, and meanwhile the token runs out.</summary>
    private static async Task<DisconnectReason> ExpiryAsync()
    {
        await using HubRig hub = new(graceMs: 0);
        await using FaultGate gate = new(hub.Server.EndPoint.Port);
        await using AgentRun agent = OnHub(
            hub, Core.Build.Settings(lifetime: 10, percent: 20, spread: 0, heartbeat: 0, mode: RenewMode.Prewarm), gate.Port);
        await agent.LineAsync("connected");
        gate.Mode = GateMode.Silent;
        await agent.LineAsync("lost:");
        return await NewestAsync(agent);
    }

    private static async Task<DisconnectReason> TakenOverAsync()
    {
        await using HubRig hub = new();
        await using AgentRun agent = OnHub(hub, Core.Build.Settings(heartbeat: 0));
        for (int i = 0; i < ReasonClassifier.TakeoverCloses; i++)
        {
            await agent.LineAsync("connected");
            await using TestDevice rival = await TestDevice.ConnectAsync(hub.Server, 0);
            await agent.LineAsync("lost:");
        }

        return await NewestAsync(agent);
    }

    private static async Task<DisconnectReason> FrozenAsync(TokenSettings settings)
    {
        await using HubRig hub = new();
        await using FaultGate gate = new(hub.Server.EndPoint.Port);
        await using AgentRun agent = OnHub(hub, settings, gate.Port);
        await agent.LineAsync("connected");
        gate.Freeze();
        await agent.LineAsync("lost:");
        return await NewestAsync(agent);
    }

    private static async Task<DisconnectReason> NotAcknowledgedAsync()
    {
        await using FakeHub hub = new() { Acknowledges = false };
        await using AgentRun agent = new(AgentRun.Text("localhost"), hub.Roots, hub.Port, Core.Build.Settings(heartbeat: 1, keepAlive: 20));
        await agent.LineAsync("lost:");
        return await NewestAsync(agent);
    }

    private static async Task<DisconnectReason> OnHubAsync(Action<HubServer, Device> fault, int closes, int heartbeat = 0, int refusals = 0)
    {
        await using HubRig hub = new();
        await using AgentRun agent = OnHub(hub, Core.Build.Settings(heartbeat: heartbeat, backoffMax: 2));
        await agent.LineAsync("connected");
        fault(hub.Server, hub.Server.Registry.Devices[0]);
        for (int i = 0; i < closes; i++)
        {
            await agent.LineAsync("lost:");
        }

        for (int i = 0; i < refusals; i++)
        {
            await agent.LineAsync("failed:");
        }

        return await NewestAsync(agent);
    }

    private static async Task<DisconnectReason> ViolationAsync()
    {
        await using FakeHub hub = new();
        await using AgentRun agent = new(hub);
        await agent.LineAsync("connected");
        hub.SendSecondConnack();
        await agent.LineAsync("lost:");
        return await NewestAsync(agent);
    }

    private static async Task<DisconnectReason> MethodAsync(string method, string line)
    {
        await using FakeHub hub = new();
        await using AgentRun agent = new(hub);
        await agent.LineAsync("acknowledged");
        hub.Tell($"$iothub/methods/POST/{method}/?$rid=1", "");
        await agent.LineAsync(line);
        if (method == "reboot")
        {
            await agent.Ended;
            BlackBoxEntry entry = new();
            return agent.Driver.Agent.BlackBox.TryReadBelow(int.MaxValue, entry) ? entry.Reason : DisconnectReason.None;
        }

        return await NewestAsync(agent);
    }

    private static async Task<DisconnectReason> SettingsChangeAsync()
    {
        await using FakeHub hub = new();
        await using AgentRun agent = new(hub);
        await hub.Reports.Reader.ReadAsync();
        hub.Tell("$iothub/twin/PATCH/properties/desired/?$version=2", "{\"agent\":{\"keepAliveSeconds\":77},\"$version\":2}");
        await agent.LineAsync("renewing");
        await agent.LineAsync("connected");
        return await NewestAsync(agent);
    }

    /// <summary>The program dies; the next one reads what it left behind.</summary>
    private static async Task<DisconnectReason> EndedAsync(Exception? fault)
    {
        using HubFolder folder = new();
        await using FakeHub hub = new();
        AgentRun agent = new(AgentRun.Text("localhost"), hub.Roots, hub.Port, folder: folder.Path);
        await agent.LineAsync("acknowledged");
        if (fault is not null)
        {
            agent.Driver.Do((_, _) => throw fault);
            await Assert.ThrowsAsync(fault.GetType(), () => agent.Ended);
        }

        using HubFolder copy = new(); // what is on the disk at this moment, as after a power cut
        foreach (string file in Directory.GetFiles(folder.Path))
        {
            File.Copy(file, copy[Path.GetFileName(file)]);
        }

        await using AgentRun next = new(AgentRun.Text("localhost"), hub.Roots, hub.Port, folder: copy.Path);
        await next.LineAsync("acknowledged");
        DisconnectReason seen = await NewestAsync(next);
        if (fault is null)
        {
            await agent.DisposeAsync();
        }

        return seen;
    }

    /// <summary>A lost network and a hang, which a PC's driver cannot see: the agent is told as the board's driver tells it.</summary>
    private static async Task<DisconnectReason> ToldAsync(Action<DeviceAgent, Now> fault, string? line)
    {
        await using FakeHub hub = new();
        await using AgentRun agent = new(hub);
        await agent.LineAsync("acknowledged");
        agent.Driver.Do(fault);
        if (line is not null)
        {
            await agent.LineAsync(line);
        }

        return await NewestAsync(agent);
    }

    private sealed class Offset(TimeProvider inner, TimeSpan offset) : TimeProvider
    {
        public override long TimestampFrequency => System.TimestampFrequency;

        public override long GetTimestamp() => System.GetTimestamp();

        public override DateTimeOffset GetUtcNow() => inner.GetUtcNow() + offset;
    }
}
