using System.Text;

namespace Agent.Service;

// One of several checkers of one fleet: it follows the book they share and decides about its own part of the fleet only.
public sealed partial class Checker
{
    private const long ReconcileEveryMs = 1_000;

    private Share? share;
    private long reconcileAtMs;

    /// <summary>From now on it raises and clears alarms only where it holds the slot, and as wishes: see <see cref="AlarmBook"/>.</summary>
    public void ShareWith(Share part)
    {
        share = part;
        Alarms.Decides = (kind, subject) => part.Has(SlotOf(kind, subject));
    }

    /// <summary>The slot an alarm belongs to.</summary>
    public int SlotOf(AlarmKind kind, int subject) => kind switch
    {
        AlarmKind.DeviceSilent or AlarmKind.DeviceFlapping => Share.SlotOf(table.IdBytes(subject)),
        AlarmKind.SiteLost => Share.SlotOf(Encoding.UTF8.GetBytes(Sites[subject].Name)),
        _ => Share.FleetSlot,
    };

    /// <summary>What an alarm is about, as every checker calls it; rows and numbers of sites are one checker's own.</summary>
    public string SubjectOf(Alarm alarm)
    {
        ArgumentNullException.ThrowIfNull(alarm);
        return alarm.Kind switch
        {
            AlarmKind.DeviceSilent or AlarmKind.DeviceFlapping => table.Id(alarm.Subject),
            AlarmKind.SiteLost => Sites[alarm.Subject].Name,
            _ => "fleet",
        };
    }

    /// <summary>The number by which this checker knows a subject. A device that nobody told it of yet is added.</summary>
    /// <exception cref="InvalidDataException">It is no device id.</exception>
    public int NumberOf(AlarmKind kind, string subject)
    {
        ArgumentNullException.ThrowIfNull(subject);
        switch (kind)
        {
            case AlarmKind.DeviceSilent or AlarmKind.DeviceFlapping:
                int row = Find(subject);
                return row >= 0 ? row
                    : DeviceIds.IsValid(subject.AsSpan()) ? Add(Encoding.ASCII.GetBytes(subject))
                    : throw new InvalidDataException("an alarm about what is no device");
            case AlarmKind.SiteLost:
                return Sites.NumberOf(subject);
            default:
                return 0;
        }
    }

    /// <summary>Takes over what the shared book says of one alarm.</summary>
    /// <returns>Whether that is news.</returns>
    public bool Follow(Alarm alarm, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(alarm);
        if (!Alarms.Follow(alarm))
        {
            return false;
        }

        bool isOpen = Alarms.IsOpen(alarm.Kind, alarm.Subject);
        switch (alarm.Kind)
        {
            case AlarmKind.DeviceSilent or AlarmKind.DeviceFlapping:
                FollowDevice(alarm, isOpen, nowMs);
                break;
            case AlarmKind.SiteLost:
                Sites[alarm.Subject].IsLost = isOpen;
                lossEndedAtMs = isOpen ? lossEndedAtMs : nowMs;
                break;
            case AlarmKind.FleetLost:
                IsFleetLost = isOpen;
                lossEndedAtMs = isOpen ? lossEndedAtMs : nowMs;
                break;
        }

        return true;
    }

    /// <summary>Decides about slots that are new to it: what is silent there and has no alarm yet is looked at.</summary>
    /// <param name="gained">By slot.</param>
    /// <param name="nowMs">UTC milliseconds; every fact up to then is known, and the shared book has been followed.</param>
    public void TakeOver(ReadOnlySpan<bool> gained, long nowMs)
    {
        reconcileAtMs = 0;
        for (int row = 0; row < Count; row++)
        {
            ref Hot hot = ref table.Hot(row);
            if (hot.Status is not (Status.Silent or Status.Flapping) || hot.Has(RowFlags.Covered)
                || !gained[Share.SlotOf(table.IdBytes(row))] || HasAlarm(row))
            {
                continue;
            }

            hot.Set(RowFlags.Alarmed, false);
            Look(row, ref hot, nowMs);
        }
    }

    /// <summary>
    /// Clears what is open about devices of its own that are well again: whoever should have said so may have died before he did.
    /// </summary>
    public void Reconcile(long nowMs)
    {
        if (share is null || nowMs < reconcileAtMs)
        {
            return;
        }

        reconcileAtMs = nowMs + ReconcileEveryMs;
        foreach (Alarm alarm in Alarms.Open)
        {
            if (alarm.Kind is not (AlarmKind.DeviceSilent or AlarmKind.DeviceFlapping))
            {
                continue;
            }

            // At this moment and not as of the delay: facts that come late must not end a silence.
            ref Hot hot = ref table.Hot(alarm.Subject);
            Status status = Judgement.Of(hot, table.Cold(alarm.Subject), settings, nowMs).Status;
            if (alarm.Kind == AlarmKind.DeviceSilent ? !IsOverdue(status) : status != Status.Flapping)
            {
                Alarms.Clear(alarm.Kind, alarm.Subject, nowMs, hot.DeviceReason);
            }
        }
    }

    private void FollowDevice(Alarm alarm, bool isOpen, long nowMs)
    {
        ref Hot hot = ref table.Hot(alarm.Subject);
        if (isOpen && alarm.Kind == AlarmKind.DeviceSilent && hot.Status != Status.Silent)
        {
            // We may be holding our judgement; who raised it was sure.
            Verdict verdict = Judgement.Of(hot, table.Cold(alarm.Subject), settings, nowMs);
            if (verdict.Status == Status.Silent)
            {
                Declare(alarm.Subject, ref hot, verdict, nowMs);
            }
        }

        hot.Set(RowFlags.Alarmed, HasAlarm(alarm.Subject));
        if (!isOpen && hot.Status is Status.Silent or Status.Flapping && !hot.Has(RowFlags.Alarmed | RowFlags.Covered))
        {
            // In trouble again before the end of the former trouble was kept.
            Look(alarm.Subject, ref hot, nowMs);
        }
    }

    private bool HasAlarm(int row) => Alarms.IsOpen(AlarmKind.DeviceSilent, row) || Alarms.IsOpen(AlarmKind.DeviceFlapping, row);

    private int Add(ReadOnlySpan<byte> id) => Add(id, table.HashOf(id));
}
