using System.Text;
using Agent.Service;
using Agent.Service.Alarms;

namespace Agent.Tests.Service.Alarms;

public sealed class AlarmFileTests
{
    private const string Good = """
        {
          // Who says so.
          "installation": "plant-7", "page": "https://checker.example/",
          "destinations": [
            { "name": "ops", "url": "https://hooks.example/a?t=hidden", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
              "severity": "error", "quiet": "mon-fri 22:00-07:00", "timeZone": "Europe/Berlin", },
            { "name": "log", "url": "http://127.0.0.1:9/" }, /* to this machine */
          ],
        }
        """;

    [Fact]
    public void Comments_and_last_commas_are_allowed_and_everything_is_taken_over()
    {
        Assert.True(AlarmFile.TryParse(Encoding.UTF8.GetBytes(Good), out AlarmSettings? settings, out string problem), problem);

        Assert.Equal(("plant-7", "https://checker.example/"), (settings!.Installation, settings.Page!.AbsoluteUri));
        Assert.Equal(["ops", "log"], settings.Destinations.Select(each => each.Name));
        Assert.Equal([Severity.Error, Severity.Warning], settings.Destinations.Select(each => each.SeverityMin));
        Assert.NotNull(settings.Destinations[0].Secret);
        // Monday 2026-03-02, 21:30 UTC is half past ten in Berlin, and quiet until seven there.
        long night = new DateTimeOffset(2026, 3, 2, 21, 30, 0, TimeSpan.Zero).ToUnixTimeMilliseconds();
        long morning = new DateTimeOffset(2026, 3, 3, 6, 0, 0, TimeSpan.Zero).ToUnixTimeMilliseconds();
        Assert.Equal(morning, settings.Destinations[0].Quiet!.EndsAtMs(night));
        Assert.Null(settings.Destinations[1].Quiet);
    }

    [Theory]
    [InlineData("\"page\"", "\"pages\"", "$.pages: not known here; allowed are installation, page, destinations")]
    [InlineData("\"severity\"", "\"level\"", "$.destinations[0].level: not known here; allowed are name, url, secret, formerSecret, severity, quiet, timeZone")]
    [InlineData("\"severity\"", "\"a b\"", "$.destinations[0].?: not known here; allowed are name, url, secret, formerSecret, severity, quiet, timeZone")]
    [InlineData("\"name\": \"log\"", "\"name\": \"log\", \"name\": \"log\"", "$.destinations[1].name: given twice")]
    [InlineData("\"name\": \"log\", ", "", "$.destinations[1].name: needed")]
    [InlineData("\"name\": \"log\"", "\"name\": \"ops\"", "$.destinations: two have the name ops")]
    [InlineData("\"error\"", "\"Error\"", "$.destinations[0].severity: one of information, warning, error, critical")]
    [InlineData("\"error\"", "3", "$.destinations[0].severity: a text in quotes")]
    [InlineData("Europe/Berlin", "Europe/Nowhere", "$.destinations[0].timeZone: a time zone such as Europe/Berlin")]
    [InlineData("https://hooks", "ftp://hooks", "$.destinations[0].url: an address with https:// or http://")]
    [InlineData("https://hooks", "http://hooks", "$.destinations[0]: destination ops: http:// is allowed to this machine only, use https://")]
    [InlineData("plant-7", "plant 7", "$.installation: 1 to 64 letters, digits, '-', '_' or '.'")]
    [InlineData("// Who says so.", "Who says so.", "line 2: not JSON")]
    [InlineData("\"installation\"", "\"destinations\": [], \"installation\"", "$.destinations: a list of 1 to 32 destinations")]
    public void What_is_wrong_is_said_with_its_place(string from, string to, string problem)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(Good.Replace(from, to, StringComparison.Ordinal));

        Assert.False(AlarmFile.TryParse(bytes, out _, out string found));
        Assert.Equal(problem, found);
    }

    [Fact]
    public void Every_prefix_is_refused_in_one_line_and_no_problem_shows_a_secret()
    {
        byte[] bytes = Encoding.UTF8.GetBytes(Good.TrimEnd());
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(AlarmFile.TryParse(bytes.AsMemory(0, length), out _, out string problem));
            Assert.Matches("^[^\n]+$", problem);
            Assert.DoesNotContain("MfKQ", problem, StringComparison.Ordinal);
            Assert.DoesNotContain("hidden", problem, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_command_line_refuses_a_bad_file_and_alarms_without_a_folder()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, Good);
            Assert.Equal(2, CommandLine.Parse(["--alarms", path], _ => null).Options.Alarms!.Destinations.Count);
            Assert.Throws<CommandLineException>(() => CommandLine.Parse(["--alarms", path, "--data", "none"], _ => null));

            File.WriteAllText(path, "{}");
            var wrong = Assert.Throws<CommandLineException>(() => CommandLine.Parse(["--alarms", path], _ => null));
            Assert.Equal($"--alarms: {path}: $.installation: needed: the name of this checker", wrong.Message);
        }
        finally
        {
            File.Delete(path);
        }

        Assert.Throws<CommandLineException>(() => CommandLine.Parse(["--alarms", path], _ => null));
    }
}
