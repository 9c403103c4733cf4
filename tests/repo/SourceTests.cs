using System.Text.RegularExpressions;

namespace Agent.Tests.Repo;

/// <summary>How our sources look, and what must not be in them. A failure lists every place, so one look is enough.</summary>
public sealed partial class SourceTests
{
    // Ratchets: as tight as the tree allows today, to be tightened and not loosened. A file that must be longer is split, a line broken.
    private const int FileLinesMax = 500;
    private const int LineColumnsMax = 140;
    private const int TestDataColumnsMax = 200; // A row of test data is easier to read whole.

    // Written in two parts so that this file does not find itself.
    private static readonly string[] UnfinishedWords = ["TO" + "DO", "FIX" + "ME"];

    /// <summary>The pure parts: told the time and their randomness, so that virtual time can drive them and a seed repeats them.</summary>
    private static readonly string[] Pure =
    [
        "device/core/",
        "simulator/hub/machine/",
        "simulator/hub/twin/",
        "simulator/events/ConnectionStateSnapshot",
        "simulator/events/EventIds",
        "simulator/events/EventGridWriter",
        "simulator/events/TelemetryBag",
        "simulator/events/JsonBody",
        "simulator/events/DeliverySchedule",
        "simulator/events/DeliveryQueue",
        "simulator/fleet/",
        "simulator/soak/",
        "simulator/world/",
        "simulator/detectors/",
        "service/liveness/",
        "service/facts/",
        "service/store/",
        "service/alarms/Alarm.cs",
        "service/alarms/AlarmNotices.cs",
        "service/alarms/RenewalForecast.cs",
        "service/alarms/Delivery.cs",
        "service/alarms/DeliveryRules.cs",
        "service/alarms/Notice",
        "service/alarms/OutboxTable.cs",
        "service/alarms/QuietHours.cs",
        "service/page/FleetHistory.cs",
        "service/page/RecentChanges.cs",
        "service/page/DeviceWatch.cs",
        "service/page/LiveFeed.cs",
        "service/mqtt/MessageReader.cs",
        "service/mqtt/TopicPattern.cs",
        "service/doctor/Checklist",
        "service/doctor/Diagnosis",
        "service/doctor/DoctorText.cs",
        "service/doctor/ErrorCauses",
        "service/doctor/Findings",
    ];

    private static IEnumerable<string> Sources => Repository.FilesEndingWith(".cs");

    private static IEnumerable<string> Texts => Repository.FilesEndingWith(
        ".cs", ".md", ".csproj", ".nfproj", ".props", ".targets", ".js", ".html", ".css", ".sh", ".yml", "/run");

    [Fact]
    public void No_source_file_is_longer_than_the_ratchet() =>
        Repository.AssertNone(Sources
            .Select(file => (file, lines: Repository.ReadLines(file).Length))
            .Where(entry => entry.lines > FileLinesMax)
            .Select(entry => $"{entry.file}: {entry.lines} lines, at most {FileLinesMax}"));

    [Fact]
    public void No_source_line_is_wider_than_the_ratchet() =>
        Repository.AssertNone(Places(Sources, line => line.Length > ColumnsMax(line)));

    private static int ColumnsMax(string line) =>
        line.Contains("[InlineData(", StringComparison.Ordinal) ? TestDataColumnsMax : LineColumnsMax;

    [Fact]
    public void Nothing_is_marked_as_unfinished() =>
        Repository.AssertNone(Places(Texts, line => UnfinishedWords.Any(word => Regex.IsMatch(line, $@"\b{word}\b"))));

    [Fact]
    public void No_type_has_a_name_that_says_nothing() =>
        Repository.AssertNone(Places(Sources, line => VagueType().IsMatch(line)));

    [Fact]
    public void No_folder_has_a_name_that_says_nothing() =>
        Repository.AssertNone(Repository.Files.Where(file => VagueFolder().IsMatch(file)));

    [Fact]
    public void The_pure_parts_read_no_clock_no_chance_and_never_sleep()
    {
        string[] pure = [.. Sources.Where(file => Pure.Any(start => file.StartsWith(start, StringComparison.Ordinal)))];

        Assert.NotEmpty(pure);
        Repository.AssertNone(Places(pure, line => Impure().IsMatch(WithoutComment(line))));
    }

    [Fact]
    public void Nothing_names_a_path_of_one_machine() =>
        Repository.AssertNone(Places(TextsAndData(), line => MachinePath().IsMatch(line)));

    [Fact]
    public void Nothing_names_a_package_registry() =>
        Repository.AssertNone(Places(TextsAndData(), line => RegistryHost().IsMatch(line)));

    [Fact]
    public void The_npm_lock_file_records_no_download_addresses() =>
        Repository.AssertNone(Places(Repository.FilesEndingWith("package-lock.json"), line => DownloadAddress().IsMatch(line)));

    [Theory]
    [InlineData("            long now = Environment.TickCount64;", true)]
    [InlineData("var draw = new Random(7);", true)]
    [InlineData("var draw = new SeededRandom(7);", false)]
    [InlineData("/// <summary>Instead of DateTime.UtcNow.</summary>", false)]
    [InlineData("x = DateTime.UtcNow; // why not", true)]
    [InlineData("DateTimeOffset.UtcNow.ToString()", true)]
    [InlineData("DateTimeOffset.FromUnixTimeSeconds(1)", false)]
    [InlineData("TimeProvider.System.GetUtcNow()", true)]
    [InlineData("long stopwatchMs = 5;", false)]
    [InlineData("string u = \"http://x\"; var s = Stopwatch.StartNew();", true)]
    public void The_purity_law_sees_what_it_should(string line, bool expected) =>
        Assert.Equal(expected, Impure().IsMatch(WithoutComment(line)));

    [Theory]
    [InlineData("see /ho" + "me/someone/project", true)]
    [InlineData("C:\\Us" + "ers\\someone", true)]
    [InlineData("https://example.com/wo" + "rk/item", false)]
    [InlineData("device/core/Session.cs", false)]
    public void The_path_law_sees_what_it_should(string line, bool expected) =>
        Assert.Equal(expected, MachinePath().IsMatch(line));

    /// <summary>All text files; binary ones hold bytes, not lines, and captured lock files have a law of their own.</summary>
    private static IEnumerable<string> TextsAndData() =>
        Repository.Files.Where(file => !file.EndsWith("package-lock.json", StringComparison.Ordinal) && !IsBinary(file));

    private static bool IsBinary(string file)
    {
        using FileStream stream = File.OpenRead(Path.Combine(Repository.Root, file));
        Span<byte> start = stackalloc byte[8000];
        return start[..stream.ReadAtLeast(start, start.Length, throwOnEndOfStream: false)].Contains((byte)0);
    }

    private static List<string> Places(IEnumerable<string> files, Func<string, bool> isWrong)
    {
        var places = new List<string>();
        foreach (string file in files)
        {
            string[] lines = Repository.ReadLines(file);
            for (int i = 0; i < lines.Length; i++)
            {
                if (isWrong(lines[i]))
                {
                    places.Add($"{file}:{i + 1}: {lines[i].Trim()}");
                }
            }
        }

        return places;
    }

    // Good enough for our own sources: a comment starts at the line's start or behind a blank, an address in a text does not.
    private static string WithoutComment(string line) => Comment().Replace(line, "");

    [GeneratedRegex(@"(^|\s)//.*$")]
    private static partial Regex Comment();

    [GeneratedRegex(@"\b(class|struct|record|interface|enum)\s+\w*(Utils?|Utilit(y|ies)|Manager|Helpers?|Common|Shared)\b")]
    private static partial Regex VagueType();

    [GeneratedRegex("(^|/)(common|shared|utils?|helpers?|misc)/", RegexOptions.IgnoreCase)]
    private static partial Regex VagueFolder();

    [GeneratedRegex(
        @"\b(DateTime(Offset)?\.(Utc)?(Now|Today)|Environment\.TickCount(64)?|TimeProvider\.System|Thread\.Sleep|Task\.Delay"
        + @"|new\s+Random\b|Random\.Shared|RandomNumberGenerator|Guid\.NewGuid|Stopwatch)\b")]
    private static partial Regex Impure();

    [GeneratedRegex(@"(^|[^A-Za-z0-9._-])/(home|root|work|farm|Users)/|\b[A-Z]:\\Users\\")]
    private static partial Regex MachinePath();

    [GeneratedRegex(@"https?://(api|registry|deb|security)\.[a-z]+\.(org|com)")]
    private static partial Regex RegistryHost();

    [GeneratedRegex("\"resolved\": *\"https?:")]
    private static partial Regex DownloadAddress();
}
