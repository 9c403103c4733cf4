namespace Agent.Service;

/// <summary>What an alarm is about. The numbers are written to disk and stay as they are.</summary>
public enum AlarmKind : byte
{
    /// <summary>One device is silent.</summary>
    DeviceSilent = 1,

    /// <summary>One device comes and goes.</summary>
    DeviceFlapping = 2,

    /// <summary>A large share of a site's devices is overdue at once.</summary>
    SiteLost = 3,

    /// <summary>A large share of the whole fleet is overdue at once: the hub, the network, or us.</summary>
    FleetLost = 4,

    /// <summary>More renewals are announced for one moment than the hub takes connections.</summary>
    RenewalStorm = 5,
}

/// <summary>One episode of trouble: raised once, cleared once.</summary>
/// <param name="Number">Counts up from 1; the key by which a receiver knows a repetition; 0 = a wish (<see cref="AlarmBook"/>).</param>
/// <param name="Kind">What it is about.</param>
/// <param name="Subject">The device's row, the site's number, or 0.</param>
/// <param name="RaisedAtMs">When it was raised, UTC milliseconds.</param>
public sealed record Alarm(long Number, AlarmKind Kind, int Subject, long RaisedAtMs)
{
    /// <summary>When the trouble began: for a silent device its deadline, for a storm the moment it is expected.</summary>
    public long BeganAtMs { get; init; }

    /// <summary>What was known of the reason when it was raised.</summary>
    public Cause Cause { get; init; }

    /// <summary>Devices concerned when it was raised.</summary>
    public int Devices { get; init; } = 1;

    /// <summary>When it ended; null = it is open.</summary>
    public long? ClearedAtMs { get; init; }

    /// <summary>Why it had been away, as the device said when it came back: a <c>DisconnectReason</c>; 0 = it did not say.</summary>
    public byte DeviceReason { get; init; }
}

/// <summary>Somebody knows of an alarm.</summary>
/// <param name="By">Who, as he calls himself.</param>
/// <param name="AtMs">When he said so, UTC milliseconds.</param>
public sealed record Acknowledgement(string By, long AtMs);

/// <summary>The open alarms, the latest closed ones, and what changed since somebody last asked.</summary>
/// <remarks>
/// Exactly one raise and one clear per episode: an alarm is open or not, by kind and subject. What changed is written to the journal
/// together with the facts it follows from and becomes visible to others only after that; so a crash either forgets both or neither.
/// Where several checkers share one book (<see cref="Decides"/>), a change is a wish until the store they share has it: it numbers
/// alarms, and refuses what another checker decided first. Then it comes back by <see cref="Follow"/>, to all of them alike.
/// </remarks>
public sealed class AlarmBook
{
    private const int ClosedMax = 1000;

    private readonly Dictionary<(AlarmKind, int), Alarm> open = [];
    private readonly Queue<Alarm> closed = new();
    private readonly List<Alarm> changes = [];
    private readonly Dictionary<long, Acknowledgement> acknowledged = [];
    private readonly HashSet<(AlarmKind, int)> wishes = [];

    /// <summary>Whether this checker decides about an alarm, by kind and subject; null = about all, and nobody else does.</summary>
    public Func<AlarmKind, int, bool>? Decides { get; set; }

    /// <summary>Number of the latest alarm.</summary>
    public long LastNumber { get; private set; }

    /// <summary>Alarms that are open, in no order.</summary>
    public IReadOnlyCollection<Alarm> Open => open.Values;

    /// <summary>The latest that were closed, oldest first.</summary>
    public IReadOnlyCollection<Alarm> Closed => closed;

    /// <summary>Alarms raised or cleared since the last <see cref="ClearChanges"/>, in order.</summary>
    public IReadOnlyList<Alarm> Changes => changes;

    /// <summary>Who knows of which alarm, by its number; of open and kept closed ones.</summary>
    public IReadOnlyDictionary<long, Acknowledgement> Acknowledged => acknowledged;

    /// <summary>Who knows of an alarm; null = nobody said so.</summary>
    public Acknowledgement? AcknowledgementOf(long number) => acknowledged.GetValueOrDefault(number);

    /// <summary>Notes that somebody knows of an alarm; the first one counts.</summary>
    /// <returns>The alarm; null = no such is open or kept.</returns>
    public Alarm? Acknowledge(long number, Acknowledgement word)
    {
        Alarm? alarm = open.Values.Concat(closed).FirstOrDefault(known => known.Number == number);
        if (alarm is not null)
        {
            acknowledged.TryAdd(number, word);
        }

        return alarm;
    }

    /// <summary>Forgets what changed, after it was written down.</summary>
    public void ClearChanges() => changes.Clear();

    /// <summary>Whether an alarm is open.</summary>
    public bool IsOpen(AlarmKind kind, int subject) => open.ContainsKey((kind, subject));

    /// <summary>Raises an alarm unless it is open already.</summary>
    public void Raise(AlarmKind kind, int subject, long nowMs, long beganAtMs, Cause cause, int devices)
    {
        var alarm = new Alarm(Decides is null ? LastNumber + 1 : 0, kind, subject, nowMs)
        {
            BeganAtMs = beganAtMs,
            Cause = cause,
            Devices = devices,
        };
        if (Decides is not null)
        {
            if (!open.ContainsKey((kind, subject)))
            {
                Wish(alarm);
            }
        }
        else if (open.TryAdd((kind, subject), alarm))
        {
            LastNumber++;
            changes.Add(alarm);
        }
    }

    /// <summary>Clears an alarm if it is open.</summary>
    public void Clear(AlarmKind kind, int subject, long nowMs, byte deviceReason = 0)
    {
        if (Decides is not null)
        {
            if (open.TryGetValue((kind, subject), out Alarm? current))
            {
                Wish(current with { ClearedAtMs = nowMs, DeviceReason = deviceReason });
            }
        }
        else if (open.Remove((kind, subject), out Alarm? alarm))
        {
            Close(alarm with { ClearedAtMs = nowMs, DeviceReason = deviceReason });
        }
    }

    /// <summary>Takes over the state of one alarm as the shared store has it.</summary>
    /// <returns>Whether that is news.</returns>
    public bool Follow(Alarm alarm)
    {
        open.TryGetValue((alarm.Kind, alarm.Subject), out Alarm? current);
        bool isKnown = alarm.ClearedAtMs is null ? current?.Number >= alarm.Number : closed.Any(known => known.Number == alarm.Number);
        if (!isKnown)
        {
            Restore(alarm);
        }

        return !isKnown;
    }

    /// <summary>Wishes that the store has answered may be made again.</summary>
    public void ForgetWishes() => wishes.Clear();

    /// <summary>Puts back what was kept: the state of one alarm, which replaces what is known of it.</summary>
    public void Restore(Alarm alarm)
    {
        LastNumber = Math.Max(LastNumber, alarm.Number);
        var key = (alarm.Kind, alarm.Subject);
        if (alarm.ClearedAtMs is null)
        {
            open[key] = alarm;
        }
        else
        {
            if (open.TryGetValue(key, out Alarm? current) && current.Number <= alarm.Number)
            {
                open.Remove(key);
            }

            if (closed.All(known => known.Number != alarm.Number))
            {
                Keep(alarm);
            }
        }
    }

    private void Wish(Alarm alarm)
    {
        if (Decides!(alarm.Kind, alarm.Subject) && wishes.Add((alarm.Kind, alarm.Subject)))
        {
            changes.Add(alarm);
        }
    }

    private void Close(Alarm alarm)
    {
        changes.Add(alarm);
        Keep(alarm);
    }

    private void Keep(Alarm alarm)
    {
        closed.Enqueue(alarm);
        if (closed.Count > ClosedMax)
        {
            acknowledged.Remove(closed.Dequeue().Number);
        }
    }
}
