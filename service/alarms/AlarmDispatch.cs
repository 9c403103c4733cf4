using System.Threading.Channels;

namespace Agent.Service.Alarms;

/// <summary>Carries what changes in the book of alarms to the outbox, and the outbox to the destinations.</summary>
/// <remarks>
/// <para>
/// The book is kept in the journal and the outbox in a file beside it, so a crash can fall between the two. It is told of an alarm only
/// when the journal has it; at the start everything the book holds is added to the outbox once more, which knows what it had. So an
/// episode that began is raised once and cleared once whenever the process dies, and one that the journal forgot was never told.
/// </para>
/// <para>
/// Turns of the checker end on several threads, and a clear may be told before its raise. Every clear is therefore added with its
/// raise: whichever comes second changes nothing. The road not taken: one transaction over both files; it would put the disk's second
/// wait into every turn.
/// </para>
/// </remarks>
public sealed partial class AlarmDispatch : IAsyncDisposable
{
    /// <summary>The outbox, within the folder.</summary>
    public const string FileName = "alarms.outbox";

    private const int AlarmsPerTurn = 256;

    private readonly AlarmSettings settings;
    private readonly CheckLoop loop;
    private readonly IAlarmOutbox outbox;
    private readonly AlarmDelivery delivery;
    private readonly TimeProvider time;
    private readonly ILogger logger;
    private volatile bool isEnding;
    private readonly Channel<Alarm> news = Channel.CreateUnbounded<Alarm>(new UnboundedChannelOptions { SingleReader = true });
    private Task pump = Task.CompletedTask;

    private AlarmDispatch(
        AlarmSettings settings, CheckLoop loop, Acknowledgements acknowledgements, IAlarmOutbox outbox, TimeProvider time, ILogger logger)
    {
        this.settings = settings;
        this.loop = loop;
        this.time = time;
        this.outbox = outbox;
        this.logger = logger;
        delivery = new AlarmDelivery(outbox, settings.Destinations, new AlarmDeliveryOptions
        {
            Time = time,
            OnNote = OnNote,
            OnTrouble = trouble => LogTrouble(logger, trouble),
        });
        loop.AlarmChanged += alarm => news.Writer.TryWrite(alarm);
        acknowledgements.Added += alarm => news.Writer.TryWrite(alarm);
        CatchUpAsync().GetAwaiter().GetResult();
    }

    /// <summary>Told of every attempt at a destination.</summary>
    public event Action<PostNote>? Posted;

    /// <summary>Whom it tells.</summary>
    public IReadOnlyList<Destination> Destinations => settings.Destinations;

    /// <summary>Episodes nobody was told of because the outbox was full.</summary>
    public long Overflown => outbox.Overflown;

    /// <summary>Opens the outbox and adds what the book holds.</summary>
    /// <param name="settings">Whom to tell.</param>
    /// <param name="folder">Where the checker keeps things; not needed by a replica, which has its outbox in the database.</param>
    /// <param name="loop">The checker; restored, and not yet running.</param>
    /// <param name="acknowledgements">Who knows of which alarm.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Told of what is given up, without addresses and secrets.</param>
    /// <exception cref="StoreException">The outbox cannot be had.</exception>
    public static AlarmDispatch Open(
        AlarmSettings settings, string? folder, CheckLoop loop, Acknowledgements acknowledgements, TimeProvider time, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(loop);
        ArgumentNullException.ThrowIfNull(acknowledgements);
        string path = loop.Replica is not null ? "the outbox in the database" : Path.Combine(folder!, FileName);
        try
        {
            IAlarmOutbox outbox = loop.Replica is { } replica ? new PostgresOutbox(replica) : FileOutbox.Open(path);
            return new AlarmDispatch(settings, loop, acknowledgements, outbox, time, logger);
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            throw new StoreException($"{path}: {failed.Message}", failed);
        }
    }

    /// <summary>Begins to tell.</summary>
    public void Start()
    {
        delivery.Start();
        pump = Task.Run(PumpAsync);
    }

    /// <summary>Episodes of which a destination has not been told everything yet.</summary>
    public int Waiting(string destination) => outbox.Waiting(destination);

    /// <summary>Posts a test message to a destination at once.</summary>
    /// <returns>What came of it; null = there is no such destination.</returns>
    public async Task<PostNote?> TestAsync(string destination, CancellationToken cancellation) =>
        settings.Destinations.Any(each => each.Name == destination)
            ? await delivery.TestAsync(destination, settings.Installation, cancellation).ConfigureAwait(false)
            : null;

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        isEnding = true;
        news.Writer.TryComplete();
        await pump.ConfigureAwait(false);
        await delivery.DisposeAsync().ConfigureAwait(false);
        await outbox.DisposeAsync().ConfigureAwait(false);
    }

    // A destination that is new hears of what begins from now on.
    private async Task CatchUpAsync()
    {
        (long last, Notice[] edges) = loop.Ask((checker, nowMs) => (
            checker.Alarms.LastNumber,
            checker.Alarms.Closed.Concat(checker.Alarms.Open).OrderBy(alarm => alarm.Number)
                .SelectMany(alarm => AlarmNotices.EdgesOf(alarm, checker, settings, nowMs)).ToArray()));
        foreach (Destination destination in settings.Destinations)
        {
            await outbox.IntroduceAsync(destination.Name, last).ConfigureAwait(false);
        }

        await outbox.AppendAsync(edges, settings.Destinations).ConfigureAwait(false);
    }

    private async Task PumpAsync()
    {
        var turn = new List<Alarm>();
        while (await news.Reader.WaitToReadAsync().ConfigureAwait(false))
        {
            turn.Clear();
            while (turn.Count < AlarmsPerTurn && news.Reader.TryRead(out Alarm? alarm))
            {
                turn.Add(alarm);
            }

            Notice[] edges = loop.Ask((checker, nowMs) =>
                turn.SelectMany(alarm => AlarmNotices.EdgesOf(alarm, checker, settings, nowMs)).ToArray());
            await AppendAsync(edges).ConfigureAwait(false);
            delivery.Wake();
        }
    }

    private async Task AppendAsync(Notice[] edges)
    {
        while (true)
        {
            try
            {
                await outbox.AppendAsync(edges, settings.Destinations).ConfigureAwait(false);
                return;
            }
            catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
            {
                LogTrouble(logger, $"outbox: {failed.GetType().Name}");
                // In a file it is told all the same while this process lives, and a later start adds it again. A database comes back;
                // until then the news waits here, and is in the book for whoever starts next.
                if (outbox is FileOutbox || isEnding)
                {
                    return;
                }

                await Task.Delay(TimeSpan.FromSeconds(1), time).ConfigureAwait(false);
            }
        }
    }

    private void OnNote(PostNote note)
    {
        if (note.IsGivenUp)
        {
            LogGivenUp(logger, note.Id, note.Destination, note.Outcome, note.Status);
        }

        Posted?.Invoke(note);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "alarms: {Trouble}")]
    private static partial void LogTrouble(ILogger logger, string trouble);

    [LoggerMessage(Level = LogLevel.Warning, Message = "alarm {Id} is given up at {Destination}: {Outcome}, status {Status}")]
    private static partial void LogGivenUp(ILogger logger, string id, string destination, PostOutcome outcome, int status);
}
