using System.Runtime.CompilerServices;
using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

// "Same file, seed and build give the same run" is a promise, and promises are checked: every event of every device goes into
// a hash. Devices may be simulated in shards, so the hash must not depend on how they were interleaved: each event is mixed
// with its moment and device into 64 bits, and these are added. Two runs agree when every device lived through the same
// events at the same milliseconds.

/// <summary>What can be seen of a connection from outside: the events of a timeline.</summary>
public enum Seen : byte
{
    Dial,
    Connect,
    Connack,
    Subscribe,
    TwinGet,
    Pingreq,
    Disconnect,
    Close,
    Stopped,
}

/// <summary>One line of a timeline.</summary>
/// <param name="AtMs">Moment, ms since the start.</param>
/// <param name="Device">Index within its fleet.</param>
/// <param name="Event">What was seen.</param>
/// <param name="ByHub">For a close: which end closed first.</param>
/// <param name="Expiry">On connect: the token's expiry, seconds since the start.</param>
/// <param name="Clean">On connect: the clean-session flag.</param>
/// <param name="Code">On connack: the code.</param>
/// <param name="Topics">On subscribe: the filters.</param>
/// <param name="Reason">On disconnect, close and stopped.</param>
public readonly record struct TimelineEntry(
    long AtMs, int Device, Seen Event, bool ByHub, long Expiry, bool Clean, byte Code, Topics Topics, Reason Reason);

/// <summary>Hash and timelines of one shard.</summary>
public sealed class EventLog(ulong seed)
{
    /// <summary>The sum of all events so far; add the seed's share with <see cref="Finish"/>.</summary>
    public ulong Sum { get; private set; }

    /// <summary>Adds one event to the hash.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(long atMs, int device, Seen seen, uint detail) =>
        Sum += Randomness.Mix(((ulong)atMs << 24 | (ulong)seen << 16) ^ Randomness.Mix(((ulong)(uint)device << 32) | detail));

    /// <summary>The hash of a whole run: the seed and the sums of all shards, as 16 hex digits.</summary>
    public static string Finish(ulong seed, ulong sum) =>
        Randomness.Mix(seed ^ Randomness.Mix(sum)).ToString("x16", System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The seed this log belongs to.</summary>
    public ulong Seed { get; } = seed;
}
