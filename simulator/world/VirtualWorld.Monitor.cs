using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

// What the monitor and the witness must be told beside the hub's records. Entered only in runs that somebody watches.
public sealed partial class VirtualWorld
{
    // The grid of a healthy device's messages, from the first one after the CONNACK: the ones CountHeartbeats will count. As in the
    // books, a message is at the hub in the moment in which it is sent.
    private void PromiseHeartbeats(FleetRun fleet, int local, long upAtMs)
    {
        long everyMs = fleet.Plan.Settings.HeartbeatEveryMs;
        if (everyMs > 0)
        {
            monitor!.Promise(local, part.NextHeartbeatMs(fleet, local, upAtMs - 1), everyMs);
        }
    }

    private void TellSubscription(int local, ref ClientState device, Topics topics)
    {
        if ((monitor is not null || witness is not null) && (topics & Topics.CloudToDevice) != 0 &&
            Delivers(local) && hub.CurrentLink(local) == device.Link)
        {
            monitor?.OnMessaging(time.NowMs, local);
            witness?.OnListens(time.NowMs, local);
        }
    }

    /// <summary>
    /// Tells the witness the heartbeats of connections that still stand, up to a moment (exclusive) at or before now: without it, they
    /// are told when the connection ends.
    /// </summary>
    public void TellBeats(long untilMs)
    {
        for (int local = 0; witness is not null && local < devices.Length; local++)
        {
            ref ClientState device = ref devices[local];
            if ((device.Flags & (DeviceFlags.Up | DeviceFlags.Live)) == DeviceFlags.Up)
            {
                TellBeats(FleetOf(local), local, ref device, untilMs);
            }
        }
    }

    // The heartbeats of a connection that CountHeartbeats counts.
    private void TellBeats(FleetRun fleet, int local, ref ClientState device, long endMs)
    {
        long everyMs = fleet.Plan.Settings.HeartbeatEveryMs;
        if (witness is null || everyMs == 0)
        {
            return;
        }

        long startMs = part.StartOf(fleet, local);
        long before = FleetShard.GridPoints(device.EndedAtMs + device.UpAfterMs - startMs, everyMs);
        long last = FleetShard.GridPoints(endMs - startMs, everyMs);
        if (last > before)
        {
            witness.OnBeats(local, startMs + ((before + 1) * everyMs), startMs + (last * everyMs));
        }
    }

    // The CONNACK is in: messages can be sent, and received when the session the hub kept says so.
    private void TellBack(FleetRun fleet, int local)
    {
        if (witness is null || faults.Has(local, FaultKind.QuotaExceeded))
        {
            return;
        }

        witness.OnPlan(local, fleet.Model.PlannedRenewalMs(local - fleet.FirstLocal));
        witness.OnBack(time.NowMs, local);
        if ((hub.Subscriptions(local) & (byte)Topics.CloudToDevice) != 0)
        {
            witness.OnListens(time.NowMs, local);
        }
    }

    private void TellArrival(int local)
    {
        if (witness is not null)
        {
            witness.OnAccepting(local);
            witness.OnBack(time.NowMs, local);
            witness.OnBeats(local, time.NowMs, time.NowMs);
        }
    }

    private void TellQuotaBack(int local, ref ClientState device)
    {
        witness?.OnAccepting(local);
        if (device.Phase == Phase.Connected && device.Has(DeviceFlags.Up) && Delivers(local))
        {
            witness?.OnBack(time.NowMs, local);
        }
    }

    private static Reason LossBy(FaultKind kind) => kind switch
    {
        FaultKind.Hang => Reason.Hang,
        FaultKind.QuotaExceeded => Reason.QuotaExceeded,
        FaultKind.SilentHub => Reason.HubDown,
        _ => Reason.NetworkDown,
    };
}
