using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Agent.Detectors;
using Agent.Fleet;
using Agent.Input;
using Spectre.Console;
using Command = System.CommandLine.Command;

namespace Agent.Cli;

/// <summary><c>advise</c>: the cheapest settings that keep given limits.</summary>
public static class AdviseVerb
{
    private const int DevicesMax = 1_000_000;
    private const long DayMs = 86_400_000;

    /// <summary>The verb with its options.</summary>
    public static Command Command(Option<bool> json)
    {
        var late = Text("--late", "5m", "LENGTH", "Ninety-nine of a hundred alarms come within this: 90s, 5m, 1h, or 00:05:00.");
        var falseAlarms = new Option<double>("--false-alarms-per-device-year")
        {
            Description = "Alarms for nothing, 0 or more.",
            HelpName = "RATE",
            DefaultValueFactory = _ => 0.1,
        };
        var missed = new Option<double>("--missed-share")
        {
            Description = "Share of the outages of at least a minute that may go untold, 0 to 1.",
            HelpName = "SHARE",
            DefaultValueFactory = _ => 0.01,
        };
        var devices = new Option<int>("--devices")
        {
            Description = $"Devices of the fleet, 1 to {DevicesMax} (what one hub takes).",
            HelpName = "N",
            DefaultValueFactory = _ => 10_000,
        };
        var sdk = Text("--sdk", "node", "IDS", "Their SDKs, by comma; `list` names them.");
        var lifetimeMax = Text("--lifetime-max", "1d", "LENGTH", "Longest token life to consider: a stolen token is good for as long.");
        var seed = new Option<long>("--seed")
        {
            Description = "Of the simulations, 0 or more.",
            HelpName = "N",
            DefaultValueFactory = _ => 1,
        };
        var command = new Command(
            "advise",
            "Searches token lifetime, heartbeat interval, detector, debounce and tier for the cheapest settings that keep limits.\n\n" +
            "Each combination is simulated with the same troubles on a small fleet of these SDKs, and priced for the fleet you name.\n" +
            "Prices are what the detector itself takes: hub messages, Event Grid operations, log ingestion, alert rules.")
        {
            late, falseAlarms, missed, devices, sdk, lifetimeMax, seed,
        };
        command.SetAction(parsed => Run(
            ReadLimits(
                parsed.GetValue(late)!, parsed.GetValue(falseAlarms), parsed.GetValue(missed), parsed.GetValue(devices),
                parsed.GetValue(sdk)!, parsed.GetValue(lifetimeMax)!, parsed.GetValue(seed)),
            parsed.GetValue(json)));
        return command;
    }

    /// <summary>Checks what was asked for.</summary>
    /// <exception cref="BadInputException">It is not possible.</exception>
    public static AdviceLimits ReadLimits(
        string late, double falseAlarms, double missed, int devices, string sdks, string lifetimeMax, long seed)
    {
        Demand(falseAlarms is >= 0 and <= 1e6, $"--false-alarms-per-device-year: {falseAlarms} is out of range; allowed: 0 to 1000000");
        Demand(missed is >= 0 and <= 1, $"--missed-share: {missed} is out of range; allowed: 0 to 1");
        Demand(devices is >= 1 and <= DevicesMax, $"--devices: {devices} is out of range; allowed: 1 to {DevicesMax}, what one hub takes");
        Demand(seed >= 0, $"--seed: {seed} is out of range; allowed: 0 or more");
        var entries = new List<SdkEntry>();
        foreach (string id in sdks.Split(',', StringSplitOptions.TrimEntries))
        {
            SdkEntry entry = SdkCatalog.Find(id) ?? throw new BadInputException(
                $"--sdk: unknown SDK \"{JsonReading.Clip(id)}\"; allowed: {string.Join(", ", SdkCatalog.All.Select(one => one.Id))}");
            Demand(!entries.Contains(entry), $"--sdk: {id} is there twice");
            entries.Add(entry);
        }

        return new AdviceLimits
        {
            LateMs = ReadLength("--late", late, 1000, DayMs),
            FalseAlarmsPerDeviceYear = falseAlarms,
            MissedShare = missed,
            Devices = devices,
            Sdks = entries,
            LifetimeMaxMs = ReadLength("--lifetime-max", lifetimeMax, 60_000, 365 * DayMs),
            Seed = (ulong)seed,
        };
    }

    /// <summary>Searches and prints; returns the exit code.</summary>
    /// <exception cref="BadInputException">Nothing keeps the limits.</exception>
    public static int Run(AdviceLimits limits, bool json)
    {
        List<AdviceCandidate> found = ProgressBar.During(
            "trying settings",
            onProgress => new Advice(limits, (scenario, onShare) => Runner.Run(scenario, 0, onShare).Detectors)
                .Search(onProgress));
        AdviceCandidate best = found[0];
        if (!best.Meets(limits))
        {
            throw new BadInputException(
                $"no settings keep these limits; the nearest of {found.Count}: {Name(best)}, " +
                $"late {Number(best.Result.LatenessSeconds(0.99))} s (p99), " +
                $"{Number(best.Result.FalseAlarmsPerDeviceYear)} false alarms per device-year, " +
                $"{Number(best.MissedShare * 100)} % of the outages untold");
        }

        // Of each kind the best: what the choice was made among.
        List<AdviceCandidate> byKind = [.. found.GroupBy(one => one.Detector.Kind).Select(kind => kind.First())];
        if (json)
        {
            JsonOutput.Print(writer => Write(writer, limits, best, byKind, found.Count));
        }
        else
        {
            Print(limits, best, byKind, found.Count);
        }

        return ExitCode.Done;
    }

    private static Option<string> Text(string name, string fallback, string helpName, string about) =>
        new(name) { Description = about, HelpName = helpName, DefaultValueFactory = _ => fallback };

    private static long ReadLength(string option, string text, long minMs, long maxMs)
    {
        double unitMs = text.Length == 0 ? 0 : text[^1] switch { 's' => 1000, 'm' => 60_000, 'h' => 3_600_000, 'd' => DayMs, _ => 0 };
        ReadOnlySpan<char> digits = text.AsSpan(0, Math.Max(0, text.Length - 1));
        double? ms = null;
        if (unitMs > 0 && double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double count))
        {
            ms = count * unitMs;
        }
        else if (text.Contains(':') && TimeSpan.TryParseExact(text, "c", CultureInfo.InvariantCulture, out TimeSpan length))
        {
            ms = length.TotalMilliseconds;
        }

        return ms >= minMs && ms <= maxMs
            ? (long)ms.Value
            : throw new BadInputException(
                $"{option}: \"{JsonReading.Clip(text)}\" is not a length between {TimeSpan.FromMilliseconds(minMs):c} and " +
                $"{TimeSpan.FromMilliseconds(maxMs):c}; write 90s, 5m, 1h, 1d or 00:05:00");
    }

    private static void Demand(bool held, FormattableString problem)
    {
        if (!held)
        {
            throw new BadInputException(FormattableString.Invariant(problem));
        }
    }

    private static string Name(AdviceCandidate one) =>
        $"{one.Detector.Kind} {one.Result.OptionText}".Trim() +
        (one.HeartbeatEveryMs is { } everyMs ? $", a heartbeat every {Length(everyMs)}" : "") +
        $", token lifetime {Lifetime(one)}";

    private static string Lifetime(AdviceCandidate one) => one.LifetimeMs is { } lifetimeMs ? Length(lifetimeMs) : "as the SDK has it";

    private static string Length(long ms) => TimeSpan.FromMilliseconds(ms).ToString("c", CultureInfo.InvariantCulture);

    private static string Number(double? value) => value is { } number ? number.ToString("0.###", CultureInfo.InvariantCulture) : "-";

    private static string Dollars(AdviceCandidate one) =>
        one.Tier.Length == 0 ? "-" : "$" + one.UsdPerMonth.ToString("#,0.00", CultureInfo.InvariantCulture);

    private static void Print(AdviceLimits limits, AdviceCandidate best, List<AdviceCandidate> byKind, int tried)
    {
        string sdks = string.Join(", ", limits.Sdks.Select(sdk => sdk.Id));
        Console.WriteLine(FormattableString.Invariant(
            $"{limits.Devices:#,0} devices ({sdks}), 99 of 100 alarms within {Length(limits.LateMs)}, at most"));
        Console.WriteLine(FormattableString.Invariant(
            $"{limits.FalseAlarmsPerDeviceYear} false alarms per device-year, {limits.MissedShare * 100} % untold; {tried} tried."));
        Console.WriteLine();
        Console.WriteLine($"  {Name(best)}");
        Console.WriteLine($"  {best.Tier} × {best.Units}: {Dollars(best)} a month");
        Table table = new Table().Border(TableBorder.Simple);
        table.AddColumn(new TableColumn("the best of each kind").NoWrap());
        foreach (string column in (string[])
            ["heartbeat every", "lifetime", "p50 s", "p99 s", "false/device-year", "untold %", "tier", "$ a month", "keeps the limits"])
        {
            table.AddColumn(new TableColumn(column).RightAligned().NoWrap());
        }

        foreach (AdviceCandidate one in byKind)
        {
            table.AddRow(
                Markup.Escape($"{one.Detector.Kind} {one.Result.OptionText}".Trim()),
                one.HeartbeatEveryMs is { } everyMs ? Length(everyMs) : "-", Lifetime(one),
                Number(one.Result.LatenessSeconds(0.5)), Number(one.Result.LatenessSeconds(0.99)),
                Number(one.Result.FalseAlarmsPerDeviceYear), Number(one.MissedShare * 100),
                one.Tier.Length == 0 ? "none" : $"{one.Tier} × {one.Units}", Dollars(one), one.Meets(limits) ? "yes" : "no");
        }

        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Out) });
        console.Profile.Width = Math.Max(console.Profile.Width, 170);
        console.Write(table);
        Console.WriteLine("Prices are what the detector takes, in whole units of a hub; the fleet's own messages come on top.");
    }

    private static void Write(
        Utf8JsonWriter json, AdviceLimits limits, AdviceCandidate best, List<AdviceCandidate> byKind, int tried)
    {
        json.WriteStartObject();
        json.WriteStartObject("limits");
        json.WriteNumber("lateSeconds", limits.LateMs / 1000.0);
        json.WriteNumber("falseAlarmsPerDeviceYear", limits.FalseAlarmsPerDeviceYear);
        json.WriteNumber("missedShare", limits.MissedShare);
        json.WriteNumber("devices", limits.Devices);
        json.WriteStartArray("sdks");
        foreach (SdkEntry sdk in limits.Sdks)
        {
            json.WriteStringValue(sdk.Id);
        }

        json.WriteEndArray();
        json.WriteString("lifetimeMax", Length(limits.LifetimeMaxMs));
        json.WriteNumber("seed", limits.Seed);
        json.WriteEndObject();
        json.WriteNumber("tried", tried);
        json.WritePropertyName("best");
        Write(json, limits, best);
        json.WriteStartArray("byKind");
        foreach (AdviceCandidate one in byKind)
        {
            Write(json, limits, one);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, AdviceLimits limits, AdviceCandidate one)
    {
        json.WriteStartObject();
        json.WriteBoolean("meets", one.Meets(limits));
        WriteText(json, "lifetime", one.LifetimeMs is { } lifetimeMs ? Length(lifetimeMs) : null);
        WriteText(json, "heartbeatEvery", one.HeartbeatEveryMs is { } everyMs ? Length(everyMs) : null);
        WriteText(json, "tier", one.Tier.Length > 0 ? one.Tier : null);
        json.WriteNumber("units", one.Units);
        if (one.Tier.Length > 0)
        {
            json.WriteNumber("usdPerMonth", Math.Round(one.UsdPerMonth, 2));
        }
        else
        {
            json.WriteNull("usdPerMonth");
        }

        json.WriteNumber("missedShare", Math.Round(one.MissedShare, 6));
        json.WritePropertyName("detector");
        one.Result.Write(json);
        json.WriteEndObject();
    }

    private static void WriteText(Utf8JsonWriter json, string name, string? text)
    {
        if (text is null)
        {
            json.WriteNull(name);
        }
        else
        {
            json.WriteString(name, text);
        }
    }
}
