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
        if (device.Has(DeviceFlags.Live))
        {
            statistics.DownMs += TakeDeafMs(ref CollectionsMarshal.GetValueRefOrNullRef(live, local), endMs);
        }

        NoteLane(fleet, local, ref device, endMs, reason);
        statistics.CountEnd(ref device, endMs, reason);
    }

    private void NoteLane(FleetRun fleet, int local, ref ClientState device, long endMs, Reason reason)
    {
        if (local == fleet.FirstLocal && shard == 0)
        {
            fleet.Lane.Add(new LaneStretch(device.EndedAtMs + device.UpAfterMs, endMs, reason));
        }
    }

    // Heartbeats on the device's grid (start + k · interval) from the CONNACK up to a moment, unless they ran as events.
    private void CountHeartbeats(FleetRun fleet, int local, ref ClientState device, long endMs)
    {
        long everyMs = fleet.Plan.Settings.HeartbeatEveryMs;
        if (everyMs == 0 || device.Has(DeviceFlags.Live))
        {
            return;
        }

        long startMs = StartOf(fleet, local);
        long fromMs = device.EndedAtMs + device.UpAfterMs;
        long count = Math.Max(0, GridPoints(endMs - startMs, everyMs) - GridPoints(fromMs - startMs, everyMs));
        fleet.Statistics.Heartbeats += count;
        fleet.Statistics.MessagesBilled += count;
    }

    // Multiples of the interval in (0, length).
    private static long GridPoints(long lengthMs, long everyMs) => lengthMs <= 0 ? 0 : (lengthMs - 1) / everyMs;

    private void Note(
        FleetRun fleet,
        int local,
        ref ClientState device,
        Seen seen,
        bool byHub = false,
        byte code = 0,
        Topics topics = Topics.None,
        Reason reason = Reason.None)
    {
        if (seen == Seen.Close)
        {
            if (!device.Has(DeviceFlags.Open))
            {
                return; // TCP never came up, or its end has been told.
            }

            device.Flags &= ~DeviceFlags.Open;
        }

        int global = fleet.GlobalIndex(local, shard, shardCount);
        uint detail = seen == Seen.Connect
            ? device.TokenExpiry
            : (uint)(code | ((byte)topics << 8) | ((byte)reason << 16) | (byHub ? 1 << 24 : 0));
        Log.Add(time.NowMs, global, seen, detail);
        if (fleet.Plan.Timeline)
        {
            long expiry = seen == Seen.Connect ? device.TokenExpiry - (Scenario.EpochUtcMs / 1000) : 0;
            fleet.Timeline.Add(new TimelineEntry(
                time.NowMs, global - fleet.FirstGlobal, seen, byHub, expiry, fleet.Fields.CleanSession,
                code, topics, reason));
        }
    }
}
