using Agent.Fleet;
using Agent.Hub;
using Agent.World;

namespace Agent.Report;

/// <summary>What is said in words and numbers: what was run, the table, the expectations.</summary>
internal static class Summary
{
    private const int FaultsShownMax = 20;

    private static readonly string[] Columns =
    [
        "fleet", "SDK", "behaviour", "devices", "lifetime", "renewal", "period, median", "period, p5 to p95", "gap, median",
        "renewals", "drops", "refusals", "the hub's log shows",
    ];

    /// <summary>Title, why, and everything needed to run it again.</summary>
    public static void WriteHead(PageText page, string title, IReadOnlyList<RunResult> results)
    {
        page.Add($"<h1>{Spelling.Clip(title, 300)}</h1>\n");
        foreach (string why in results.Select(result => result.Scenario.Why).Where(why => why.Length > 0).Distinct())
        {
            page.Add($"<p class=\"why\">{Spelling.Clip(why, 2000)}</p>\n");
        }

        var described = new List<Scenario>();
        foreach (RunResult result in results)
        {
            WriteRun(page, result);
            if (!described.Exists(earlier => IsSetAlike(earlier, result.Scenario)))
            {
                described.Add(result.Scenario);
                WriteOptions(page, result.Scenario);
            }
        }
    }

    /// <summary>One row per fleet, and where source and documentation part.</summary>
    public static void WriteTable(PageText page, IReadOnlyList<RunResult> results)
    {
        List<(FleetResult Documented, FleetResult Source)> differences = [.. Differences(results)];
        page.Add($"<h2>Fleets</h2>\n<div class=\"wide\"><table><thead><tr>");
        foreach (string column in Columns)
        {
            page.Add($"<th>{column}</th>");
        }

        page.Add($"</tr></thead><tbody>\n");
        foreach (FleetResult fleet in results.SelectMany(result => result.Fleets))
        {
            WriteRow(page, fleet, differences.Exists(pair => pair.Documented == fleet || pair.Source == fleet));
        }

        page.Add($"</tbody></table></div>\n<p class=\"note\">Period: time between one disconnect of a device and its next. ");
        page.Add($"Gap: from the old connection's last byte to the new CONNACK.</p>\n");
        if (differences.Count > 0)
        {
            page.Add($"<h3>Where source and documentation part</h3>\n<ul class=\"differences\">\n");
            differences.ForEach(pair => WriteDifference(page, pair.Documented, pair.Source));
            page.Add($"</ul>\n");
        }
    }

    /// <summary>Held and failed expectations; nothing when there are none.</summary>
    public static void WriteExpectations(PageText page, IReadOnlyList<RunResult> results)
    {
        ExpectationResult[] all = [.. results.SelectMany(result => result.Expectations)];
        if (all.Length == 0)
        {
            return;
        }

        page.Add($"<h2>Expectations</h2>\n<p>{all.Count(one => one.Held)} of {all.Length} held.</p>\n<ul class=\"expectations\">\n");
        foreach (ExpectationResult one in all.OrderBy(one => one.Held).Take(500))
        {
            page.Add($"<li class=\"{(one.Held ? "held" : "failed")}\"><b>{(one.Held ? "✔ held" : "✘ FAILED")}</b> ");
            page.Add($"{Spelling.Clip(one.Text, 300)}, seen {(one.Seen is { } seen ? Spelling.Number(seen) : "nothing")}</li>\n");
        }

        page.Add($"</ul>\n");
    }

    private static bool IsSetAlike(Scenario one, Scenario other) => one.Seed == other.Seed && one.Network == other.Network
        && one.Hub == other.Hub && one.Faults.SequenceEqual(other.Faults);

    private static void WriteRun(PageText page, RunResult result)
    {
        long devices = result.Fleets.Sum(fleet => (long)fleet.Plan.Count);
        long connects = result.Fleets.Sum(fleet => fleet.Statistics.Connects);
        page.Add($"<p><b>{Spelling.Length(result.Scenario.RunForMs)}</b> of virtual time: {devices:#,0} devices in ");
        page.Add($"{result.Fleets.Count} fleet{(result.Fleets.Count == 1 ? "" : "s")} connected {connects:#,0} times; ");
        page.Add($"{result.Events:#,0} events, hash <code>{result.EventHash}</code>.</p>\n");
    }

    private static void WriteOptions(PageText page, Scenario scenario)
    {
        HubOptions hub = scenario.Hub;
        string grace = hub.GraceMinMs == hub.GraceMaxMs
            ? Spelling.Length(hub.GraceMinMs)
            : $"{Spelling.Length(hub.GraceMinMs)} to {Spelling.Length(hub.GraceMaxMs)}";
        page.Add($"<dl><dt>seed</dt><dd>{scenario.Seed}</dd>");
        page.Add($"<dt>commit</dt><dd><code>{Spelling.Clip(RunResult.Commit, 40)}</code></dd>");
        page.Add($"<dt>network</dt><dd>round trip {scenario.Network.RoundTripMs} ms, ");
        page.Add($"TLS handshake {scenario.Network.TlsRoundTrips} round trips</dd>");
        page.Add($"<dt>hub</dt><dd>{hub.Tier} × {hub.Units}, throttle {(hub.Throttle ? "applied" : "not applied")}; ");
        page.Add($"an expired token lives on for {grace}; ");
        page.Add($"one expired for less than {Spelling.Length(hub.ClockSkewAllowedMs)} may still connect</dd>");
        WriteFaults(page, scenario.Faults);
        page.Add($"</dl>\n");
    }

    private static void WriteFaults(PageText page, IReadOnlyList<FaultPlan> faults)
    {
        foreach (FaultPlan fault in faults.Take(FaultsShownMax))
        {
            string kind = fault.Kind.ToString();
            page.Add($"<dt>fault</dt><dd>{char.ToLowerInvariant(kind[0])}{kind[1..]} at {Spelling.Moment(fault.AtMs)}");
            page.Add($"{(fault.ForMs is { } length ? " for " + Spelling.Length(length) : "")}");
            page.Add($", {(fault.Fleet is { } fleet ? "fleet " + Spelling.Clip(fleet) : "all fleets")}");
            page.Add($"{(fault.Share < 1 ? $", {Spelling.Number(fault.Share * 100)} % of the devices" : "")}</dd>");
        }

        if (faults.Count > FaultsShownMax)
        {
            page.Add($"<dt>fault</dt><dd>and {faults.Count - FaultsShownMax} more</dd>");
        }
    }

    private static void WriteRow(PageText page, FleetResult fleet, bool differs)
    {
        FleetStatistics statistics = fleet.Statistics;
        string sdk = SdkCatalog.Find(fleet.Plan.Sdk)?.Title ?? fleet.Plan.Sdk;
        page.Add($"<tr{(differs ? " class=differs" : "")}><th scope=\"row\">{Spelling.Name(fleet)}</th>");
        page.Add($"<td>{sdk}</td><td>{fleet.Plan.Behaviour}");
        if (differs)
        {
            page.Add($" <span class=\"badge\" title=\"source and documentation part here\">≠</span>");
        }

        page.Add($"</td><td class=\"n\">{fleet.Plan.Count:#,0}</td><td class=\"n\">{Spelling.Seconds(fleet.Model.LifetimeSeconds)}</td>");
        page.Add($"<td class=\"n\">{Renewal(fleet)}</td><td class=\"n\"><b>{Spelling.Seconds(fleet.PeriodSeconds(0.5))}</b></td>");
        page.Add($"<td class=\"n spread\">{Spread(fleet)}</td>");
        page.Add($"<td class=\"n\">{(fleet.GapMs(0.5) is { } gap ? Spelling.Short(gap) : "–")}</td>");
        page.Add($"<td class=\"n\">{statistics.Renewals:#,0}</td><td class=\"n\">{statistics.Drops:#,0}</td>");
        page.Add($"<td class=\"n\">{statistics.Refusals:#,0}</td><td class=\"log\">");
        WriteLog(page, fleet);
        page.Add($"</td></tr>\n");
    }

    private static void WriteLog(PageText page, FleetResult fleet)
    {
        foreach (IGrouping<bool, (LogShape Shape, long Count)> level in LogShapes(fleet).GroupBy(one => one.Shape.IsError))
        {
            page.Add($"<div><span class=\"{(level.Key ? "level-error" : "level-information")}\">");
            page.Add($"{(level.Key ? "Error" : "Information")}</span>");
            string said = "";
            foreach ((LogShape shape, long count) in level)
            {
                string operation = shape.Operation == "deviceConnect" ? " connect" : " disconnect";
                string code = shape.Code == 0 ? "" : " " + Code(shape);
                page.Add($"{(said.Length > 0 ? "," : "")}{(said == operation ? "" : operation)}{code}\u00A0×\u00A0{count:#,0}");
                said = operation;
            }

            page.Add($"</div>");
        }
    }

    private static void WriteDifference(PageText page, FleetResult documented, FleetResult source)
    {
        string sdk = SdkCatalog.Find(source.Plan.Sdk)?.Title ?? source.Plan.Sdk;
        (string What, string Documented, string Source)[] aspects =
        [
            ("renewal", Renewal(documented), Renewal(source)),
            ("period", Spelling.Seconds(documented.PeriodSeconds(0.5)), Spelling.Seconds(source.PeriodSeconds(0.5))),
            ("the hub's log", Levels(documented), Levels(source)),
        ];
        page.Add($"<li><b>{sdk}</b>, lifetime {Spelling.Seconds(source.Model.LifetimeSeconds)}");
        string separator = ": ";
        foreach ((string what, string says, string does) in aspects.Where(aspect => aspect.Documented != aspect.Source))
        {
            page.Add($"{separator}{what} documented <b>{says}</b>, by its source <b>{does}</b>");
            separator = "; ";
        }

        page.Add($".</li>\n");
    }

    private static string Levels(FleetResult fleet)
    {
        string[] errors = [.. LogShapes(fleet).Where(one => one.Shape.IsError).Select(one => Code(one.Shape)).Distinct()];
        return errors.Length == 0 ? "Information only" : "Error " + string.Join(" + ", errors) + " and Information";
    }

    private static string Code(LogShape shape) => shape.Code.ToString(System.Globalization.CultureInfo.InvariantCulture);

    private static string Renewal(FleetResult fleet) =>
        fleet.Model.RenewalSeconds is { } seconds ? Spelling.Seconds(seconds) : "never";

    private static string Spread(FleetResult fleet) => (fleet.PeriodSeconds(0.05), fleet.PeriodSeconds(0.95)) switch
    {
        ({ } low, { } high) when low != high => $"{Spelling.Number(low)} to {Spelling.Number(high)} s",
        ({ } low, _) => $"{Spelling.Number(low)} s",
        _ => "–",
    };

    private static IEnumerable<(LogShape Shape, long Count)> LogShapes(FleetResult fleet) =>
        fleet.Statistics.LogRecords.Select((count, i) => (Shape: ((LogKind)i).Shape(), Count: count))
            .Where(one => one.Count > 0)
            .OrderBy(one => one.Shape.IsError).ThenBy(one => one.Shape.Operation, StringComparer.Ordinal).ThenBy(one => one.Shape.Code);

    // The same SDK with the same settings in both behaviours, with another outcome.
    private static IEnumerable<(FleetResult Documented, FleetResult Source)> Differences(IReadOnlyList<RunResult> results)
    {
        foreach (RunResult result in results)
        {
            foreach (var same in result.Fleets.GroupBy(fleet => (fleet.Plan.Sdk, fleet.Plan.Settings)))
            {
                FleetResult? documented = same.FirstOrDefault(fleet => fleet.Plan.Behaviour == "documented");
                FleetResult? source = same.FirstOrDefault(fleet => fleet.Plan.Behaviour == "source");
                if (documented is not null && source is not null && documented.DiffersFrom(source))
                {
                    yield return (documented, source);
                }
            }
        }
    }
}
