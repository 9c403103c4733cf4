using System.Globalization;
using System.Net;
using Agent.Wire;

namespace Agent.Load.Peers;

/// <summary>A fleet of mosquitto's own client library in a process; it takes the orders a <see cref="FleetChild"/> does.</summary>
public static class PeerChild
{
    /// <summary>Does what the parent says until it says end or is gone.</summary>
    public static async Task<int> RunAsync(FleetStart start)
    {
        if (!LibMosquitto.IsThere)
        {
            throw new IOException("libmosquitto.so.1 is not installed (Debian package libmosquitto1)");
        }

        var remote = new IPEndPoint(IPAddress.Loopback, start.Port);
        var unused = new TlsClient("localhost");
        var fleet = new MosquittoFleet(
            start.Devices is { } path ? LoadTarget.FromFile(remote, unused, path) : LoadTarget.Open(remote, unused, start.Count),
            start.Authority);
        using var parent = new ChildText();
        parent.Say(new { devices = fleet.Target.Count });
        while (await parent.NextAsync().ConfigureAwait(false) is { } order)
        {
            parent.Say(Obey(fleet, order));
        }

        return 0;
    }

    private static object Obey(MosquittoFleet fleet, string[] order)
    {
        fleet.Restart();
        int failed = 0;
        long sent = 0;
        long unsent = 0;
        switch (order[0])
        {
            case "warm":
                failed = fleet.Connect(Math.Min((int)Number(order[1]), fleet.Target.Count), (int)Number(order[2]), andLeave: true);
                break;
            case "connect":
                failed = fleet.Connect((int)Number(order[2]), (int)Number(order[3]), andLeave: false);
                break;
            case "send":
                (sent, unsent) = fleet.Send(Number(order[1]), Number(order[2]));
                break;
            case "pump":
                sent = fleet.Pump((int)Number(order[1]), (int)Number(order[2]), Number(order[3]));
                break;
            case "leave":
                fleet.Leave();
                break;
            case "settle":
                ProcessFigures.Settle();
                break;
        }

        return PeerAnswer.Of(new { sent, unsent, failed }, fleet.OpenCount, fleet.Acknowledgements, fleet.Lag);
    }

    private static double Number(string word) => double.Parse(word, CultureInfo.InvariantCulture);
}
