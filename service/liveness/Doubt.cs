namespace Agent.Service;

/// <summary>
/// Whether to believe what we see: a checker that stood still, has just started, or gets its facts late must not blame the devices.
/// </summary>
/// <remarks>
/// The thought is Lifeguard's (the detector doubts itself first). How late facts arrive is measured on the freshest message of each
/// batch, because a redelivered old one says nothing about the way of the others; of 15 to 30 seconds the smallest such delay counts.
/// </remarks>
public sealed class Doubt(LivenessSettings settings)
{
    /// <summary>How long one measurement of the delay takes, ms.</summary>
    public const long WindowMs = 15_000;

    private const long DelayMsMax = 600_000;

    private long startedAtMs;
    private bool hasRestored;
    private long sweptAtMs;
    private long heldUntilMs;
    private long windowEndMs;
    private long smallestMs = long.MaxValue;
    private long smallestBeforeMs = long.MaxValue;

    /// <summary>How late facts arrive at present; 0 = about as usual.</summary>
    public long DelayMs { get; private set; }

    /// <summary>Until when nobody new is declared late or silent; in the past = nothing is held.</summary>
    public long HeldUntilMs => heldUntilMs;

    /// <summary>The program starts; <paramref name="withDevices"/> when it knows some from before.</summary>
    public void Start(long nowMs, bool withDevices)
    {
        startedAtMs = nowMs;
        sweptAtMs = nowMs;
        hasRestored = withDevices;
    }

    /// <summary>
    /// Other checkers of the same fleet have run since that moment without a break: what was not heard since this program's own
    /// start was not heard by them either.
    /// </summary>
    public void GoOnFrom(long sinceMs) => startedAtMs = sinceMs;

    /// <summary>Others looked, and took facts in, while this checker did not: its own pause is no reason to doubt.</summary>
    public void OnOthersLooked(long nowMs) => sweptAtMs = Math.Max(sweptAtMs, nowMs);

    /// <summary>Nobody new is declared late or silent before that moment: facts could not reach us, and come in now.</summary>
    public void Hold(long untilMs) => heldUntilMs = Math.Max(heldUntilMs, untilMs);

    /// <summary>A sweep begins.</summary>
    public void OnSweep(long nowMs)
    {
        if (nowMs - sweptAtMs > settings.SelfDoubtMs)
        {
            Hold(nowMs + settings.SelfDoubtHoldMs);
        }

        sweptAtMs = Math.Max(sweptAtMs, nowMs);
        Turn(nowMs);
    }

    /// <summary>A batch arrived whose freshest message has this stamp.</summary>
    public void OnBatch(long nowMs, long freshestMs)
    {
        Turn(nowMs);
        smallestMs = Math.Min(smallestMs, Math.Max(0, nowMs - freshestMs));
        Measure();
    }

    /// <summary>Until when this device may not become late or silent; 0 = it may.</summary>
    public long HoldsUntil(in Hot hot, long nowMs)
    {
        long slowMs = hasRestored && !hot.Has(RowFlags.HeardSinceStart) ? startedAtMs + settings.SlowStartMs : 0;
        long untilMs = Math.Max(slowMs, heldUntilMs);
        return untilMs > nowMs ? untilMs : 0;
    }

    private void Turn(long nowMs)
    {
        if (nowMs < windowEndMs)
        {
            return;
        }

        smallestBeforeMs = nowMs < windowEndMs + WindowMs ? smallestMs : long.MaxValue;
        smallestMs = long.MaxValue;
        windowEndMs = nowMs + WindowMs;
        Measure();
    }

    private void Measure()
    {
        long delayMs = Math.Min(smallestMs, smallestBeforeMs);
        DelayMs = delayMs == long.MaxValue || delayMs <= settings.DeliveryDelayMs ? 0 : Math.Min(delayMs, DelayMsMax);
    }
}
