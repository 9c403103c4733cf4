using System.Runtime.InteropServices;
using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

// What is counted and told: connections with their reasons, periods and gaps, heartbeats in closed form, timelines.
public sealed partial class VirtualWorld
{
    // Closes the books of a connection: what it delivered, how long since the one before.
    private void EndConnection(FleetRun fleet, int local, ref ClientState device, long endMs, Reason reason)
    {
        if (!device.Has(DeviceFlags.Up))
        {
            return;
        }

        FleetStatistics statistics = fleet.Statistics;
        CountHeartbeats(fleet, local, ref device, endMs);
        monitor?.Withdraw(local, endMs);
        witness?.OnLost(endMs, local, reason);
        if (device.Has(DeviceFlags.Live))
        {
            statistics.DownMs += CollectionsMarshal.GetValueRefOrNullRef(live, local).TakeDeafMs(endMs);
        }

        books.NoteLane(fleet, local, ref device, endMs, reason);
        statistics.CountEnd(ref device, endMs, reason);
    }

    // Heartbeats on the device's grid (start + k · interval) from the CONNACK up to a moment, unless they ran as events.
    private void CountHeartbeats(FleetRun fleet, int local, ref ClientState device, long endMs)
    {
        long everyMs = fleet.Plan.Settings.HeartbeatEveryMs;
        if (everyMs == 0 || device.Has(DeviceFlags.Live))
        {
            return;
        }

        long startMs = part.StartOf(fleet, local);
        long fromMs = device.EndedAtMs + device.UpAfterMs;
        long count = Math.Max(0, FleetShard.GridPoints(endMs - startMs, everyMs) - FleetShard.GridPoints(fromMs - startMs, everyMs));
        fleet.Statistics.Heartbeats += count;
        fleet.Statistics.MessagesBilled += count;
        TellBeats(fleet, local, ref device, endMs);
    }

    private void Note(
        FleetRun fleet,
        int local,
        ref ClientState device,
        Seen seen,
        bool byHub = false,
        byte code = 0,
        Topics topics = Topics.None,
        Reason reason = Reason.None) => books.Note(time.NowMs, fleet, local, ref device, seen, byHub, code, topics, reason);
}
