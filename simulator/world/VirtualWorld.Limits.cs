using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

// What a tier allows to send: a rate of messages with a burst and a queue, and a number of messages a day (facts/iothub.md §6). All
// devices of the hub draw from the same two budgets, so each message's place in time matters: in a run with a throttle the messages are
// events, as on the wire, and the run has one shard. Splitting the budgets over shards would be faster, and give each shard's devices a
// hub of their own.
public sealed partial class VirtualWorld
{
    private readonly Throttles throttles;
    private readonly DailyQuota quota;

    private bool IsMetered(FleetRun fleet) => throttles.IsOn && fleet.Plan.Settings.HeartbeatEveryMs > 0;

    // A message has arrived. False: it cost the device its connection instead of being acknowledged.
    private bool TryTakeMessage(FleetRun fleet, int local, ref ClientState device, out long waitMs)
    {
        waitMs = 0;
        if (!throttles.IsOn)
        {
            return true;
        }

        ThrottleVerdict verdict = throttles.Take(ThrottleKind.Telemetry, time.NowMs);
        waitMs = verdict.WaitMs;
        return verdict.IsAccepted
            ? TryTakeFromDay(fleet, local, ref device)
            : CutForGood(fleet, local, ref device, Reason.Throttled);
    }

    // A twin that is read costs a message of the day; beyond the rate of reads it is answered with 429, which no client minds.
    private void TakeTwinRead(FleetRun fleet, int local, ref ClientState device)
    {
        fleet.Statistics.MessagesBilled++;
        if (throttles.IsOn && Delivers(local) && hub.CurrentLink(local) == device.Link &&
            throttles.Take(ThrottleKind.TwinReads, time.NowMs).IsAccepted)
        {
            TryTakeFromDay(fleet, local, ref device);
        }
    }

    private bool TryTakeFromDay(FleetRun fleet, int local, ref ClientState device) =>
        quota.TryTake(Scenario.EpochUtcMs + time.NowMs, 1) || CutForGood(fleet, local, ref device, Reason.QuotaExceeded);

    private bool CutForGood(FleetRun fleet, int local, ref ClientState device, Reason reason)
    {
        CutByHub(fleet, local, ref device, reason);
        return false;
    }
}
