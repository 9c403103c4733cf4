namespace Agent.Service;

/// <summary>Drives the checker: takes turns, reads the clock, keeps what happened.</summary>
/// <remarks>
/// The one place where the pure machine meets clock, disk and threads. Every turn ends with a note to the store, and nobody outside
/// is told of an alarm or gets his 200 before the disk has it.
/// </remarks>
public sealed partial class CheckLoop : IDisposable
{
    private const int LooksPerTurn = 20_000;
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(TimingWheel.TickMs);

    private readonly Lock turn = new();
    private readonly Checker checker;
    private readonly EmbeddedStore? store;
    private readonly TimeProvider time;
    private readonly LivenessSettings liveness;
    private readonly CancellationTokenSource stopping = new();
    private Task loop = Task.CompletedTask;
    private long nowMs;

    /// <param name="options">Folder and patience.</param>
    /// <param name="time">The only clock.</param>
    /// <exception cref="StoreException">The folder cannot be used.</exception>
    public CheckLoop(ServiceOptions options, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(options);
        this.time = time;
        liveness = options.Liveness;
        // Whoever may register devices must not know which ids collide.
        checker = new Checker(options.Liveness, (ulong)Random.Shared.NextInt64());
        if (options.Postgres is not null)
        {
            replica = Join(options.Postgres, checker, time);
            checker.ShareWith(share);
            return;
        }

        if (options.Folder is not null)
        {
            store = EmbeddedStore.Open(options.Folder, options.Store, checker);
        }

        nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        checker.FinishRestore(nowMs);
    }

    /// <summary>Where things are kept; null = nowhere.</summary>
    public EmbeddedStore? Store => store;

    /// <summary>Facts taken in since the start.</summary>
    public long FactsApplied { get; private set; }

    /// <summary>
    /// Told every alarm that was raised or cleared, in order, once it is kept. This is where delivery plugs in; a handler must not block.
    /// </summary>
    public event Action<Alarm>? AlarmChanged;

    /// <summary>Told of every change of a status, once it is kept. This is where a live page plugs in; a handler must not block.</summary>
    public event Action<Transition>? StatusChanged;

    /// <summary>Told of facts that are kept, and when they came, UTC milliseconds; a handler must not block nor keep them.</summary>
    public event Action<FactBatch, long>? FactsTaken;

    /// <summary>Told how long it took until facts were kept.</summary>
    public event Action<TimeSpan>? Kept;

    /// <summary>Told how long a look at what is due took.</summary>
    public event Action<TimeSpan>? Swept;

    /// <summary>Begins to look at the devices whose time has come, until <see cref="Dispose"/>.</summary>
    public void Run() => loop = Task.Run(replica is null ? RunAsync : RunReplicaAsync);

    /// <summary>Takes facts in and ends when they are kept.</summary>
    /// <returns>Why not, in one line; null = they are kept. Whoever sent them may send them again.</returns>
    public async Task<string?> TakeAsync(FactBatch batch, TimeSpan aheadMax)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (replica is not null)
        {
            return await AppendAsync(batch, aheadMax).ConfigureAwait(false);
        }

        Task kept;
        (Alarm[] alarms, Transition[] changes) news;
        long now;
        lock (turn)
        {
            now = Now();
            if (RefusalOf(batch, now, aheadMax) is string refusal)
            {
                return refusal;
            }

            checker.Apply(batch, now);
            FactsApplied += batch.Count;
            news = Note(batch);
            kept = store?.CommitAsync() ?? Task.CompletedTask;
        }

        long writing = time.GetTimestamp();
        try
        {
            await kept.ConfigureAwait(false);
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            return "what arrives cannot be kept: the disk does not take it";
        }

        Kept?.Invoke(time.GetElapsedTime(writing));
        FactsTaken?.Invoke(batch, now);
        Tell(news);
        return null;
    }

    /// <summary>Asks the checker something, at this moment.</summary>
    public T Ask<T>(Func<Checker, long, T> question)
    {
        ArgumentNullException.ThrowIfNull(question);
        SweepOnce();
        lock (turn)
        {
            return question(checker, Now());
        }
    }

    /// <summary>Declares nobody new late or silent for so long: who brings the facts cannot for the moment.</summary>
    public void HoldJudgement(TimeSpan length)
    {
        lock (turn)
        {
            checker.Doubt.Hold(Now() + (long)length.TotalMilliseconds);
        }
    }

    /// <summary>Looks at every device whose time has come. A replica does so in its turns: time stands still between them.</summary>
    public void SweepOnce()
    {
        if (replica is not null)
        {
            return;
        }

        int looks;
        do
        {
            (Alarm[], Transition[]) news;
            Task kept;
            lock (turn)
            {
                looks = checker.Sweep(Now(), LooksPerTurn);
                if (checker.Transitions.Count == 0 && checker.Alarms.Changes.Count == 0)
                {
                    continue;
                }

                news = Note(null);
                kept = store?.CommitAsync() ?? Task.CompletedTask;
            }

            try
            {
                kept.GetAwaiter().GetResult();
                Tell(news);
            }
            catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
            {
                return; // The store says so at /healthz; what is not kept is not told.
            }
        }
        while (looks == LooksPerTurn);
    }

    /// <summary>Takes a snapshot if the journal has grown enough.</summary>
    public void SnapshotIfWorthIt()
    {
        if (store is not null && store.Failure is null && store.WantsSnapshot(checker))
        {
            store.TakeSnapshot(checker, turn);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        stopping.Cancel();
        loop.Wait(TimeSpan.FromSeconds(10));
        store?.Dispose();
        replica?.DisposeAsync().AsTask().Wait(TimeSpan.FromSeconds(10));
        stopping.Dispose();
    }

    // A wall clock may step back; the checker's time does not. A replica's is the database's, as of its latest turn.
    private long Now() => replica is null ? nowMs = Math.Max(nowMs, time.GetUtcNow().ToUnixTimeMilliseconds()) : nowMs;

    private string? RefusalOf(FactBatch batch, long now, TimeSpan aheadMax) =>
        batch.LatestMs > now + aheadMax.TotalMilliseconds
            ? $"an event is stamped more than {aheadMax.TotalMinutes} minutes ahead of this machine's clock: one of the two is wrong"
        : !checker.HasRoomFor(batch) ? "no room for more devices"
        : null;

    private (Alarm[] Alarms, Transition[] Changes) Note(FactBatch? batch)
    {
        (Alarm[], Transition[]) news = (
            AlarmChanged is null ? [] : [.. checker.Alarms.Changes],
            StatusChanged is null ? [] : [.. checker.Transitions]);
        if (store is not null)
        {
            store.Note(checker, batch);
        }
        else
        {
            checker.ClearTransitions();
            checker.Alarms.ClearChanges();
        }

        return news;
    }

    private void Tell((Alarm[] Alarms, Transition[] Changes) news)
    {
        foreach (Alarm alarm in news.Alarms)
        {
            AlarmChanged?.Invoke(alarm);
        }

        foreach (Transition change in news.Changes)
        {
            StatusChanged?.Invoke(change);
        }
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(Pace, time);
        Task snapshot = Task.CompletedTask;
        try
        {
            while (await timer.WaitForNextTickAsync(stopping.Token).ConfigureAwait(false))
            {
                long began = time.GetTimestamp();
                SweepOnce();
                Swept?.Invoke(time.GetElapsedTime(began));
                if (snapshot.IsCompleted)
                {
                    snapshot = Task.Run(SnapshotIfWorthIt, stopping.Token);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }

        await snapshot.ContinueWith(_ => { }, TaskScheduler.Default).ConfigureAwait(false);
    }
}
