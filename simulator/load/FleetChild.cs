using System.Globalization;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using Agent.Wire;

namespace Agent.Load;

/// <summary>What a fleet in a process of its own is told at its start.</summary>
/// <param name="Port">Where the server listens, on 127.0.0.1.</param>
/// <param name="Authority">PEM file of the server's authority.</param>
/// <param name="Devices">File with a device's connection string a line; null = a broker that lets anybody in.</param>
/// <param name="Count">How many devices, without such a file.</param>
/// <param name="Engine">Who does the work of TLS.</param>
/// <param name="Resume">Whether earlier TLS sessions are resumed.</param>
public sealed record FleetStart(int Port, string Authority, string? Devices, int Count, TlsEngine Engine, bool Resume);

/// <summary>A fleet in a process of its own, for a benchmark.</summary>
public static class FleetChild
{
    /// <summary>Does what the parent says until it says end or is gone.</summary>
    public static async Task<int> RunAsync(FleetStart start)
    {
        var roots = new X509Certificate2Collection();
        roots.ImportFromPemFile(start.Authority);
        var tls = new TlsClient("localhost", roots, allowResume: start.Resume, engine: start.Engine);
        var remote = new IPEndPoint(IPAddress.Loopback, start.Port);
        LoadTarget target = start.Devices is { } path
            ? LoadTarget.FromFile(remote, tls, path)
            : LoadTarget.Open(remote, tls, start.Count);
        var fleet = new LoadFleet(target);
        using var parent = new ChildText();
        parent.Say(new { devices = target.Count, addresses = target.Addresses });
        while (await parent.NextAsync().ConfigureAwait(false) is { } order)
        {
            parent.Say(await ObeyAsync(fleet, order, parent).ConfigureAwait(false));
        }

        return 0;
    }

    private static async Task<object> ObeyAsync(LoadFleet fleet, string[] order, ChildText parent)
    {
        switch (order[0])
        {
            case "warm":
                await fleet.WarmUpAsync((int)Number(order[1]), (int)Number(order[2]), default).ConfigureAwait(false);
                break;
            case "connect":
                int failed = await fleet.ConnectAsync(
                    (int)Number(order[1]), (int)Number(order[2]), (int)Number(order[3]), done => parent.Say(new { progress = done }),
                    default).ConfigureAwait(false);
                return Figures(fleet, new { failed });
            case "send":
                fleet.Restart();
                (long sent, long unsent, int lost) = await fleet.SendAsync(
                    Number(order[1]), Number(order[2]), (int)Number(order[3]), default).ConfigureAwait(false);
                return Figures(fleet, new { sent, unsent, failed = lost });
            case "pump":
                fleet.Restart();
                long acknowledged = await fleet.PumpAsync((int)Number(order[1]), (int)Number(order[2]), Number(order[3]))
                    .ConfigureAwait(false);
                return Figures(fleet, new { sent = acknowledged, unsent = 0, failed = 0 });
            case "leave":
                await fleet.LeaveAsync().ConfigureAwait(false);
                break;
            case "settle":
                ProcessFigures.Settle();
                break;
        }

        return Figures(fleet, new { failed = 0 });
    }

    private static object Figures(LoadFleet fleet, object result)
    {
        ProcessFigures own = ProcessFigures.Own();
        return new
        {
            result,
            cpuMicros = own.CpuMicros,
            bytes = own.Bytes,
            compilerMicros = ProcessFigures.CompilerMicros,
            pauseMicros = ProcessFigures.PauseMicros,
            allocatedBytes = GC.GetTotalAllocatedBytes(),
            open = fleet.OpenCount,
            lost = fleet.LostCount,
            faults = fleet.Faults,
            acknowledgements = fleet.Acknowledgements.Pairs(),
            lag = fleet.Lag.Pairs(),
        };
    }

    private static double Number(string word) => double.Parse(word, CultureInfo.InvariantCulture);
}
