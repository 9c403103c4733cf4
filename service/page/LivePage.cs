using System.Text.Json;
using Agent.Service.Alarms;

namespace Agent.Service;

/// <summary>Totals by status as the JSON answers and events show them.</summary>
public sealed record TotalsText(
    int Total, int Unknown, int Online, int Late, int Silent, int Renewing, int Flapping, int Retired)
{
    public static TotalsText From(Checker checker)
    {
        ArgumentNullException.ThrowIfNull(checker);
        return new TotalsText(
            checker.Count,
            checker.CountOf(Status.Unknown),
            checker.CountOf(Status.Online),
            checker.CountOf(Status.Late),
            checker.CountOf(Status.Silent),
            checker.CountOf(Status.Renewing),
            checker.CountOf(Status.Flapping),
            checker.CountOf(Status.Retired));
    }
}

/// <summary>A change of status as the JSON answers and events show it.</summary>
public sealed record ChangeText(string? Device, string At, string From, string To, string Cause, string Reason)
{
    public static ChangeText Of(in Transition change, string? device) => new(
        device,
        DeviceText.Moment(change.SinceMs)!,
        DeviceText.StatusNames[(int)change.From],
        DeviceText.StatusNames[(int)change.To],
        CauseText.NameOf(change.Cause),
        CauseText.SentenceOf(change.Cause));
}

/// <summary>Drives the page's memory: listens to the checker, samples it, and publishes what changed.</summary>
/// <remarks>
/// Four times a second at most one event of each kind, however much happens: a hundred changes by name, the rest as a number. A page that
/// reads "and 99,900 more" loads its lists anew, which costs the same for any fleet; a hundred thousand lines a listener would not.
/// </remarks>
public sealed class LivePage(CheckLoop loop, TimeProvider time) : BackgroundService
{
    private const int NamedMax = 100;
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(TimingWheel.TickMs);

    private readonly Lock gate = new();
    private readonly FleetHistory history = new();
    private readonly RecentChanges recent = new();
    private readonly DeviceWatch watch = new();
    private readonly List<Transition> changes = [];
    private readonly List<Alarm> alarms = [];
    private long moreChanges;
    private long moreAlarms;
    private TotalsText? told;

    /// <summary>What listeners read.</summary>
    public LiveFeed Feed { get; } = new(time.GetUtcNow().ToUnixTimeMilliseconds());

    /// <summary>Adds the page's routes and begins to listen to the checker.</summary>
    /// <param name="application">Whose.</param>
    /// <param name="acknowledgements">News of alarms as well.</param>
    public void Map(WebApplication application, Acknowledgements acknowledgements)
    {
        ArgumentNullException.ThrowIfNull(application);
        ArgumentNullException.ThrowIfNull(acknowledgements);
        acknowledgements.Added += OnAlarmChanged;
        loop.StatusChanged += OnStatusChanged;
        loop.AlarmChanged += OnAlarmChanged;
        PageFiles.Map(application);
        var routes = new PageRoutes(loop, this);
        application.MapGet("/fleet", routes.ShowFleet);
        application.MapGet("/sites", routes.ListSites);
        application.MapGet("/worst", routes.ListWorst);
        application.MapGet("/devices/{id}/history", routes.ShowHistory);
        var live = new LiveRoute(Feed, time, application.Lifetime.ApplicationStopping);
        application.MapGet("/live", live.StreamAsync);
    }

    /// <summary>The fleet's totals over the last hour or day.</summary>
    public (long StepMs, FleetSample[] Samples) HistoryOf(bool isDay, long nowMs)
    {
        lock (gate)
        {
            return history.Of(isDay, nowMs);
        }
    }

    /// <summary>What is remembered of one device, which is watched from now on; its changes and marks are in order of time.</summary>
    public (long? SinceMs, Transition[] Changes, Mark[] Marks) LaneOf(Checker checker, int row, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(checker);
        lock (gate)
        {
            DeviceView view = checker.At(row, nowMs);
            watch.Begin(row, view, checker.Table.Cold(row).Connects);
            watch.Look(row, view);
            return (recent.SinceMs, recent.Of(row, DeviceWatch.MarksMax), watch.Of(row));
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        base.Dispose();
        // The loop it asks is disposed of next.
        ExecuteTask?.ContinueWith(_ => { }, TaskScheduler.Default).Wait(TimeSpan.FromSeconds(10));
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Pace, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false))
            {
                Tick();
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    private void OnStatusChanged(Transition change)
    {
        lock (gate)
        {
            recent.Add(change);
            if (changes.Count < NamedMax)
            {
                changes.Add(change);
            }
            else
            {
                moreChanges++;
            }
        }
    }

    private void OnAlarmChanged(Alarm alarm)
    {
        lock (gate)
        {
            if (alarms.Count < NamedMax)
            {
                alarms.Add(alarm);
            }
            else
            {
                moreAlarms++;
            }
        }
    }

    private void Tick()
    {
        (string Name, object Data)[] news = loop.Ask(Look);
        foreach ((string name, object data) in news)
        {
            Feed.Publish(name, JsonSerializer.Serialize(data, JsonSerializerOptions.Web));
        }
    }

    // Lock order: the checker's turn, then the gate. The handlers above are called outside the turn.
    private (string Name, object Data)[] Look(Checker checker, long nowMs)
    {
        var news = new List<(string, object)>();
        string now = DeviceText.Moment(nowMs)!;
        TotalsText totals = TotalsText.From(checker);
        lock (gate)
        {
            Span<int> counts = stackalloc int[FleetHistory.StatusCount];
            for (int status = 0; status < counts.Length; status++)
            {
                counts[status] = checker.CountOf((Status)status);
            }

            history.Add(nowMs, counts);
            foreach (int row in watch.Rows)
            {
                watch.Look(row, checker.At(row, nowMs));
            }

            if (totals != told)
            {
                told = totals;
                news.Add(("totals", new { now, totals }));
            }

            if (changes.Count > 0)
            {
                var named = changes.Select(change => ChangeText.Of(change, checker.Table.Id(change.Row))).ToArray();
                news.Add(("changes", new { now, changes = named, more = moreChanges }));
                changes.Clear();
                moreChanges = 0;
            }

            if (alarms.Count > 0)
            {
                var named = alarms.Select(alarm => AlarmText.From(alarm, checker)).ToArray();
                news.Add(("alarms", new { now, open = checker.Alarms.Open.Count, alarms = named, more = moreAlarms }));
                alarms.Clear();
                moreAlarms = 0;
            }
        }

        return [.. news];
    }
}
