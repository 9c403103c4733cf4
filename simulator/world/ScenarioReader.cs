using System.Text.Json;
using Agent.Fleet;
using Agent.Hub;
using Agent.Input;

namespace Agent.World;

/// <summary>Reads and checks a scenario file. Everything wrong with it becomes a <see cref="BadInputException"/>.</summary>
public static class ScenarioReader
{
    /// <summary>Largest scenario file read, bytes; the largest one anybody would write by hand is far smaller.</summary>
    public const long MaxFileBytes = 16 * 1024 * 1024;

    /// <summary>Most devices a scenario may have.</summary>
    public const int MaxDevices = 20_000_000;

    private const int MaxTimelineDevices = 1000;
    private const long DayMs = 86_400_000;
    private const long MaxRunMs = 3660 * DayMs;

    private static readonly Dictionary<string, FaultKind> FaultKinds = Enum.GetValues<FaultKind>()
        .ToDictionary(kind => char.ToLowerInvariant(kind.ToString()[0]) + kind.ToString()[1..]);

    /// <summary>Names of all fault kinds.</summary>
    public static IEnumerable<string> FaultKindNames => FaultKinds.Keys;

    /// <summary>Detector kinds.</summary>
    public static IReadOnlyList<string> DetectorKindNames { get; } =
        ["heartbeat", "eventGrid", "connectionsLog", "connectedDevices", "connectionState", "shortExpiry"];

    /// <summary>Those of them that a hub's tier can do: Basic has no twins and no messages to devices (facts/iothub.md §6).</summary>
    public static IEnumerable<string> DetectorKinds(HubOptions hub) =>
        DetectorKindNames.Where(kind => !hub.IsBasic || kind is not ("shortExpiry" or "connectionState"));

    /// <summary>Reads a file.</summary>
    public static Scenario ReadFile(string path)
    {
        byte[] bytes;
        try
        {
            var info = new FileInfo(path);
            if (!info.Exists)
            {
                throw new BadInputException($"{path}: there is no such file");
            }

            if (info.Length > MaxFileBytes)
            {
                throw new BadInputException($"{path}: {info.Length} bytes are too many for a scenario; allowed: {MaxFileBytes}");
            }

            bytes = File.ReadAllBytes(path);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new BadInputException($"{path}: cannot be read: {problem.Message}");
        }

        try
        {
            return Read(bytes);
        }
        catch (BadInputException problem)
        {
            throw new BadInputException($"{path}: {problem.Message}");
        }
    }

    /// <summary>Reads UTF-8 JSON with comments and trailing commas.</summary>
    public static Scenario Read(ReadOnlyMemory<byte> utf8)
    {
        if (utf8.Span.StartsWith("\uFEFF"u8))
        {
            utf8 = utf8[3..];
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(utf8, new JsonDocumentOptions
            {
                AllowTrailingCommas = true,
                CommentHandling = JsonCommentHandling.Skip,
                AllowDuplicateProperties = false,
                MaxDepth = 32,
            });
            return ReadRoot(new JsonReading(document.RootElement, "$"));
        }
        catch (JsonException problem)
        {
            string place = problem.LineNumber is { } line
                ? $"line {line + 1}, byte {problem.BytePositionInLine + 1}"
                : problem.Path ?? "$";
            throw new BadInputException($"{place}: not valid JSON: {FirstSentence(problem.Message)}");
        }
        catch (InvalidOperationException)
        {
            throw new BadInputException("$: not valid JSON: text that is not UTF-8");
        }
    }

    private static string FirstSentence(string message)
    {
        int end = message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        string first = end > 0 ? message[..end] : message;
        return JsonText(first);
    }

    private static string JsonText(string text) => text.ReplaceLineEndings(" ");

    private static Scenario ReadRoot(JsonReading root)
    {
        string title = root.Text("title") ?? "";
        string why = root.Text("why") ?? "";
        long seed = root.Whole("seed", 0, long.MaxValue) ?? 1;
        long runForMs = root.Duration("runFor", 1, MaxRunMs) ??
            throw new BadInputException("$.runFor: missing; say how long to run, like \"1.00:00:00\"");
        NetworkPlan network = ReadNetwork(root.Object("network"));
        HubOptions hub = ReadHub(root.Object("hub"));
        List<FleetPlan> fleets = [];
        foreach ((JsonElement value, string path) in root.Items("fleet"))
        {
            fleets.Add(ReadFleet(new JsonReading(value, path), fleets));
        }

        if (fleets.Count == 0)
        {
            throw new BadInputException("$.fleet: missing or empty; at least one entry with sdk and count is needed");
        }

        if (fleets.Sum(fleet => (long)fleet.Count) > MaxDevices)
        {
            throw new BadInputException($"$.fleet: more than {MaxDevices} devices together");
        }

        var faults = root.Items("faults").Select(item => ReadFault(new JsonReading(item.Value, item.Path), fleets)).ToList();
        var detectors = root.Items("detectors").Select(item => ReadDetector(new JsonReading(item.Value, item.Path), hub)).ToList();
        var expectations = root.Items("expect")
            .SelectMany(item => ReadExpectations(new JsonReading(item.Value, item.Path), fleets, detectors)).ToList();
        root.RefuseTheRest();
        return new Scenario
        {
            Title = title,
            Why = why,
            Seed = (ulong)seed,
            RunForMs = runForMs,
            Network = network,
            Hub = hub,
            Fleets = fleets,
            Faults = faults,
            Detectors = detectors,
            Expectations = expectations,
        };
    }

    private static NetworkPlan ReadNetwork(JsonReading? network)
    {
        var plan = new NetworkPlan();
        if (network is null)
        {
            return plan;
        }

        plan = new NetworkPlan(
            (int)(network.Whole("roundTripMs", 0, 60_000) ?? plan.RoundTripMs),
            (int)(network.Whole("tlsRoundTrips", 0, 10) ?? plan.TlsRoundTrips));
        network.RefuseTheRest();
        return plan;
    }

    private static HubOptions ReadHub(JsonReading? hub)
    {
        var options = new HubOptions();
        if (hub is null)
        {
            return options;
        }

        long graceMin = options.GraceMinMs;
        long graceMax = options.GraceMaxMs;
        if (hub.TryGet("tokenGrace", out JsonElement grace, out string gracePath))
        {
            if (grace.ValueKind == JsonValueKind.Object)
            {
                var range = new JsonReading(grace, gracePath);
                graceMin = range.Duration("min", 0, DayMs) ?? throw new BadInputException($"{gracePath}.min: missing");
                graceMax = range.Duration("max", 0, DayMs) ?? throw new BadInputException($"{gracePath}.max: missing");
                range.RefuseTheRest();
                if (graceMax < graceMin)
                {
                    throw new BadInputException($"{gracePath}: max is shorter than min");
                }
            }
            else
            {
                graceMin = graceMax = JsonReading.Duration(grace, gracePath, 0, DayMs);
            }
        }

        string tier = hub.Choice("tier", options.Tier, [.. HubOptions.Tiers]);
        options = options with
        {
            GraceMinMs = graceMin,
            GraceMaxMs = graceMax,
            ClockSkewAllowedMs = hub.Duration("clockSkewAllowed", 0, DayMs) ?? options.ClockSkewAllowedMs,
            Tier = tier,
            Units = (int)(hub.Whole("units", 1, new HubOptions { Tier = tier }.UnitsMax) ?? options.Units),
            Throttle = hub.Flag("throttle", options.Throttle),
        };
        hub.RefuseTheRest();
        return options;
    }

    private static FleetPlan ReadFleet(JsonReading fleet, List<FleetPlan> before)
    {
        string sdk = fleet.Text("sdk") ??
            throw new BadInputException($"{fleet.Path}.sdk: missing; allowed: {SdkIds()}");
        SdkEntry entry = SdkCatalog.Find(sdk) ??
            throw new BadInputException($"{fleet.Path}.sdk: unknown SDK \"{JsonReading.Clip(sdk)}\"; allowed: {SdkIds()}");
        string name = fleet.Text("name") ?? sdk;
        if (before.Exists(other => other.Name == name))
        {
            throw new BadInputException($"{fleet.Path}.name: \"{JsonReading.Clip(name)}\" is taken by an earlier fleet");
        }

        long count = fleet.Whole("count", 1, MaxDevices) ??
            throw new BadInputException($"{fleet.Path}.count: missing; say how many devices");
        string behaviour = fleet.Choice("behaviour", "source", ["source", "documented"]);
        if (behaviour == "documented" && !entry.Documented)
        {
            throw new BadInputException(
                $"{fleet.Path}.behaviour: the vendor's table has no row for {sdk}; allowed: source");
        }

        ClientSettings settings = ReadSettings(fleet, entry);
        bool timeline = fleet.Flag("timeline", false);
        if (timeline && count > MaxTimelineDevices)
        {
            throw new BadInputException(
                $"{fleet.Path}.timeline: {count} devices are too many; a timeline is allowed for up to {MaxTimelineDevices}");
        }

        var plan = new FleetPlan
        {
            Name = name,
            Sdk = sdk,
            Count = (int)count,
            Behaviour = behaviour,
            Settings = settings,
            StartSpreadMs = fleet.Duration("startSpread", 0, MaxRunMs) ?? 0,
            Timeline = timeline,
        };
        fleet.RefuseTheRest();
        CheckSettings(fleet, entry, settings);
        return plan;
    }

    private static ClientSettings ReadSettings(JsonReading fleet, SdkEntry entry)
    {
        long? lifetimeMs = fleet.Duration("lifetime", 1000, 3650 * DayMs);
        if (lifetimeMs is not null && !entry.TakesLifetime)
        {
            throw new BadInputException($"{fleet.Path}.lifetime: {entry.Id} has a fixed lifetime of 24 hours; leave it out");
        }

        if (lifetimeMs is { } wholeLifetime && wholeLifetime % 1000 != 0)
        {
            throw new BadInputException($"{fleet.Path}.lifetime: a token's expiry is in whole seconds");
        }

        double? renewAt = fleet.Real("renewAt", 0, 1, open: true);
        long? renewBeforeMs = fleet.Duration("renewBefore", 1, 3650 * DayMs);
        if ((renewAt is not null || renewBeforeMs is not null) && !entry.TakesRenewAt)
        {
            string key = renewAt is not null ? "renewAt" : "renewBefore";
            throw new BadInputException(
                $"{fleet.Path}.{key}: {entry.Id}'s renewal point cannot be set; allowed for: " +
                string.Join(", ", SdkCatalog.All.Where(sdk => sdk.TakesRenewAt).Select(sdk => sdk.Id)));
        }

        if (renewAt is not null && renewBeforeMs is not null)
        {
            throw new BadInputException($"{fleet.Path}.renewBefore: renewAt is there too; give one of the two");
        }

        long? appRetryMs = fleet.Duration("appRetryAfter", 0, MaxRunMs);
        if (appRetryMs is not null && !entry.AppMustAct)
        {
            throw new BadInputException($"{fleet.Path}.appRetryAfter: {entry.Id} comes back by itself; leave it out");
        }

        long? reconnectSpreadMs = fleet.Duration("reconnectSpread", 0, DayMs);
        if (reconnectSpreadMs is not null && entry.Id != "agent")
        {
            throw new BadInputException($"{fleet.Path}.reconnectSpread: {entry.Id} cannot be told to; allowed for: agent");
        }

        long? keepAliveMs = fleet.Duration("keepAlive", 1000, 65_535_000);
        if (keepAliveMs is { } wholeKeepAlive && wholeKeepAlive % 1000 != 0)
        {
            throw new BadInputException($"{fleet.Path}.keepAlive: MQTT counts it in whole seconds");
        }

        Features features = Features.None;
        foreach ((JsonElement value, string path) in fleet.Items("features"))
        {
            features |= (value.ValueKind == JsonValueKind.String ? value.GetString() : null) switch
            {
                "twin" => Features.Twin,
                "methods" => Features.Methods,
                "c2d" => Features.CloudToDevice,
                _ => throw new BadInputException($"{path}: unknown feature; allowed: twin, methods, c2d"),
            };
        }

        return new ClientSettings
        {
            LifetimeSeconds = lifetimeMs / 1000,
            RenewAt = entry.Id == "java" ? null : renewAt,
            RenewBeforeSeconds = entry.Id == "java" ? null : renewBeforeMs / 1000.0,
            KeepAliveSeconds = (int?)(keepAliveMs / 1000),
            HeartbeatEveryMs = fleet.Duration("heartbeatEvery", 1000, MaxRunMs) ?? 0,
            AppRetryAfterMs = appRetryMs ?? 10_000,
            ReconnectSpreadSeconds = (int)((reconnectSpreadMs ?? 0) / 1000),
            Features = features,
        };
    }

    // What only the client itself knows to be impossible.
    private static void CheckSettings(JsonReading fleet, SdkEntry entry, ClientSettings settings)
    {
        if (settings.RenewBeforeSeconds is { } before && before >= (settings.LifetimeSeconds ?? 3600))
        {
            throw new BadInputException($"{fleet.Path}.renewBefore: must be shorter than the lifetime");
        }

        if (entry.Id == "node" && settings is { RenewAt: null, RenewBeforeSeconds: null, LifetimeSeconds: <= 900 })
        {
            throw new BadInputException(
                $"{fleet.Path}.lifetime: Node.js renews 15 min before expiry unless told otherwise; " +
                "give renewAt or renewBefore with a lifetime this short");
        }

        if (entry.Id == "agent" && AgentClient.Problems(settings) is { Length: > 0 } problems)
        {
            throw new BadInputException($"{fleet.Path}: {string.Join("; ", problems)}");
        }
    }

    private static FaultPlan ReadFault(JsonReading fault, List<FleetPlan> fleets)
    {
        string name = fault.Text("kind") ??
            throw new BadInputException($"{fault.Path}.kind: missing; allowed: {string.Join(", ", FaultKinds.Keys)}");
        if (!FaultKinds.TryGetValue(name, out FaultKind kind))
        {
            throw new BadInputException(
                $"{fault.Path}.kind: unknown fault \"{JsonReading.Clip(name)}\"; allowed: {string.Join(", ", FaultKinds.Keys)}");
        }

        string? fleet = fault.Text("fleet");
        if (fleet is not null && !fleets.Exists(plan => plan.Name == fleet))
        {
            throw new BadInputException(
                $"{fault.Path}.fleet: no fleet is called \"{JsonReading.Clip(fleet)}\"; there are: {FleetNames(fleets)}");
        }

        var plan = new FaultPlan
        {
            AtMs = fault.Duration("at", 0, MaxRunMs) ??
                throw new BadInputException($"{fault.Path}.at: missing; say when, like \"02:00:00\""),
            ForMs = fault.Duration("for", 1, MaxRunMs),
            Kind = kind,
            Fleet = fleet,
            Share = fault.Real("share", 0, 1) ?? 1,
            Hard = kind switch
            {
                FaultKind.TcpDrop => fault.Choice("how", "fin", ["fin", "rst"]) == "rst",
                FaultKind.PortBlocked => fault.Choice("how", "refused", ["refused", "blackHole"]) == "blackHole",
                FaultKind.HubDown => fault.Choice("how", "error", ["error", "timeout"]) == "timeout",
                _ => false,
            },
            Code = kind == FaultKind.Refuse ? (byte)(fault.Whole("code", 1, 5) ?? 5) : (byte)5,
            SkewMs = kind == FaultKind.ClockSkew
                ? 1000 * (fault.Whole("seconds", -315_360_000, 315_360_000) ??
                    throw new BadInputException($"{fault.Path}.seconds: missing; say how far the clock is off, + or -"))
                : 0,
        };
        fault.RefuseTheRest();
        return plan;
    }

    private static DetectorPlan ReadDetector(JsonReading detector, HubOptions hub)
    {
        if (!detector.Has("kind"))
        {
            throw new BadInputException($"{detector.Path}.kind: missing; allowed: {string.Join(", ", DetectorKindNames)}");
        }

        // An option of another kind is unknown to this one: it would change nothing.
        string kind = detector.Choice("kind", "", DetectorKindNames);
        var plan = DetectorPlan.Default(kind);
        plan = kind switch
        {
            "heartbeat" => plan with { Missed = (int)(detector.Whole("missed", 1, 1000) ?? plan.Missed) },
            "eventGrid" or "connectionsLog" => plan with { DebounceMs = detector.Duration("debounce", 0, DayMs) ?? plan.DebounceMs },
            "connectedDevices" => plan with { Below = detector.Real("below", 0, 1) ?? plan.Below },
            "shortExpiry" => plan with { TtlMs = detector.Duration("ttl", 1000, 2 * DayMs) ?? plan.TtlMs },
            _ => plan,
        };
        detector.RefuseTheRest();
        return DetectorKinds(hub).Contains(kind)
            ? plan
            : throw new BadInputException($"{detector.Path}.kind: {kind} needs what the Basic tiers lack; allowed with {hub.Tier}: " +
                string.Join(", ", DetectorKinds(hub)));
    }

    private static IEnumerable<Expectation> ReadExpectations(
        JsonReading expect, List<FleetPlan> fleets, List<DetectorPlan> detectors)
    {
        string? fleet = expect.Text("fleet");
        string? detector = expect.Text("detector");
        if (fleet is not null && !fleets.Exists(plan => plan.Name == fleet))
        {
            throw new BadInputException(
                $"{expect.Path}.fleet: no fleet is called \"{JsonReading.Clip(fleet)}\"; there are: {FleetNames(fleets)}");
        }

        if (detector is not null && !detectors.Exists(plan => plan.Kind == detector))
        {
            throw new BadInputException($"{expect.Path}.detector: \"{JsonReading.Clip(detector)}\" is not among the detectors");
        }

        IReadOnlyCollection<string> metrics = detector is null ? RunResult.FleetMetrics : DetectorResult.Metrics;
        var found = new List<Expectation>();
        foreach (var property in expect.Properties())
        {
            if (property.Name is "fleet" or "detector")
            {
                continue;
            }

            expect.Allow(property.Name);
            string path = $"{expect.Path}.{property.Name}";
            if (property.Name is "byReason" or "logRecords" && detector is null)
            {
                var nested = new JsonReading(property.Value, path);
                found.AddRange(nested.Properties().Select(inner => ReadBound(
                    fleet, detector, $"{property.Name}/{inner.Name}", new JsonReading(inner.Value, $"{path}.{inner.Name}"))));
                continue;
            }

            if (!metrics.Contains(property.Name))
            {
                throw new BadInputException(
                    $"{expect.Path}: unknown figure \"{JsonReading.Clip(property.Name)}\"; allowed: {string.Join(", ", metrics)}");
            }

            found.Add(ReadBound(fleet, detector, property.Name, new JsonReading(property.Value, path)));
        }

        return found.Count > 0
            ? found
            : throw new BadInputException($"{expect.Path}: expects nothing; allowed: {string.Join(", ", metrics)}");
    }

    private static Expectation ReadBound(string? fleet, string? detector, string metric, JsonReading bound)
    {
        double? min = bound.Real("min", double.MinValue, double.MaxValue);
        double? max = bound.Real("max", double.MinValue, double.MaxValue);
        bound.RefuseTheRest();
        return min is null && max is null
            ? throw new BadInputException($"{bound.Path}: give min, max or both")
            : new Expectation(fleet, detector, metric, min, max);
    }

    private static string SdkIds() => string.Join(", ", SdkCatalog.All.Select(entry => entry.Id));

    private static string FleetNames(List<FleetPlan> fleets) => string.Join(", ", fleets.Select(fleet => fleet.Name));
}
