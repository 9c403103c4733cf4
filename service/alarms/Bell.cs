namespace Agent.Service.Alarms;

/// <summary>Lets one loop wait for a moment or for news, whichever is first. News that comes while nobody waits is not lost.</summary>
internal sealed class Bell(TimeProvider time)
{
    private TaskCompletionSource news = NewSource();

    public void Ring() => Volatile.Read(ref news).TrySetResult();

    /// <summary>Returns at the moment, at news if those may ring, or when cancelled; never throws.</summary>
    public async Task WaitUntilAsync(long utcMs, bool mayRing, CancellationToken cancellation)
    {
        TaskCompletionSource due = NewSource();
        long waitMs = Math.Clamp(utcMs - NowMs(), 0, int.MaxValue);
        if (waitMs == 0)
        {
            return;
        }

        ITimer timer = time.CreateTimer(
            state => ((TaskCompletionSource)state!).TrySetResult(), due, TimeSpan.FromMilliseconds(waitMs), Timeout.InfiniteTimeSpan);
        await using (timer.ConfigureAwait(false))
        using (cancellation.Register(state => ((TaskCompletionSource)state!).TrySetResult(), due))
        {
            // The clock may have passed the moment while the timer was being set.
            if (NowMs() >= utcMs)
            {
                return;
            }

            Task rung = Volatile.Read(ref news).Task;
            await (mayRing ? Task.WhenAny(due.Task, rung) : due.Task).ConfigureAwait(false);
            if (mayRing && rung.IsCompleted)
            {
                Volatile.Write(ref news, NewSource());
            }
        }
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private long NowMs() => time.GetUtcNow().ToUnixTimeMilliseconds();
}
