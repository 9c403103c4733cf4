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
        fleet.Statistics.CountConnect(ref device, nowMs);
        line.Pulse = Pulse.From(nowMs);
    }

    private void CountRefusal(FleetRun fleet, int local, ref Line line, Reason seen)
    {
        Reason told = Ask(fleet, local, ref line);
        fleet.Statistics.CountRefusal(told == Reason.None ? seen : told);
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
        statistics.DownMs += line.Pulse.TakeDeafMs(endMs);
        books.NoteLane(fleet, local, ref device, endMs, reason);
        statistics.CountEnd(ref device, endMs, reason);
    }

    private void Note(
        FleetRun fleet,
        int local,
        ref ClientState device,
        Seen seen,
        bool byHub = false,
        byte code = 0,
        Topics topics = Topics.None,
        Reason reason = Reason.None) => books.Note(clock.NowMs, fleet, local, ref device, seen, byHub, code, topics, reason);

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
                fleet.Statistics.DownMs += line.Pulse.TakeDeafMs(endMs);
                books.NoteLane(fleet, local, ref device, endMs, Reason.None);
            }
            else if (part.StartOf(fleet, local) < endMs)
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
