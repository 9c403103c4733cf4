namespace Agent.Events;

// When does Event Grid try again, and when does it give up? Three clocks run at once and the first to end decides: the number of
// attempts, the age of the event, and the schedule of waits. Some answers end it at once because they cannot get better. All
// of it is facts/iothub.md section 4 (the vendor's delivery-and-retry page), and it stands here without sockets or a clock, so that a
// day of retries is a loop in a test.
//
// Not documented and chosen here: "a small randomisation" is up to a tenth on top of a wait, never below it, because the
// waits after 408 and 503 are minima; an endpoint is put on probation after ten failures in a row, the page's own example; steps
// are not skipped. What is written as the reason of a dead letter is documented only for the number of attempts; the other texts
// are named where they are defined.

/// <summary>How an attempt went, named as <c>lastDeliveryOutcome</c> names it.</summary>
public enum DeliveryOutcome : byte
{
    /// <summary>Not attempted yet.</summary>
    None,

    /// <summary>200 to 204.</summary>
    Delivered,

    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    PayloadTooLarge,

    /// <summary>408, or no answer within the limit.</summary>
    TimedOut,

    /// <summary>429 or 503.</summary>
    Busy,

    /// <summary>No connection, or one that broke.</summary>
    SocketError,

    /// <summary>The name could not be resolved.</summary>
    ResolutionError,

    /// <summary>Any other answer. The page has no name for it; this one is ours.</summary>
    GenericError,
}

/// <summary>What becomes of an event after an attempt.</summary>
public enum DeliveryVerdict : byte
{
    Delivered,

    /// <summary>Try again at the moment given.</summary>
    Retry,

    /// <summary>Write it to the dead letters at the moment given.</summary>
    DeadLetter,

    /// <summary>Forget it: it would be a dead letter, but there is nowhere to put one.</summary>
    Drop,
}

/// <summary>The answer of <see cref="DeliverySchedule.After"/>.</summary>
/// <param name="Verdict">What to do.</param>
/// <param name="AtMs">When to do it.</param>
/// <param name="Reason">Why it is given up; null when it is not.</param>
public readonly record struct DeliveryStep(DeliveryVerdict Verdict, long AtMs, string? Reason);

/// <summary>The settings of an event subscription that govern its delivery, with the cloud's defaults.</summary>
public sealed record DeliveryPolicy
{
    /// <summary>Attempts before an event is given up, 1 to 30.</summary>
    public int AttemptsMax { get; init; } = 30;

    /// <summary>Minutes before an event is given up, 1 to 1440.</summary>
    public int TimeToLiveMinutes { get; init; } = 1440;

    /// <summary>Events in one request, 1 to 5000. Default 1: batching is off.</summary>
    public int EventsPerBatchMax { get; init; } = 1;

    /// <summary>Size of a request that is not exceeded while it holds more than one event, 1 to 1024.</summary>
    public int BatchKilobytesPreferred { get; init; } = 64;

    /// <summary>How many times faster than in the cloud waits pass, for tests and demonstrations; 60 makes a minute a second.</summary>
    /// <remarks>It shortens the waits of the schedule, the time to live, probation and the delay of dead letters; not the 30 s a
    /// receiver has for its answer, which is the receiver's own time.</remarks>
    public double TimeScale { get; init; } = 1;

    /// <summary>What is wrong with the settings; null = nothing.</summary>
    public string? FindProblem() =>
        AttemptsMax is < 1 or > 30 ? $"attempts {AttemptsMax}: allowed are 1 to 30"
        : TimeToLiveMinutes is < 1 or > 1440 ? $"time to live {TimeToLiveMinutes} min: allowed are 1 to 1440"
        : EventsPerBatchMax is < 1 or > 5000 ? $"events per batch {EventsPerBatchMax}: allowed are 1 to 5000"
        : BatchKilobytesPreferred is < 1 or > 1024 ? $"batch size {BatchKilobytesPreferred} KB: allowed are 1 to 1024"
        : TimeScale is >= 0.001 and <= 1_000_000 ? null
        : $"time scale {TimeScale}: allowed are 0.001 to 1000000";
}

/// <summary>Decides, after each attempt, between trying again, giving up and being done.</summary>
public sealed class DeliverySchedule
{
    /// <summary>Documented, with a sample.</summary>
    public const string TooManyAttempts = "MaxDeliveryAttemptsExceeded";

    /// <summary>The page names the condition and not the text: inferred.</summary>
    public const string TooOld = "TimeToLiveExceeded";

    // Seen as UndeliverableDueToHttpBadRequest in a real dead letter (Stack Overflow 52173869); the others follow it.
    private const string UndeliverablePrefix = "UndeliverableDueToHttp";

    private const long SecondMs = 1000;
    private const long MinuteMs = 60 * SecondMs;
    private const long HourMs = 60 * MinuteMs;
    private const int JitterParts = 10;

    private static readonly long[] WaitsMs =
    [
        10 * SecondMs, 30 * SecondMs, MinuteMs, 5 * MinuteMs, 10 * MinuteMs, 30 * MinuteMs, HourMs, 3 * HourMs, 6 * HourMs,
        12 * HourMs,
    ];

    private readonly DeliveryPolicy policy;
    private readonly DeliveryVerdict givenUp;
    private readonly long deadLetterDelayMs;

    /// <param name="policy">Checked settings.</param>
    /// <param name="keepsDeadLetters">Whether there is a place for dead letters; in the cloud there is none by default.</param>
    public DeliverySchedule(DeliveryPolicy policy, bool keepsDeadLetters)
    {
        this.policy = policy;
        givenUp = keepsDeadLetters ? DeliveryVerdict.DeadLetter : DeliveryVerdict.Drop;
        TimeToLiveMs = Scaled(policy.TimeToLiveMinutes * MinuteMs);
        deadLetterDelayMs = Scaled(5 * MinuteMs);
        DeadLetterRetryMs = Scaled(MinuteMs);
        DeadLetterPatienceMs = Scaled(4 * HourMs);
    }

    /// <summary>How long an event is worth delivering.</summary>
    public long TimeToLiveMs { get; }

    /// <summary>How long after a failed write of dead letters the next is tried. Ours; the cloud does not say.</summary>
    public long DeadLetterRetryMs { get; }

    /// <summary>How long writing a dead letter may fail before it is dropped.</summary>
    public long DeadLetterPatienceMs { get; }

    /// <summary>The outcome that an HTTP status means.</summary>
    public static DeliveryOutcome OutcomeOf(int status) => status switch
    {
        >= 200 and <= 204 => DeliveryOutcome.Delivered,
        400 => DeliveryOutcome.BadRequest,
        401 => DeliveryOutcome.Unauthorized,
        403 => DeliveryOutcome.Forbidden,
        404 => DeliveryOutcome.NotFound,
        408 => DeliveryOutcome.TimedOut,
        413 => DeliveryOutcome.PayloadTooLarge,
        429 or 503 => DeliveryOutcome.Busy,
        _ => DeliveryOutcome.GenericError,
    };

    /// <summary>Whether an event is too old to be tried.</summary>
    public bool IsTooOld(long nowMs, long publishedMs) => nowMs - publishedMs >= TimeToLiveMs;

    /// <summary>What follows an attempt.</summary>
    /// <param name="nowMs">When it ended.</param>
    /// <param name="publishedMs">When the event was published.</param>
    /// <param name="attempts">Attempts made, this one included.</param>
    /// <param name="outcome">How it went.</param>
    /// <param name="status">The HTTP status; 0 = no answer.</param>
    /// <param name="draw">A uniform random number, for the randomisation of the wait.</param>
    public DeliveryStep After(long nowMs, long publishedMs, int attempts, DeliveryOutcome outcome, int status, uint draw)
    {
        if (outcome == DeliveryOutcome.Delivered)
        {
            return new DeliveryStep(DeliveryVerdict.Delivered, nowMs, null);
        }

        if (UndeliverableReason(outcome) is { } reason)
        {
            return GiveUp(nowMs, reason);
        }

        if (attempts >= policy.AttemptsMax)
        {
            return GiveUp(nowMs, TooManyAttempts);
        }

        long retryAtMs = nowMs + WaitMs(attempts, status, draw);
        long expiryMs = publishedMs + TimeToLiveMs;
        return retryAtMs < expiryMs
            ? new DeliveryStep(DeliveryVerdict.Retry, retryAtMs, null)
            : GiveUp(Math.Max(nowMs, expiryMs), TooOld);
    }

    /// <summary>Gives an event up at a moment. Five minutes later it is a dead letter, as the page says.</summary>
    public DeliveryStep GiveUp(long nowMs, string reason) => new(givenUp, nowMs + deadLetterDelayMs, reason);

    /// <summary>A cloud duration on the scale of this policy; at least a millisecond.</summary>
    public long Scaled(long cloudMs) => Math.Max(1, (long)(cloudMs / policy.TimeScale));

    private static string? UndeliverableReason(DeliveryOutcome outcome) => outcome switch
    {
        DeliveryOutcome.BadRequest => UndeliverablePrefix + "BadRequest",
        DeliveryOutcome.Unauthorized => UndeliverablePrefix + "Unauthorized",
        DeliveryOutcome.Forbidden => UndeliverablePrefix + "Forbidden",
        DeliveryOutcome.PayloadTooLarge => UndeliverablePrefix + "RequestEntityTooLarge",
        _ => null,
    };

    private long WaitMs(int attempts, int status, uint draw)
    {
        long minimumMs = status switch
        {
            408 => 2 * MinuteMs,
            503 => 30 * SecondMs,
            _ => 10 * SecondMs,
        };
        long waitMs = Math.Max(WaitsMs[Math.Min(attempts, WaitsMs.Length) - 1], minimumMs);
        return Scaled(waitMs + (long)((ulong)(waitMs / JitterParts) * draw >> 32));
    }
}

/// <summary>The health of one endpoint: after failures in a row nothing is sent to it for a while, new events included.</summary>
/// <param name="schedule">For the scale of time.</param>
public sealed class EndpointProbation(DeliverySchedule schedule)
{
    /// <summary>Failures in a row that put an endpoint on probation.</summary>
    public const int FailuresMax = 10;

    private int failures;

    /// <summary>Nothing is to be sent before this moment.</summary>
    public long UntilMs { get; private set; } = long.MinValue;

    /// <summary>An attempt ended.</summary>
    public void OnOutcome(long nowMs, DeliveryOutcome outcome)
    {
        failures = outcome == DeliveryOutcome.Delivered ? 0 : Math.Min(failures + 1, FailuresMax);
        if (failures == FailuresMax)
        {
            UntilMs = Math.Max(UntilMs, nowMs + schedule.Scaled(DelayMs(outcome)));
        }
    }

    // What the page has no row for gets the shortest one.
    private static long DelayMs(DeliveryOutcome outcome) => outcome switch
    {
        DeliveryOutcome.SocketError => 30_000,
        DeliveryOutcome.NotFound or DeliveryOutcome.Unauthorized or DeliveryOutcome.Forbidden
            or DeliveryOutcome.ResolutionError => 300_000,
        _ => 10_000,
    };
}
