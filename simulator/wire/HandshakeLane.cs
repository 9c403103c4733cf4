using System.Globalization;

namespace Agent.Wire;

/// <summary>Bounds how many steps of handshakes are under work or due on the thread pool at once; the others wait in order.</summary>
/// <remarks>
/// A step of a handshake costs twenty times what a packet does, and the pool takes work in the order it came: when a herd comes back,
/// or a collector's pause lets it gather, every acknowledgement would stand behind all of its handshakes. With as many places as
/// processors a herd is no slower, and a packet waits for a few steps at most. A place is held while a step is computed and never
/// while its peer is waited for, so a peer that falls silent in its handshake holds none. Threads of their own for handshakes were
/// the other road: the scheduler would then take their slices (3 ms) from the packets.
/// </remarks>
/// <param name="places">Steps at once, at least 1.</param>
internal sealed class HandshakeLane(int places)
{
    private readonly SemaphoreSlim free = new(places);

    /// <summary>
    /// The process's own; AGENT_HANDSHAKES_AT_ONCE in the environment says how many places, for machines with many processes.
    /// </summary>
    public static HandshakeLane Shared { get; } =
        new(PlacesFor(Environment.GetEnvironmentVariable("AGENT_HANDSHAKES_AT_ONCE"), Environment.ProcessorCount));

    /// <summary>Steps that could begin now.</summary>
    public int FreeCount => free.CurrentCount;

    /// <summary>As many as somebody asked for, 1 to the processors; a place for each processor where nobody did.</summary>
    public static int PlacesFor(string? asked, int processors) =>
        int.TryParse(asked, NumberStyles.None, CultureInfo.InvariantCulture, out int places)
            ? Math.Clamp(places, 1, processors)
            : processors;

    /// <summary>Waits for a place, first come, first served.</summary>
    public Task EnterAsync(CancellationToken cancellation) => free.WaitAsync(cancellation);

    /// <summary>Gives a place back; each one entered once.</summary>
    public void Leave() => free.Release();
}
