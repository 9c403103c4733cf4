namespace Agent.Service;

// One of several replicas on a PostgreSQL: facts go to the shared journal, and what the checker knows comes back from there. Its time
// is the database's clock up to which all facts have been read: while the database is away, time stands still, and nobody is late.
public sealed partial class CheckLoop
{
    private readonly PostgresStore? replica;
    private readonly Share share = new();
    private readonly long[] epochs = new long[Share.Slots];
    private readonly FactBatch tail = new();
    private readonly List<AlarmWish> wishes = [];
    private readonly TaskCompletionSource<string> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task fold = Task.CompletedTask;
    private long lookedAtMs;
    private bool hasMissedLooks;
    private bool haveWishesBeenKept;

    /// <summary>The part this process has in a shared store; null = it keeps things for itself.</summary>
    public PostgresStore? Replica => replica;

    /// <summary>Why nothing can be kept at present; null = all is well.</summary>
    public string? Failure => ended.Task.IsCompleted ? ended.Task.Result : replica is null ? store?.Failure : replica.Failure;

    /// <summary>Ends with the reason when this process cannot go on and has to be started anew.</summary>
    public Task<string> Ended => ended.Task;

    /// <summary>One turn of a replica: read what is new, judge, keep what follows; then see to the slots.</summary>
    public async Task TurnAsync()
    {
        Glance glance;
        bool hasMore;
        do
        {
            try
            {
                glance = await replica!.LookAsync(tail).ConfigureAwait(false);
            }
            catch
            {
                hasMissedLooks = true;
                throw;
            }

            (List<Alarm> alarms, List<Transition> changes) = Judge(glance);
            FactsTaken?.Invoke(tail, nowMs);
            tail.Clear();
            Tell(([.. alarms], [.. changes]));
            hasMore = !glance.IsDrained;
            if (wishes.Count > 0)
            {
                await replica.RecordAsync(wishes).ConfigureAwait(false);
                wishes.Clear();
                // They come back with the next look, with their numbers; until then nobody wishes them again.
                haveWishesBeenKept = true;
                hasMore = true;
            }
        }
        while (hasMore);

        if (await replica.BalanceAsync(glance).ConfigureAwait(false))
        {
            return; // Seen, and acted upon, by the next turn, which has read everything that happened before.
        }

        if (fold.IsCompleted && replica.IsFoldDue)
        {
            fold = Task.Run(FoldAsync);
        }
    }

    /// <summary>Writes the devices of its slots to their rows; what fails is done at the next time.</summary>
    public async Task FoldAsync()
    {
        try
        {
            await replica!.FoldAsync(checker, turn).ConfigureAwait(false);
        }
        catch (Exception failed) when (PostgresFailure.Is(failed))
        {
            // The journal has it all; a look says how the database is.
        }
    }

    private static PostgresStore Join(PostgresOptions options, Checker checker, TimeProvider time) =>
        PostgresStore.OpenAsync(options, checker, time).GetAwaiter().GetResult();

    private async Task<string?> AppendAsync(FactBatch batch, TimeSpan aheadMax)
    {
        if (ended.Task.IsCompleted)
        {
            return ended.Task.Result;
        }

        lock (turn)
        {
            if (RefusalOf(batch, time.GetUtcNow().ToUnixTimeMilliseconds(), aheadMax) is string refusal)
            {
                return refusal;
            }
        }

        long writing = time.GetTimestamp();
        try
        {
            await replica!.AppendAsync(batch).ConfigureAwait(false);
            Kept?.Invoke(time.GetElapsedTime(writing));
            return null;
        }
        catch (IOException failed)
        {
            return "what arrives cannot be kept: " + failed.Message;
        }
    }

    private (List<Alarm> Alarms, List<Transition> Changes) Judge(Glance glance)
    {
        var alarms = new List<Alarm>();
        var changes = new List<Transition>();
        lock (turn)
        {
            nowMs = glance.IsDrained ? Math.Max(nowMs, glance.NowMs) : nowMs;
            if (glance.OthersSure > 0)
            {
                // They renewed their leases without a break, so facts were taken in, and by now are all read: whatever kept this
                // replica from looking, the fleet was looked after.
                checker.Doubt.OnOthersLooked(nowMs);
            }
            else if (hasMissedLooks && glance.NowMs - lookedAtMs > liveness.SelfDoubtMs)
            {
                // It was the database, so facts were refused everywhere: they come again when their senders think it is time.
                checker.Doubt.Hold(glance.NowMs + liveness.SlowStartMs);
            }

            (hasMissedLooks, lookedAtMs) = (false, glance.NowMs);
            checker.Apply(tail, nowMs);
            foreach (ref readonly Fact fact in tail.Facts)
            {
                replica!.Touch(fact.Row, nowMs);
            }

            FactsApplied += tail.Count;
            Follow(glance, alarms);
            replica!.Accept(glance);
            if (glance.IsDrained)
            {
                TakeSlots(glance);
                long began = time.GetTimestamp();
                SweepAll();
                Swept?.Invoke(time.GetElapsedTime(began));
            }

            CollectWishes();
            replica.IsSure = checker.Doubt.HeldUntilMs <= nowMs;
            foreach (Transition change in checker.Transitions)
            {
                replica.Touch(change.Row, nowMs);
                changes.Add(change);
            }

            checker.ClearTransitions();
        }

        return (alarms, changes);
    }

    private void Follow(Glance glance, List<Alarm> news)
    {
        foreach ((Alarm kept, string subject, Acknowledgement? word) in glance.Alarms)
        {
            Alarm alarm = kept with { Subject = checker.NumberOf(kept.Kind, subject) };
            bool isNews = checker.Follow(alarm, nowMs);
            if (word is not null && checker.Alarms.AcknowledgementOf(alarm.Number) is null)
            {
                isNews |= checker.Alarms.Acknowledge(alarm.Number, word) is not null;
            }

            if (isNews)
            {
                news.Add(alarm);
            }
        }

        if (haveWishesBeenKept)
        {
            haveWishesBeenKept = false;
            checker.Alarms.ForgetWishes();
        }
    }

    private void TakeSlots(Glance glance)
    {
        bool[] gained = new bool[Share.Slots];
        for (int slot = 0; slot < Share.Slots; slot++)
        {
            SlotState state = glance.Slots[slot];
            bool isHeld = state.Owner == replica!.Replica;
            gained[slot] = isHeld && (!share.Has(slot) || epochs[slot] != state.Epoch);
            epochs[slot] = state.Epoch;
            share.Set(slot, isHeld);
        }

        if (gained.Contains(true))
        {
            // What was wished for in a former epoch will be dropped; so that it can be wished again.
            wishes.RemoveAll(wish => gained[wish.Slot]);
            checker.Alarms.ForgetWishes();
            checker.TakeOver(gained, nowMs);
        }
    }

    private void SweepAll()
    {
        while (checker.Sweep(nowMs, LooksPerTurn) == LooksPerTurn)
        {
        }

        checker.Reconcile(nowMs);
    }

    private void CollectWishes()
    {
        foreach (Alarm alarm in checker.Alarms.Changes)
        {
            int slot = checker.SlotOf(alarm.Kind, alarm.Subject);
            wishes.Add(new AlarmWish(alarm, checker.SubjectOf(alarm), slot, epochs[slot]));
        }

        checker.Alarms.ClearChanges();
    }

    private async Task RunReplicaAsync()
    {
        using var timer = new PeriodicTimer(Pace, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping.Token).ConfigureAwait(false))
            {
                try
                {
                    await TurnAsync().ConfigureAwait(false);
                }
                catch (Exception failed) when (PostgresFailure.Is(failed))
                {
                    // Said at /healthz; the next turn tries again, with the wishes that are left.
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
        catch (Exception over) when (over is StoreException or InvalidDataException)
        {
            ended.TrySetResult(over.Message);
        }

        await fold.ConfigureAwait(false);
    }
}
