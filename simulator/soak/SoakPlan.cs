using Agent.Core;
using Agent.Fleet;
using Agent.Hub;
using Agent.Service;

namespace Agent.Soak;

/// <summary>What can go wrong in a soak; each seed switches on some of it.</summary>
public enum SoakFault
{
    /// <summary>Wi-Fi is gone, and the device is told.</summary>
    WifiLost,

    /// <summary>Packets are held up both ways and nobody is told.</summary>
    BlackHole,

    /// <summary>Only what the device sends is held up.</summary>
    UplinkHeld,

    /// <summary>TCP ends with FIN.</summary>
    Fin,

    /// <summary>TCP ends with RST.</summary>
    Reset,

    /// <summary>The hub answers CONNACK 5.</summary>
    RefusedByKey,

    /// <summary>The hub is out of order: connections cut, attempts refused with 3.</summary>
    HubDown,

    /// <summary>The hub hangs up on attempts.</summary>
    Throttled,

    /// <summary>The hub takes packets and answers nothing.</summary>
    SilentHub,

    /// <summary>The device is disabled.</summary>
    Disabled,

    /// <summary>A second client uses the identity.</summary>
    Rival,

    /// <summary>Names do not resolve.</summary>
    NoName,

    /// <summary>Port 8883 is refused or swallowed.</summary>
    PortBlocked,

    /// <summary>TLS fails.</summary>
    TlsFails,

    /// <summary>Acknowledgements come late or never.</summary>
    LateAck,

    /// <summary>The day's messages are used up: a message costs the connection.</summary>
    Quota,

    /// <summary>The device's clock jumps.</summary>
    ClockJump,

    /// <summary>Power cut.</summary>
    PowerCut,

    /// <summary>Power cut in the middle of a flash write.</summary>
    FlashCut,

    /// <summary>The application stands still for a while.</summary>
    Hang,

    /// <summary>Someone calls a method: reboot, renewNow, setSettings, or one of the diagnostics.</summary>
    Method,

    /// <summary>Someone changes the twin: good, refused, or such that the connection is lost.</summary>
    TwinChange,

    /// <summary>The twin or a method changes settings in the very moment of a renewal.</summary>
    ChangeAtRenewal,

    /// <summary>The checker restarts from its journal.</summary>
    CheckerRestart,

    /// <summary>The checker is away; what it missed is delivered again later.</summary>
    CheckerDown,

    /// <summary>Events come late, twice and in any order.</summary>
    EventsLate,
}

/// <summary>A small fleet of one SDK in a soak.</summary>
/// <param name="Sdk">As in a scenario.</param>
/// <param name="Count">Devices.</param>
/// <param name="Settings">Lifetime and heartbeat.</param>
public sealed record SoakFleet(string Sdk, int Count, ClientSettings Settings);

/// <summary>Everything a seed decides before its world begins.</summary>
/// <remarks>
/// Swarm testing (Groce et al., 2012): a seed does not use every fault, it draws which ones it uses. Two faults that hide each other
/// are then sometimes alone, and a world with none at all is calm, in which nothing whatever may alarm.
/// </remarks>
public sealed record SoakPlan
{
    private const long MinuteMs = 60_000;

    public required ulong Seed { get; init; }

    /// <summary>Default settings of each agent, one entry a device.</summary>
    public required IReadOnlyList<TokenSettings> Agents { get; init; }

    public required IReadOnlyList<SoakFleet> Fleets { get; init; }

    public required IReadOnlyList<SoakFault> Faults { get; init; }

    public required HubOptions Hub { get; init; }

    public required LivenessSettings Liveness { get; init; }

    /// <summary>Length of the phase with faults.</summary>
    public required long SafetyMs { get; init; }

    /// <summary>Length of the phase after they stopped.</summary>
    public required long LivenessMs { get; init; }

    public required int LatencyMsMin { get; init; }

    public required int LatencyMsMax { get; init; }

    /// <summary>Where the hub's monotonic clock stands at the beginning; sometimes just before 2^32 ms.</summary>
    public required long HubUptimeMs { get; init; }

    /// <summary>Where the devices' clocks stand at a start.</summary>
    public required long DeviceUptimeMs { get; init; }

    /// <summary>How often an application sends a message of its own; 0 = never.</summary>
    public required int MessageEverySeconds { get; init; }

    /// <summary>When applications stop sending, ms: what is in a queue at the end has been forgotten there.</summary>
    public required long SendsUntilMs { get; init; }

    /// <summary>Whether agents know the date at power-on, as a PC does.</summary>
    public required bool KnowsTime { get; init; }

    public required int QueueMemoryBytes { get; init; }

    /// <summary>Longest time an event is on its way to the checker, ms.</summary>
    public required int DeliveryMsMax { get; init; }

    /// <summary>Draws a plan.</summary>
    public static SoakPlan Draw(ulong seed)
    {
        var dice = new Dice(seed, 1);
        bool isCalm = dice.Chance(8);
        SoakFault[] faults = isCalm ? [] : [.. Enum.GetValues<SoakFault>().Where(_ => dice.Chance(28))];
        bool late = faults.Contains(SoakFault.EventsLate);
        int latencyMin = dice.Of(1, 10, 40, 150);
        long safetyMs = dice.Between(45, 150) * MinuteMs;
        return new SoakPlan
        {
            Seed = seed,
            Agents = [.. Enumerable.Range(0, dice.Between(1, dice.Chance(15) ? 20 : 6)).Select(_ => DrawSettings(dice))],
            Fleets = [.. Enumerable.Range(0, dice.Below(4)).Select(_ => DrawFleet(dice))],
            Faults = faults,
            Hub = DrawHub(dice),
            Liveness = new LivenessSettings
            {
                MissedBeforeSilent = dice.Between(1, 3),
                DeliverySlackMs = dice.Of(5_000L, 10_000, 30_000),
                SilentAlarmMs = dice.Of(0L, 0, 60_000),
                MassLossDevices = dice.Of(20, 20, 6),
            },
            SafetyMs = safetyMs,
            LivenessMs = 45 * MinuteMs,
            LatencyMsMin = latencyMin,
            LatencyMsMax = latencyMin + dice.Of(0, 20, 300),
            HubUptimeMs = dice.Chance(30) ? uint.MaxValue - (dice.Between(1, 60) * MinuteMs) : dice.Below(1_000_000),
            DeviceUptimeMs = dice.Chance(30)
                ? dice.Of(int.MaxValue, (long)uint.MaxValue) - (dice.Between(1, 60) * MinuteMs)
                : dice.Below(5000),
            MessageEverySeconds = dice.Of(0, 20, 60, 300),
            SendsUntilMs = dice.Of(safetyMs / 2, safetyMs - (5 * MinuteMs), safetyMs + (20 * MinuteMs)),
            KnowsTime = dice.Chance(40),
            QueueMemoryBytes = dice.Of(256, 512, 1024),
            DeliveryMsMax = late ? dice.Of(5_000, 30_000, 90_000) : 1_500,
        };
    }

    /// <summary>The plan in a few lines, for the story of a failing seed.</summary>
    public IEnumerable<string> Describe()
    {
        yield return $"agents {Agents.Count}, " + (Fleets.Count == 0
            ? "no SDK models"
            : string.Join(", ", Fleets.Select(fleet => $"{fleet.Sdk} {fleet.Count}")));
        yield return $"faults {(Faults.Count == 0 ? "none" : string.Join(", ", Faults))}";
        yield return $"safety {SafetyMs / MinuteMs} min, then {LivenessMs / MinuteMs} min without faults; "
            + $"network {LatencyMsMin} to {LatencyMsMax} ms, events up to {DeliveryMsMax / 1000.0} s late";
        yield return $"grace {Hub.GraceMinMs / 1000} to {Hub.GraceMaxMs / 1000} s, {Liveness.MissedBeforeSilent} missed, "
            + $"slack {Liveness.DeliverySlackMs / 1000} s, hub up {HubUptimeMs} ms, devices {DeviceUptimeMs} ms";
    }

    private static HubOptions DrawHub(Dice dice)
    {
        long graceMs = dice.Of(300_000L, 600_000, 120_000);
        return new HubOptions { GraceMinMs = graceMs, GraceMaxMs = graceMs + dice.Of(0L, 300_000) };
    }

    private static TokenSettings DrawSettings(Dice dice)
    {
        var draft = new TokenSettingsDraft
        {
            LifetimeSeconds = dice.Of(300, 600, 900, 1800, 3600),
            RenewAtPercent = dice.Between(50, 90),
            SpreadPercent = dice.Below(21),
            RenewMode = dice.Of(RenewMode.Clean, RenewMode.Clean, RenewMode.Takeover, RenewMode.Prewarm),
            BackoffMinSeconds = dice.Between(1, 3),
            BackoffMaxSeconds = dice.Of(10, 30, 60, 120),
            ReconnectSpreadSeconds = dice.Of(0, 0, 0, 30),
            KeepAliveSeconds = dice.Of(20, 60, 240),
            HeartbeatIntervalSeconds = dice.Of(20, 30, 60, 120, 300),
            DiagnosticsLevel = dice.Of(DiagnosticsLevel.Off, DiagnosticsLevel.Summary, DiagnosticsLevel.Full),
        };
        return draft.TryBuild(out TokenSettings settings, out string[] problems)
            ? settings
            : throw new InvalidOperationException(string.Join("; ", problems));
    }

    private static SoakFleet DrawFleet(Dice dice)
    {
        SdkEntry sdk = dice.OneOf(SdkCatalog.All.Where(entry => entry.Id != "agent").ToList());
        var settings = new ClientSettings
        {
            LifetimeSeconds = sdk.TakesLifetime ? dice.Of(1200, 1800, 3600) : null,
            HeartbeatEveryMs = dice.Of(30_000, 60_000, 300_000),
        };
        return new SoakFleet(sdk.Id, dice.Between(1, 4), settings);
    }
}
