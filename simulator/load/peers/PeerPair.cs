using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Agent.Verify;
using Agent.Wire;

namespace Agent.Load.Peers;

/// <summary>One client and one server, in processes of their own, kept for all rounds.</summary>
internal sealed class PeerPair : IAsyncDisposable
{
    private const int Single = 200;
    private const int Batched = 50;
    private const int BatchSize = 64;
    private const int OpenLoopPerSecond = 1000;
    private const int DialsAtOnce = 16;

    // The first thousands of connections of a process cost half as much again (facts/limits.md A2).
    private const int WarmUps = 3000;

    private readonly PeerRow row;
    private readonly Broker broker;
    private readonly Child fleet;
    private readonly PeerOptions options;
    private readonly ProcessFigures serverAtStart;

    private PeerPair(PeerRow row, Broker broker, Child fleet, PeerOptions options, ProcessFigures serverAtStart)
    {
        this.row = row;
        this.broker = broker;
        this.fleet = fleet;
        this.options = options;
        this.serverAtStart = serverAtStart;
    }

    /// <summary>What was measured so far.</summary>
    public List<PeerRow> Rounds { get; } = [];

    /// <summary>Starts both.</summary>
    public static async Task<PeerPair> StartAsync(string client, string server, string? mosquitto, PeerOptions options)
    {
        Broker broker = server switch
        {
            PeerBench.Mosquitto => await Broker.StartMosquittoAsync(mosquitto!).ConfigureAwait(false),
            PeerBench.Native => await Broker.StartHubAsync(options.Connections, TlsEngine.Native).ConfigureAwait(false),
            _ => await Broker.StartHubAsync(options.Connections, TlsEngine.Portable).ConfigureAwait(false),
        };
        try
        {
            Child fleet = await StartFleetAsync(client, broker, options.Connections).ConfigureAwait(false);
            ProcessFigures atStart = await broker.FiguresAsync(settle: true).ConfigureAwait(false);
            return new PeerPair(new PeerRow(client, server), broker, fleet, options, atStart);
        }
        catch
        {
            await broker.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Does everything once, so that what is measured later is compiled.</summary>
    public async Task WarmUpAsync()
    {
        for (int done = 0; done < WarmUps; done += options.Connections)
        {
            await fleet.AskAsync($"warm {options.Connections} {DialsAtOnce}").ConfigureAwait(false);
        }

        await fleet.AskAsync($"connect 0 {options.Connections} {DialsAtOnce}").ConfigureAwait(false);
        await fleet.AskAsync($"pump {Single} 1 {Text(options.Seconds)}").ConfigureAwait(false);
        await fleet.AskAsync($"pump {Batched} {BatchSize} {Text(options.Seconds)}").ConfigureAwait(false);
        await fleet.AskAsync("leave").ConfigureAwait(false);
    }

    /// <summary>One round: connect, hold, three kinds of messages, leave.</summary>
    /// <remarks>
    /// What can be told to gives memory back before it is weighed. It has that memory again before connects are timed: first
    /// touches of memory were a tenth of a connect, for those alone who had obeyed.
    /// </remarks>
    public async Task MeasureAsync()
    {
        ProcessFigures serverEmpty = await broker.FiguresAsync(settle: true).ConfigureAwait(false);
        JsonObject empty = await fleet.AskAsync("settle").ConfigureAwait(false);
        await fleet.AskAsync($"warm {options.Connections} {DialsAtOnce}").ConfigureAwait(false);
        ProcessFigures serverBefore = await broker.FiguresAsync(settle: false).ConfigureAwait(false);
        JsonObject before = await fleet.AskAsync("mark").ConfigureAwait(false);
        long begin = Stopwatch.GetTimestamp();
        JsonObject ramp = await fleet.AskAsync($"connect 0 {options.Connections} {DialsAtOnce}").ConfigureAwait(false);
        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        ProcessFigures serverAfter = await broker.FiguresAsync(settle: false).ConfigureAwait(false);
        ProcessFigures serverIdle = await broker.FiguresAsync(settle: true).ConfigureAwait(false);
        JsonObject idle = await fleet.AskAsync("settle").ConfigureAwait(false);

        (double Client, double Server, JsonObject Answer) single =
            await SendAsync($"pump {Single} 1 {Text(options.Seconds)}").ConfigureAwait(false);
        (double Client, double Server, JsonObject Answer) batched =
            await SendAsync($"pump {Batched} {BatchSize} {Text(options.Seconds)}").ConfigureAwait(false);
        (double Client, double Server, JsonObject Answer) open =
            await SendAsync($"send {OpenLoopPerSecond} {Text(options.Seconds)} 0").ConfigureAwait(false);
        await fleet.AskAsync("leave").ConfigureAwait(false);
        double count = options.Connections;
        Rounds.Add(row with
        {
            Connections = count,
            ConnectsPerSecond = count / seconds,
            ClientBytesPerConnection = ((long)idle["bytes"]! - (long)empty["bytes"]!) / count,
            ServerBytesPerConnection = (serverIdle.Bytes - (broker.GivesBack ? serverEmpty : serverAtStart).Bytes) / count,
            ClientCpuMicrosPerConnect = ((double)ramp["cpuMicros"]! - (double)before["cpuMicros"]!) / count,
            ServerCpuMicrosPerConnect = (serverAfter.CpuMicros - serverBefore.CpuMicros) / count,
            ClientCpuMicrosPerMessage = single.Client,
            ServerCpuMicrosPerMessage = single.Server,
            ClientCpuMicrosPerBatchedMessage = batched.Client,
            ServerCpuMicrosPerBatchedMessage = batched.Server,
            AckP99Ms = LoadPairs.Counts([open.Answer], "acknowledgements").PercentileMs(0.99),
            Failed = count - (double)open.Answer["open"]!,
        });
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await fleet.DisposeAsync().ConfigureAwait(false);
        await broker.DisposeAsync().ConfigureAwait(false);
    }

    private async Task<(double Client, double Server, JsonObject Answer)> SendAsync(string order)
    {
        ProcessFigures serverBefore = await broker.FiguresAsync(settle: false).ConfigureAwait(false);
        JsonObject before = await fleet.AskAsync("mark").ConfigureAwait(false);
        JsonObject after = await fleet.AskAsync(order).ConfigureAwait(false);
        ProcessFigures serverAfter = await broker.FiguresAsync(settle: false).ConfigureAwait(false);
        double sent = Math.Max(1, (double)after["result"]!["sent"]!);
        return (
            ((double)after["cpuMicros"]! - (double)before["cpuMicros"]!) / sent,
            (serverAfter.CpuMicros - serverBefore.CpuMicros) / sent,
            after);
    }

    private static async Task<Child> StartFleetAsync(string client, Broker broker, int count)
    {
        string[] target =
        [
            "--port", Text(broker.Port), "--ca", broker.Authority, "--count", Text(count),
            .. broker.Devices is { } path ? ["--connection-strings", path] : Array.Empty<string>(),
        ];
        TlsEngine engine = client == PeerBench.Native ? TlsEngine.Native : TlsEngine.Portable;
        var asItIs = new Dictionary<string, string>();
        (Child fleet, _) = client switch
        {
            PeerBench.Mosquitto => await Child.StartAsync("fleet", asItIs, ["bench", "peer-fleet", .. target]).ConfigureAwait(false),
            PeerBench.Mqttnet when GenuineSdk.FindMqttnetFleet() is { } command => await Child.StartOtherAsync(
                "fleet", asItIs, command.Program, [.. command.Arguments, .. target]).ConfigureAwait(false),
            _ => await Child.StartAsync(
                "fleet", Child.SettingsFor(engine, processes: 2), ["bench", "wire-fleet", .. target, "--tls", engine.Name()])
                .ConfigureAwait(false),
        };
        return fleet;
    }

    private static string Text(double number) => number.ToString(CultureInfo.InvariantCulture);
}
