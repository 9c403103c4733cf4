using Agent.Fleet;

namespace Agent.World;

// What the monitor must be told beside the hub's records. Entered only in runs that somebody monitors.
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
        if (monitor is not null && (topics & Topics.CloudToDevice) != 0 && Delivers(local) && hub.CurrentLink(local) == device.Link)
        {
            monitor.OnMessaging(time.NowMs, local);
        }
    }
}
