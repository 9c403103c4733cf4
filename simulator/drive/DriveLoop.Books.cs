using Agent.Fleet;
using Agent.Hub;
using Agent.World;

namespace Agent.Drive;

// What is counted and told: the same books as in virtual time, kept from what the client's side sees.
internal sealed partial class DriveLoop
{
    private void CountConnect(FleetRun fleet, ref ClientState device, ref Line line)
    {
        long nowMs = clock.NowMs;
        long gapMs = nowMs - device.EndedAtMs;
        device.UpAfterMs = (uint)Math.Min(gapMs, uint.MaxValue);
        device.Flags |= DeviceFlags.Up;
        line.ConnackMs = line.LastSentMs = line.LastReceivedMs = line.LookedMs = nowMs;
        fleet.Statistics.Connects++;
        fleet.Statistics.DownMs += gapMs;
        if (device.Has(DeviceFlags.HasEnded))
        {
            fleet.Statistics.Gaps.Add(gapMs);
        }
    }

    private void CountRefusal(FleetRun fleet, int local, ref Line line, Reason seen)
    {
        Reason told = Ask(fleet, local, ref line);
        fleet.Statistics.Refusals++;
        fleet.Statistics.ByReason[(byte)(told == Reason.None ? seen : told)]++;
    }

    // Closes the books of a connection.
    private void EndConnection(
        FleetRun fleet, int local, ref ClientState device, ref Line line, long endMs, Reason reason)
    {
        if (!device.Has(DeviceFlags.Up))
        {
            return;
        }

        FleetStatistics statistics = fleet.Statistics;
        statistics.DownMs += TakeDeafMs(ref line, endMs);
        NoteLane(fleet, local, ref device, endMs, reason);
        statistics.CountEnd(ref device, endMs, reason);
    }

    // How long this connection stood without delivering anything, once.
    private static long TakeDeafMs(ref Line line, long nowMs)
    {
        long deafMs = line.DeafSinceMs < 0 ? 0 : nowMs - line.DeafSinceMs;
        line.DeafSinceMs = -1;
        return deafMs;
    }

    private void NoteLane(FleetRun fleet, int local, ref ClientState device, long endMs, Reason reason)
    {
        if (local == fleet.FirstLocal && shard == 0)
        {
            fleet.Lane.Add(new LaneStretch(device.EndedAtMs + device.UpAfterMs, endMs, reason));
        }
    }

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

        long nowMs = clock.NowMs;
        int global = GlobalOf(fleet, local);
        long expiry = seen == Seen.Connect ? device.TokenExpiry - (clock.StartUtcMs / 1000) : 0;
        uint detail = seen == Seen.Connect
            ? (uint)expiry
            : (uint)(code | ((byte)topics << 8) | ((byte)reason << 16) | (byHub ? 1 << 24 : 0));
        Log.Add(nowMs, global, seen, detail);
        if (fleet.Plan.Timeline)
        {
            fleet.Timeline.Add(new TimelineEntry(
                nowMs, global - fleet.FirstGlobal, seen, byHub, expiry, fleet.Fields.CleanSession, code, topics, reason));
        }
    }

    // What stands at the end counts up to the end; then every connection is given back politely.
    private void Finish(long endMs)
    {
        for (int local = 0; local < devices.Length; local++)
        {
            ref ClientState device = ref devices[local];
            ref Line line = ref lines[local];
            FleetRun fleet = FleetOf(local);
            if (device.Has(DeviceFlags.Up))
            {
                fleet.Statistics.DownMs += TakeDeafMs(ref line, endMs);
                NoteLane(fleet, local, ref device, endMs, Reason.None);
            }
            else if (StartOf(fleet, local) < endMs)
            {
                fleet.Statistics.DownMs += endMs - device.EndedAtMs;
            }
        }
    }

    /// <summary>After the run: says goodbye on what is still open.</summary>
    public void Leave()
    {
        foreach (ref Line line in lines.AsSpan())
        {
            line.Session?.SendDisconnect();
            line.Session?.Close();
            line.Session = null;
        }

        foreach (Rival rival in rivals.Values)
        {
            rival.Leave();
        }
    }
}
