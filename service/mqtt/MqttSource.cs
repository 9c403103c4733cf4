using Agent.Service.Metrics;

namespace Agent.Service.Mqtt;

/// <summary>What came from the broker since the start.</summary>
public sealed class MqttCounts
{
    /// <summary>Messages.</summary>
    public long Received { get; internal set; }

    /// <summary>Facts that were kept and, where the broker asks for it, acknowledged.</summary>
    public long Taken { get; internal set; }

    /// <summary>Messages whose topic names no device; acknowledged, for they would only come again.</summary>
    public long Malformed { get; internal set; }

    /// <summary>Properties of heartbeats that made no sense.</summary>
    public long Problems { get; internal set; }

    /// <summary>Messages too large to be looked into: signs of life.</summary>
    public long TooLarge { get; internal set; }

    /// <summary>Retained messages, which say nothing about now.</summary>
    public long Retained { get; internal set; }

    /// <summary>Connections.</summary>
    public long Connects { get; internal set; }

    /// <summary>Connections at which the broker had kept what came meanwhile.</summary>
    public long SessionsResumed { get; internal set; }
}

/// <summary>Listens to a plain MQTT broker for as long as the service runs.</summary>
/// <remarks>
/// The session is persistent where the service keeps a folder: the broker holds messages while this program is away. Attempts come after
/// half a second to a second and then ever more rarely, up to once a minute, with jitter: many checkers of one broker must not all come
/// at once. While the broker is away no device can be heard, so for two minutes nobody is declared late for it; after that the fleet is
/// lost to us, which is one alarm and true. When it is back the devices get time to be heard.
/// </remarks>
public sealed partial class MqttSource(
    MqttSettings settings, string? folder, CheckLoop loop, ServiceMetrics? metrics, TimeProvider time, ILogger<MqttSource> log)
    : BackgroundService
{
    private static readonly TimeSpan WaitFirst = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan WaitMax = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan HoldMax = TimeSpan.FromMinutes(2);

    private readonly string clientId = folder is null
        ? "agent" + Guid.NewGuid().ToString("n")[..16]
        : MqttSettings.ClientIdFor(folder, Environment.MachineName);

    private readonly MessageReader reader = new(settings.Topic);
    private volatile string? trouble = "not connected yet";
    private bool wasReady;
    private long lostAtMs;

    /// <summary>What came so far.</summary>
    public MqttCounts Counts { get; } = new();

    /// <summary>Why there is no connection; null = there is one.</summary>
    public string? Trouble => trouble;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (settings.Password is not null && !settings.IsTls)
        {
            LogPlainPassword(settings.ToString());
        }

        for (int failures = 0; !stoppingToken.IsCancellationRequested;)
        {
            wasReady = false;
            try
            {
                using var link = new MqttLink(settings, reader, Counts, TakeAsync, time) { OnReady = OnReady };
                await link.RunAsync(clientId, isClean: folder is null, stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (MqttException ended)
            {
                failures = wasReady ? 0 : failures + 1;
                OnLost(ended.Message);
            }

            TimeSpan wait = WaitAfter(failures, Random.Shared.NextDouble());
            HoldFor(wait + Settle);
            try
            {
                await Task.Delay(wait, time, stoppingToken);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    /// <summary>How long to wait after this many failed attempts in a row.</summary>
    /// <param name="failures">0 or more.</param>
    /// <param name="chance">0 to 1.</param>
    public static TimeSpan WaitAfter(int failures, double chance)
    {
        double seconds = Math.Min(WaitMax.TotalSeconds, WaitFirst.TotalSeconds * Math.Pow(2, Math.Min(failures, 16)));
        return TimeSpan.FromSeconds(seconds * (0.5 + (chance / 2)));
    }

    private async Task<string?> TakeAsync(ReadOutcome outcome)
    {
        string? refusal = await loop.TakeAsync(outcome.Facts, FactRoutes.AheadMax);
        metrics?.OnRefused(refusal is null ? "senseless" : "notKept", refusal is null ? outcome.Problems.Count : outcome.Facts.Count);
        return refusal;
    }

    private void OnReady()
    {
        wasReady = true;
        Counts.Connects++;
        if (Counts.Connects > 1)
        {
            LogBack(settings.ToString());
            loop.HoldJudgement(Settle);
        }

        lostAtMs = 0;
        trouble = null;
    }

    private void OnLost(string why)
    {
        if (trouble != why)
        {
            LogLost(settings.ToString(), why); // Once for each trouble and not for each attempt.
        }

        trouble = why;
        lostAtMs = lostAtMs == 0 ? time.GetUtcNow().ToUnixTimeMilliseconds() : lostAtMs;
    }

    private void HoldFor(TimeSpan length)
    {
        TimeSpan left = DateTimeOffset.FromUnixTimeMilliseconds(lostAtMs) + HoldMax - time.GetUtcNow();
        if (Counts.Connects > 0 && left > TimeSpan.Zero)
        {
            loop.HoldJudgement(left < length ? left : length);
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "no connection to {Broker}: {Why}")]
    private partial void LogLost(string broker, string why);

    [LoggerMessage(2, LogLevel.Warning, "connected to {Broker} again")]
    private partial void LogBack(string broker);

    [LoggerMessage(3, LogLevel.Warning, "the password goes to {Broker} without TLS")]
    private partial void LogPlainPassword(string broker);
}
