using System.Globalization;
using System.Text;

namespace Agent.Service;

/// <summary>What the live page is told, as server-sent events in one ring that all listeners read.</summary>
/// <remarks>
/// No listener has a queue: each has a place in the ring, so a thousand slow ones cost what one costs. Who falls behind the ring's end is
/// sent away and comes back for a fresh start. An id is the life of this program and a number in it: an id of another life, or one the
/// ring has forgotten, cannot be resumed from, and the listener is told to load everything anew. Bound: 1,024 events and 1 MiB.
/// </remarks>
public sealed class LiveFeed(long life)
{
    /// <summary>Events kept.</summary>
    public const int EventsMax = 1024;

    /// <summary>Bytes of events kept.</summary>
    public const int BytesMax = 1024 * 1024;

    private readonly Lock gate = new();
    private readonly Queue<byte[]> events = new();
    private long first = 1; // Number of the oldest event kept.
    private int bytes;
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Ends when the next event is published; take it before reading, or one may be missed.</summary>
    public Task Changed
    {
        get
        {
            lock (gate)
            {
                return changed.Task;
            }
        }
    }

    /// <summary>Adds an event.</summary>
    /// <param name="name">One word.</param>
    /// <param name="json">One line.</param>
    public void Publish(string name, string json)
    {
        TaskCompletionSource wake;
        lock (gate)
        {
            byte[] frame = Frame(first + events.Count, name, json);
            events.Enqueue(frame);
            bytes += frame.Length;
            while (events.Count > EventsMax || (bytes > BytesMax && events.Count > 1))
            {
                bytes -= events.Dequeue().Length;
                first++;
            }

            wake = changed;
            changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        wake.SetResult();
    }

    /// <summary>Where a listener goes on, and what it is sent first: to load everything, unless it missed nothing.</summary>
    /// <param name="lastEventId">What it says it saw last; hostile.</param>
    public (long Next, byte[] Greeting) Start(string? lastEventId)
    {
        lock (gate)
        {
            long next = first + events.Count;
            string[] parts = lastEventId is { Length: <= 40 } ? lastEventId.Split('-') : [];
            bool isOurs = parts.Length == 2
                && long.TryParse(parts[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out long theirs)
                && theirs == life;
            if (isOurs && long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out long seen)
                && seen >= first - 1 && seen < next)
            {
                return (seen + 1, Encoding.ASCII.GetBytes(": resumed\n\n"));
            }

            return (next, Frame(next - 1, "reset", "{}"));
        }
    }

    /// <summary>The events from a place on, moved past them; null = the listener has fallen behind the ring.</summary>
    public byte[]? Read(ref long next)
    {
        lock (gate)
        {
            if (next < first)
            {
                return null;
            }

            byte[] frames = [.. events.Skip((int)(next - first)).SelectMany(frame => frame)];
            next = first + events.Count;
            return frames;
        }
    }

    private byte[] Frame(long number, string name, string json) =>
        Encoding.UTF8.GetBytes($"id: {life:x}-{number}\nevent: {name}\ndata: {json}\n\n");
}
