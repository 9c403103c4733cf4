using System.Globalization;

namespace Agent.Service.Doctor;

/// <summary>Walks the vendor's troubleshooting checklist over what was found: findings in, steps with verdicts out. Pure.</summary>
/// <remarks>
/// <para>
/// The vendor's order (connectivity page, facts/iothub.md key conn): fleet or device? the log's error and its guide; token renewal;
/// enabled? port 8883 open? We ask the cheap and decisive questions first and put the fleet's trouble in front of the advice,
/// because it makes every other finding a symptom.
/// </para>
/// <para>
/// No step concludes from silence: "no error in the log" is said as that, since resource logs may be late or lost (§3), and a port that is
/// open from here says nothing about a firewall where the device is. Each such limit stands in the finding.
/// </para>
/// </remarks>
public static class Checklist
{
    private const long MinuteMs = 60_000;
    private const long DayMs = 24 * 60 * MinuteMs;
    private const long ClockOffMs = 5 * MinuteMs; // facts/iothub.md §1.3: more makes connects fail.
    private const int ExpiryWarningDays = 30;
    private const int BlackBoxShown = 5;
    private const double FleetShare = 0.15;
    private const int FleetDevices = 20;

    /// <summary>The steps, and what to try next.</summary>
    public static Diagnosis Walk(Findings findings)
    {
        Step[] steps =
        [
            Registered(findings),
            Enabled(findings),
            Heard(findings),
            LastError(findings),
            Credentials(findings),
            MqttPort(findings),
            Certificate(findings),
            OtherPort(findings),
            Fleet(findings),
            BlackBox(findings),
            .. findings.Reach is { } reach ? [Reachable(reach)] : Array.Empty<Step>(),
        ];
        return new Diagnosis(findings.DeviceId, findings.NowMs, steps, [.. Next(steps, findings)]);
    }

    private static Step Reachable(ReachFinding reach) => new(
        "reachable",
        "Can it be reached now?",
        reach.IsReachable switch { true => StepVerdict.Good, false => StepVerdict.Trouble, null => StepVerdict.Unknown },
        reach.Text);

    private static Step Registered(Findings findings)
    {
        const string Id = "registered";
        const string Title = "Is it registered?";
        return findings.Registry switch
        {
            null => new(Id, Title, StepVerdict.Unknown, "The hub was not asked: no service connection string was given.",
                "Give one with the right RegistryRead, or look it up in the portal."),
            { Outcome: RegistryOutcome.Found } => new(Id, Title, StepVerdict.Good, "The hub's registry knows it."),
            { Outcome: RegistryOutcome.NotFound } => new(Id, Title, StepVerdict.Trouble, "The hub's registry does not know this id.",
                "Register the device, or correct the id; ids are case-sensitive."),
            { } other => new(Id, Title, StepVerdict.Unknown, $"The hub could not be asked: {other.Problem}."),
        };
    }

    private static Step Enabled(Findings findings)
    {
        const string Id = "enabled";
        const string Title = "Is it enabled?";
        if (findings.Registry is not { Outcome: RegistryOutcome.Found } registry)
        {
            return new(Id, Title, StepVerdict.Unknown, "Not known without the registry.");
        }

        string why = registry.StatusReason.Length > 0 ? $" Reason given: {registry.StatusReason}." : "";
        return registry.IsEnabled
            ? new(Id, Title, StepVerdict.Good, "The identity is enabled.")
            : new(Id, Title, StepVerdict.Trouble, $"The identity is disabled; the hub refuses it.{why}",
                "Enable it if that was not meant.");
    }

    private static Step Heard(Findings findings)
    {
        const string Id = "heard";
        const string Title = "When was it last heard?";
        if (findings.Device is not { } device)
        {
            return findings.CheckerProblem is { } problem
                ? new(Id, Title, StepVerdict.Unknown, $"The checker could not be asked: {problem}.")
                : new(Id, Title, StepVerdict.Note, "The checker never heard of this device.",
                    "If it should have: does it send heartbeats, and do the hub's events reach the checker?");
        }

        string since = $"{device.Status} since {Moment(device.SinceMs)}";
        string sign = device.LastSignMs is { } at ? $", last sign of life {Ago(at, findings.NowMs)}" : "";
        string interval = device.IntervalSeconds is { } seconds
            ? string.Create(CultureInfo.InvariantCulture, $", a heartbeat every {seconds} s was announced") : "";
        string reason = device.Reason.Length > 0 ? $" {Sentence(device.Reason)}" : "";
        string state = findings.Registry is { Outcome: RegistryOutcome.Found, ConnectionState.Length: > 0 } registry
            ? $" The hub's own view, up to five minutes late: {registry.ConnectionState.ToLowerInvariant()}." : "";
        StepVerdict verdict = device.Status switch
        {
            "online" or "renewing" => StepVerdict.Good,
            "silent" or "flapping" => StepVerdict.Trouble,
            _ => StepVerdict.Note,
        };
        return new(Id, Title, verdict, $"The checker calls it {since}{sign}{interval}.{reason}{state}");
    }

    private static Step LastError(Findings findings)
    {
        const string Id = "lastError";
        const string Title = "What does the hub's log say?";
        if (findings.Device is not { } device)
        {
            return new(Id, Title, StepVerdict.Unknown, "Not known: the checker has no records of this device.");
        }

        if (device.LastError is not { } error)
        {
            return new(Id, Title, StepVerdict.Note,
                "No error of this device has reached the checker. Resource logs may be late or lost, and need a diagnostic setting.");
        }

        ErrorCause cause = ErrorCauses.Of(error.Code);
        string name = cause.Name.Length > 0 ? $" {cause.Name}" : "";
        bool isBack = (device.LastConnectMs ?? long.MinValue) > error.AtMs || device.LastSignMs > error.AtMs;
        string after = isBack ? " It has been heard since." : "";
        bool isRenewal = isBack && device.Rhythm.Length > 0 && (cause.IsOfCredentials || error.Code == 404104);
        string rhythm = device.Rhythm.Length > 0 ? $" It reconnects in a rhythm: {device.Rhythm}." : "";
        return new(
            Id, Title,
            isBack ? StepVerdict.Note : StepVerdict.Trouble,
            string.Create(
                CultureInfo.InvariantCulture,
                $"{error.Code}{name}, {Ago(error.AtMs, findings.NowMs)}: {Lower(cause.Cause)}{after}{rhythm}"),
            isRenewal ? "Nothing: this is how its SDK renews a token." : cause.Fix);
    }

    private static Step Credentials(Findings findings)
    {
        const string Id = "credentials";
        const string Title = "Token, certificate or clock?";
        KnownDevice? device = findings.Device;
        int newest = device?.BlackBox.FirstOrDefault()?.Reason ?? 0;
        bool isRefused = device?.LastError is { } error && ErrorCauses.Of(error.Code).IsOfCredentials
            && !((device.LastConnectMs ?? long.MinValue) > error.AtMs);
        if (findings.Registry?.HubAheadMs is { } ahead && Math.Abs(ahead) > ClockOffMs)
        {
            return new(Id, Title, StepVerdict.Trouble,
                $"This machine's clock is {Length(Math.Abs(ahead))} {(ahead > 0 ? "behind" : "ahead of")} the hub's.",
                "Set this machine's clock: what the checker says about deadlines is wrong until then.");
        }

        if (newest is 0x47 or 0x66)
        {
            return new(Id, Title, StepVerdict.Trouble, $"The device says itself: {DeviceReasons.Of(newest).Text}.",
                DeviceReasons.Of(newest).Advice);
        }

        string how = findings.Registry is { Outcome: RegistryOutcome.Found, AuthenticationType: { Length: > 0 } type }
            ? $" It signs in by {type}." : "";
        if (isRefused || newest is 0x63 or 0x64 or 0x67)
        {
            return new(Id, Title, StepVerdict.Trouble, $"The hub does not accept its sign-in.{how}",
                "In this order: the device's clock (more than five minutes off and every token is refused), then its key or certificate.");
        }

        if (device is null && findings.Registry?.HubAheadMs is null)
        {
            return new(Id, Title, StepVerdict.Unknown, "Not known: neither the checker nor the hub could say.");
        }

        string renewal = device?.RenewalMs is { } at && at < findings.NowMs && device.Status is "silent" or "late"
            ? " It went silent at about the time it had announced a renewal for." : "";
        return renewal.Length > 0
            ? new(Id, Title, StepVerdict.Trouble, renewal.TrimStart() + how,
                "Look whether it can get a new token: clock, key, memory for TLS.")
            : new(Id, Title, StepVerdict.Good, $"Nothing points to them.{how}");
    }

    private static Step MqttPort(Findings findings)
    {
        const string Id = "port8883";
        PortFinding? port = findings.Ports.FirstOrDefault(each => each.IsMqtt);
        string title = string.Create(CultureInfo.InvariantCulture, $"Is port {port?.Port ?? 8883} reachable from here?");
        if (port is null)
        {
            return new(Id, title, StepVerdict.Unknown, "Not tried: no hub was named.");
        }

        if (port.Stage == PortStage.Open)
        {
            return new(Id, title, StepVerdict.Good, string.Create(
                CultureInfo.InvariantCulture,
                $"TCP in {port.TcpMs} ms, {port.Protocol} in {port.TlsMs} ms more. A firewall where the device is may still block it."));
        }

        bool isOtherOpen = findings.Ports.Any(other => !other.IsMqtt && other.Stage == PortStage.Open);
        string advice = port.Stage switch
        {
            PortStage.Name => "Check the host name and the name server of this machine.",
            PortStage.Tcp when isOtherOpen =>
                "The other port passes: open outbound TCP 8883 in the firewall, or use MQTT over WebSocket on 443.",
            PortStage.Tcp => "Open outbound TCP 8883 in the firewall; if nothing passes, look at this machine's network.",
            _ => "Something between here and the hub does not let TLS through: look at proxy and TLS inspection.",
        };
        return new(Id, title, StepVerdict.Trouble, $"No: {port.Problem}.", advice);
    }

    private static Step Certificate(Findings findings)
    {
        const string Id = "certificate";
        const string Title = "Is the hub's certificate good?";
        PortFinding? port = findings.Ports.Where(each => each.Certificate is not null).MaxBy(each => each.IsMqtt);
        if (port?.Certificate is not { } certificate)
        {
            return new(Id, Title, StepVerdict.Unknown, "None was seen.");
        }

        long days = (certificate.NotAfterMs - findings.NowMs) / DayMs;
        string chain = string.Join(" < ", certificate.Names);
        if (findings.NowMs > certificate.NotAfterMs || findings.NowMs < certificate.NotBeforeMs)
        {
            return new(Id, Title, StepVerdict.Trouble,
                $"It is valid from {Moment(certificate.NotBeforeMs)} to {Moment(certificate.NotAfterMs)}, "
                + $"and now it is {Moment(findings.NowMs)}.",
                "If this machine's clock is right, the certificate must be renewed.");
        }

        if (!certificate.IsNameRight)
        {
            return new(Id, Title, StepVerdict.Trouble, $"It is not for {port.Host}: {chain}.",
                "Something answers in the hub's place: look at proxy and TLS inspection, or at the host name.");
        }

        if (certificate.ChainProblem.Length > 0)
        {
            return new(Id, Title, StepVerdict.Trouble,
                $"It does not lead to a root trusted here: {certificate.ChainProblem}. Chain: {chain}.",
                "Trust the hub's root (DigiCert Global Root G2; of a local hub its ca.pem, given with --ca), or take TLS inspection away.");
        }

        return new(
            Id, Title, days < ExpiryWarningDays ? StepVerdict.Note : StepVerdict.Good,
            string.Create(CultureInfo.InvariantCulture, $"Trusted, for this host, {days} days left. Chain: {chain}."),
            days < ExpiryWarningDays ? "See that it is renewed in time." : "");
    }

    private static Step OtherPort(Findings findings)
    {
        const string Id = "port443";
        PortFinding? port = findings.Ports.FirstOrDefault(each => !each.IsMqtt);
        string title = string.Create(CultureInfo.InvariantCulture, $"Is port {port?.Port ?? 443} reachable from here?");
        return port switch
        {
            null => new(Id, title, StepVerdict.Unknown, "Not tried: no hub was named."),
            { Stage: PortStage.Open } => new(Id, title, StepVerdict.Good, string.Create(
                CultureInfo.InvariantCulture, $"TCP in {port.TcpMs} ms, {port.Protocol} in {port.TlsMs} ms more.")),
            _ => new(Id, title, StepVerdict.Note, $"No: {port.Problem}. Only MQTT over WebSocket and HTTPS need it."),
        };
    }

    private static Step Fleet(Findings findings)
    {
        const string Id = "fleet";
        const string Title = "Is it only this device?";
        if (findings.Fleet is not { } fleet)
        {
            return new(Id, Title, StepVerdict.Unknown, "Not known: the checker has no fleet to compare with.");
        }

        string share = string.Create(CultureInfo.InvariantCulture, $"{fleet.Overdue} of {fleet.Devices} devices are overdue");
        bool isMany = fleet.Overdue >= FleetDevices && fleet.Overdue >= fleet.Devices * FleetShare;
        bool isHub = findings.Device?.LastError is { } error && ErrorCauses.Of(error.Code).IsOfHub;
        return fleet.IsInDoubt
            ? new(Id, Title, StepVerdict.Note, $"The checker itself lags, so it says nothing new about anybody; {share}.",
                "Wait until it has caught up, then ask again.")
            : fleet.IsLost || isMany
                ? new(Id, Title, StepVerdict.Trouble, $"No: {share} at once. It is the hub, the network, or the checker's own connection.",
                    "Look at the hub (Resource Health, quota, throttling metrics) and at the way to it, not at this device.")
            : fleet.IsSiteLost
                ? new(Id, Title, StepVerdict.Trouble, $"No: its whole site is overdue; {share} in all.",
                    "Look at the site's power and network, not at this device.")
            : isHub
                ? new(Id, Title, StepVerdict.Note, $"{share}, but its last error is of the hub's own kind.")
                : new(Id, Title, StepVerdict.Good, $"Yes: {share}.");
    }

    private static Step BlackBox(Findings findings)
    {
        const string Id = "blackBox";
        const string Title = "What does the device say itself?";
        if (findings.Device is not { BlackBox.Count: > 0 } device)
        {
            return new(Id, Title, StepVerdict.Unknown, "Nothing: it has sent no reasons of its own, or does not run the agent.");
        }

        IEnumerable<string> entries = device.BlackBox.Take(BlackBoxShown).Select(entry =>
            DeviceReasons.Of(entry.Reason).Text + (entry.AtMs is { } at ? $" ({Ago(at, findings.NowMs)})" : ""));
        int newest = device.BlackBox[0].Reason;
        string advice = DeviceReasons.Of(newest).Advice;
        return new(Id, Title, advice.Length > 0 ? StepVerdict.Note : StepVerdict.Good,
            $"Newest first: {string.Join("; ", entries)}.", advice);
    }

    // The fleet's trouble first: it makes the rest a symptom. Then the steps in order, troubles before notes.
    private static IEnumerable<string> Next(Step[] steps, Findings findings)
    {
        IEnumerable<string> advice = steps
            .Where(step => step.Advice.Length > 0 && step.Verdict is StepVerdict.Trouble or StepVerdict.Note)
            .OrderBy(step => (step.Verdict != StepVerdict.Trouble, step.Id != "fleet"))
            .Select(step => step.Advice)
            .Distinct();
        string[] found = [.. advice];
        foreach (string each in found)
        {
            yield return each;
        }

        bool isAway = findings.Device?.Status is "silent" or "late" or "flapping";
        if (found.Length == 0 || (isAway && !steps.Any(step => step.Verdict == StepVerdict.Trouble && step.Advice.Length > 0)))
        {
            yield return isAway
                ? "Nothing here keeps it away: go to the device. Power, network and its console, in this order."
                : "Nothing: if it misbehaves all the same, read its console and the hub's Connections log of that minute.";
        }

        foreach (Step step in steps.Where(step => step.Verdict == StepVerdict.Unknown && step.Advice.Length > 0))
        {
            yield return step.Advice;
        }
    }

    private static string Moment(long utcMs) =>
        DateTimeOffset.FromUnixTimeMilliseconds(utcMs).ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    private static string Ago(long atMs, long nowMs) =>
        atMs > nowMs ? $"{Length(atMs - nowMs)} ahead of now" : $"{Length(nowMs - atMs)} ago";

    private static string Length(long ms) =>
        ms < 2 * MinuteMs ? string.Create(CultureInfo.InvariantCulture, $"{ms / 1000} s")
        : ms < 120 * MinuteMs ? string.Create(CultureInfo.InvariantCulture, $"{ms / MinuteMs} min")
        : ms < 2 * DayMs ? string.Create(CultureInfo.InvariantCulture, $"{ms / (60 * MinuteMs)} h")
        : string.Create(CultureInfo.InvariantCulture, $"{ms / DayMs} days");

    private static string Sentence(string text) => char.ToUpperInvariant(text[0]) + text[1..] + (text[^1] == '.' ? "" : ".");

    private static string Lower(string text) => char.ToLowerInvariant(text[0]) + text[1..];
}
