namespace Agent.Service;

/// <summary>What a mark in a device's lane stands for.</summary>
public enum MarkKind : byte
{
    /// <summary>A heartbeat came.</summary>
    Heartbeat,

    /// <summary>The hub reported or logged a connect.</summary>
    Connect,

    /// <summary>The hub reported a disconnect.</summary>
    Disconnect,

    /// <summary>A reconnect that the device had announced for this moment, and came back from.</summary>
    Renewal,

    /// <summary>The hub logged a code; <see cref="Mark.Number"/> is its packed number.</summary>
    HubCode,

    /// <summary>The device told why its last connection ended; <see cref="Mark.Number"/> is its <c>DisconnectReason</c>.</summary>
    Told,
}

/// <summary>One mark in a device's lane.</summary>
/// <param name="Kind">What it stands for.</param>
/// <param name="AtMs">When, UTC milliseconds.</param>
/// <param name="Number">A code or a reason, see <see cref="MarkKind"/>.</param>
/// <param name="GapSeconds">How long the device said it was away; only with <see cref="MarkKind.Told"/>.</param>
public readonly record struct Mark(MarkKind Kind, long AtMs, byte Number = 0, int GapSeconds = 0);

/// <summary>Heartbeats, connects and reasons of the devices somebody looks at.</summary>
/// <remarks>
/// The hot path of heartbeats must not know that a page exists. So a watched device is looked at a few times a second, and what its facts
/// say that they did not say before becomes a mark; of several heartbeats between two looks only the last is seen. Watching begins when
/// somebody asks for the lane and ends when 64 others were asked for since: at most 64 × 512 marks of 24 bytes, 768 KB. What the
/// checker itself remembers (four connects, the last disconnect, code, and heartbeat) is there from the first look.
/// </remarks>
public sealed class DeviceWatch
{
    /// <summary>Devices watched at one time.</summary>
    public const int DevicesMax = 64;

    /// <summary>Marks kept of each.</summary>
    public const int MarksMax = 512;

    private readonly LinkedList<Watched> watched = [];

    /// <summary>The rows that are watched, the last asked for first.</summary>
    public IEnumerable<int> Rows => watched.Select(device => device.Row);

    /// <summary>Begins to watch, or goes on.</summary>
    public void Begin(int row, in DeviceView view, in Moments connects)
    {
        if (Find(row) is { } known)
        {
            watched.Remove(known);
            watched.AddFirst(known);
            return;
        }

        var device = new Watched(row);
        for (int i = connects.Count - 1; i > 0; i--)
        {
            device.Add(new Mark(MarkKind.Connect, connects[i] * 1000L));
        }

        watched.AddFirst(device);
        if (watched.Count > DevicesMax)
        {
            watched.RemoveLast();
        }

        device.Look(view);
    }

    /// <summary>Looks at a watched device.</summary>
    public void Look(int row, in DeviceView view) => Find(row)?.Value.Look(view);

    /// <summary>The marks of a device in order of time; none if it is not watched.</summary>
    public Mark[] Of(int row) => Find(row) is { } known ? [.. known.Value.Marks.OrderBy(mark => mark.AtMs)] : [];

    private LinkedListNode<Watched>? Find(int row)
    {
        LinkedListNode<Watched>? node = watched.First;
        while (node is not null && node.Value.Row != row)
        {
            node = node.Next;
        }

        return node;
    }

    private sealed class Watched(int row)
    {
        private DeviceView last;

        public int Row => row;

        public Queue<Mark> Marks { get; } = new();

        public void Look(in DeviceView view)
        {
            if (view.LastConnectMs is long connect && connect != last.LastConnectMs)
            {
                Add(new Mark(MarkKind.Connect, connect));
            }

            if (view.IsConnected == false && view.ConnectionAtMs is long link
                && (link, false) != (last.ConnectionAtMs ?? 0, last.IsConnected ?? true))
            {
                Add(new Mark(MarkKind.Disconnect, link));
            }

            if (view.HubCodeAtMs is long logged && logged != last.HubCodeAtMs)
            {
                Add(new Mark(MarkKind.HubCode, logged, view.HubCode));
            }

            if (view.LastHeartbeatMs is long beat && beat != last.LastHeartbeatMs)
            {
                Add(new Mark(MarkKind.Heartbeat, beat));
                if (last.RenewalAtMs is long planned && planned <= beat)
                {
                    Add(new Mark(MarkKind.Renewal, planned));
                }

                if (view.DeviceReason != 0 && (view.DeviceReason, view.LastGapSeconds) != (last.DeviceReason, last.LastGapSeconds))
                {
                    Add(new Mark(MarkKind.Told, beat, view.DeviceReason, view.LastGapSeconds));
                }
            }

            last = view;
        }

        public void Add(in Mark mark)
        {
            Marks.Enqueue(mark);
            if (Marks.Count > MarksMax)
            {
                Marks.Dequeue();
            }
        }
    }
}
