namespace Agent.Soak;

/// <summary>Something that must hold in every world, whatever the seed does to it.</summary>
/// <param name="Name">Stable; what a failing seed names.</param>
/// <param name="Statement">One sentence.</param>
public sealed record Invariant(string Name, string Statement);

/// <summary>What the soak demands. Where the truth leaves two readings, the statement says which are allowed.</summary>
/// <remarks>
/// Two things the machines may not know and are not blamed for. A reason is a conclusion: a close by the hub reads as "closed", after
/// the second with a message in flight as "throttled", after the third as "taken over", and at the end of the token's time by the
/// device's own clock as "closed at expiry"; a telling reason found by a later attempt may replace a vague one. And an alarm has a grey
/// zone: between the deadline and the deadline with every allowance (renewal, late delivery, a checker that doubts itself) it may come
/// or not.
/// </remarks>
public static class Invariants
{
    public static readonly Invariant AcknowledgedArrives = new(
        "acknowledged-arrives", "What a device took as acknowledged is at the hub.");

    public static readonly Invariant MessagesAccountedFor = new(
        "messages-accounted-for", "A message is at the hub, still queued, counted as dropped, or was in memory when the power went.");

    public static readonly Invariant MessagesInOrder = new(
        "messages-in-order", "Messages of one device arrive for the first time in the order in which they were sent.");

    public static readonly Invariant QueueDrains = new(
        "queue-drains", "Once the faults have stopped, a device's queue becomes empty.");

    public static readonly Invariant HeartbeatsCountUp = new(
        "heartbeats-count-up", "A heartbeat's number never goes back, not over restarts: at most the latest comes once more.");

    public static readonly Invariant AnnouncedRenewal = new(
        "announced-renewal", "A heartbeat announces the renewal that the device has planned.");

    public static readonly Invariant OutageAlarmed = new(
        "outage-alarmed", "A device that stays silent beyond its deadline and every allowance has an alarm, its own or a wider one.");

    public static readonly Invariant AlarmedOnce = new(
        "alarmed-once", "One silence raises one alarm, over restarts of the checker too.");

    public static readonly Invariant AlarmNeedsSilence = new(
        "alarm-needs-silence", "No alarm while a sign of life that has been delivered is younger than the heartbeats missed.");

    public static readonly Invariant NoAlarmForRenewal = new(
        "no-alarm-for-renewal", "A silence that raises an alarm has a fault in it: a renewal alone never does.");

    public static readonly Invariant AlarmCleared = new(
        "alarm-cleared", "An alarm is cleared by a newer sign of life and by nothing else, and a device that is back has none.");

    public static readonly Invariant BlackBoxTellsTruth = new(
        "black-box-tells-truth", "The entry of a drop or a failed attempt names a reason that fits what really happened.");

    public static readonly Invariant BlackBoxMeasures = new(
        "black-box-measures", "Gap and attempts of an entry are those of the outage.");

    public static readonly Invariant BlackBoxKept = new(
        "black-box-kept", "After a restart the box holds entries that were made, with reasons they had, and no others.");

    public static readonly Invariant BackInTime = new(
        "back-in-time", "Once the faults have stopped, every device is connected within the bound of its back-off.");

    public static readonly Invariant FirstRetryIsPrompt = new(
        "first-retry-is-prompt", "After a connection that lasted longer than the longest wait, the back-off starts anew.");

    public static readonly Invariant BackoffBounded = new(
        "back-off-bounded", "No wait is shorter than the floor or longer than the ceiling of the settings in force.");

    public static readonly Invariant SameView = new(
        "same-view", "Once the faults have stopped, hub and device agree on whether and by which link it is connected.");

    public static readonly Invariant OneLink = new(
        "one-link", "The hub holds one connection per device and closes the one that was replaced.");

    public static readonly Invariant GraceFromExpiry = new(
        "grace-from-expiry", "The hub cuts a connection between the shortest and the longest grace after its token's expiry, not before.");

    public static readonly Invariant SilenceMeasured = new(
        "silence-measured", "The hub cuts for silence after 1.5 keep-alives without a packet, and not before.");

    public static readonly Invariant TokenFresh = new(
        "token-fresh", "No device uses a token beyond its lifetime.");

    public static readonly Invariant SettingsWhole = new(
        "settings-whole", "The settings in force are the defaults or those of one desired version, whole.");

    public static readonly Invariant SettingsFollow = new(
        "settings-follow", "A change that reached the device is answered with its version, and in force when it can be.");

    public static readonly Invariant ProbationProven = new(
        "probation-proven", "Settings that change the connection count as good only after a renewal under them.");

    public static readonly Invariant ProbationEnds = new(
        "probation-ends", "Settings that lose the connection are rolled back.");

    public static readonly Invariant CountersAddUp = new(
        "counters-add-up", "Connects less disconnects are the connections there are; acknowledged is never more than sent.");

    public static readonly Invariant ComesToRest = new(
        "comes-to-rest", "No machine asks to be woken without end, and none throws.");

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Invariant> All { get; } =
    [
        AcknowledgedArrives, MessagesAccountedFor, MessagesInOrder, QueueDrains, HeartbeatsCountUp, AnnouncedRenewal, OutageAlarmed,
        AlarmedOnce, AlarmNeedsSilence, NoAlarmForRenewal, AlarmCleared, BlackBoxTellsTruth, BlackBoxMeasures, BlackBoxKept, BackInTime,
        FirstRetryIsPrompt, BackoffBounded, SameView, OneLink, GraceFromExpiry, SilenceMeasured, TokenFresh, SettingsWhole,
        SettingsFollow, ProbationProven, ProbationEnds, CountersAddUp, ComesToRest,
    ];
}

/// <summary>An invariant does not hold; ends the world it happened in.</summary>
internal sealed class BrokenInvariantException(Invariant invariant, string detail) : Exception($"{invariant.Name}: {detail}")
{
    public Invariant Invariant { get; } = invariant;

    public string Detail { get; } = detail;
}
