using System.Runtime.CompilerServices;
using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

/// <summary>What is told of a run: the hash of its events, timelines, the lanes of the first devices.</summary>
/// <param name="seed">Of the scenario.</param>
/// <param name="part">Whose devices.</param>
/// <param name="startUtcMs">Moment 0 of the run, ms since 1970.</param>
public sealed class RunBooks(ulong seed, FleetShard part, long startUtcMs)
{
    /// <summary>The hash of everything that happened.</summary>
    public EventLog Log { get; } = new(seed);

    /// <summary>Notes one event of a device. TCP's end is noted once, by whichever side tells it first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Note(
        long nowMs,
        FleetRun fleet,
        int local,
        ref ClientState device,
        Seen seen,
        bool byHub,
        byte code,
        Topics topics,
        Reason reason)
    {
        if (seen == Seen.Close)
        {
            if (!device.Has(DeviceFlags.Open))
            {
                return; // TCP never came up, or its end has been told.
            }

            device.Flags &= ~DeviceFlags.Open;
        }

        int global = part.GlobalOf(fleet, local);
        long expiry = seen == Seen.Connect ? device.TokenExpiry - (startUtcMs / 1000) : 0;

        // An expiry enters the hash as if every run had begun at the same moment.
        uint detail = seen == Seen.Connect
            ? (uint)(expiry + (Scenario.EpochUtcMs / 1000))
            : (uint)(code | ((byte)topics << 8) | ((byte)reason << 16) | (byHub ? 1 << 24 : 0));
        Log.Add(nowMs, global, seen, detail);
        if (fleet.Plan.Timeline)
        {
            fleet.Timeline.Add(new TimelineEntry(
                nowMs, global - fleet.FirstGlobal, seen, byHub, expiry, fleet.Fields.CleanSession, code, topics, reason));
        }
    }

    /// <summary>Notes a stretch of connection, if the device is the one whose lane is drawn.</summary>
    public void NoteLane(FleetRun fleet, int local, ref ClientState device, long endMs, Reason reason)
    {
        if (local == fleet.FirstLocal && part.Shard == 0)
        {
            fleet.Lane.Add(new LaneStretch(device.EndedAtMs + device.UpAfterMs, endMs, reason));
        }
    }
}
