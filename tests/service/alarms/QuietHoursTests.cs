using System.Globalization;
using Agent.Service.Alarms;

namespace Agent.Tests.Service.Alarms;

public sealed class QuietHoursTests
{
    [Theory]
    [InlineData("mon-fri 22:00-07:00", "UTC", "2026-03-02T21:59:59Z", null)]
    [InlineData("mon-fri 22:00-07:00", "UTC", "2026-03-02T22:00:00Z", "2026-03-03T07:00:00Z")]
    [InlineData("mon-fri 22:00-07:00", "UTC", "2026-03-07T06:59:59Z", "2026-03-07T07:00:00Z")] // Friday's night ends on Saturday.
    [InlineData("mon-fri 22:00-07:00", "UTC", "2026-03-07T07:00:00Z", null)]
    [InlineData("mon-fri 22:00-07:00", "UTC", "2026-03-07T23:00:00Z", null)] // Saturday's night is not meant.
    [InlineData("mon-fri 22:00-07:00", "UTC", "2026-03-02T03:00:00Z", null)] // Nor is Sunday's, which ends on Monday.
    [InlineData("mon-fri 22:00-07:00; sat,sun 00:00-24:00", "UTC", "2026-03-06T23:00:00Z", "2026-03-09T00:00:00Z")]
    [InlineData("sat-sun 00:00-24:00; sun-thu 22:00-06:00", "UTC", "2026-03-07T10:00:00Z", "2026-03-09T06:00:00Z")]
    [InlineData("12:00-13:00", "UTC", "2026-03-04T12:30:00Z", "2026-03-04T13:00:00Z")]
    [InlineData("FRI-Mon 20:00-21:00", "UTC", "2026-03-08T20:00:00Z", "2026-03-08T21:00:00Z")]
    [InlineData("22:00-07:00", "Europe/Berlin", "2026-01-15T21:30:00Z", "2026-01-16T06:00:00Z")]
    [InlineData("22:00-07:00", "Europe/Berlin", "2026-07-15T20:30:00Z", "2026-07-16T05:00:00Z")]
    [InlineData("22:00-07:00", "Europe/Berlin", "2026-07-15T19:59:59Z", null)]
    [InlineData("22:00-07:00", "Europe/Berlin", "2026-03-28T22:00:00Z", "2026-03-29T05:00:00Z")] // The short night: 8 h.
    [InlineData("22:00-07:00", "Europe/Berlin", "2026-10-24T21:00:00Z", "2026-10-25T06:00:00Z")] // The long night: 10 h.
    [InlineData("00:00-02:30", "Europe/Berlin", "2026-03-29T00:59:00Z", "2026-03-29T01:00:00Z")] // 02:30 does not exist then.
    [InlineData("22:00-07:00", "Asia/Kolkata", "2026-03-02T16:30:00Z", "2026-03-03T01:30:00Z")]
    public void It_is_quiet_until(string text, string zone, string at, string? until)
    {
        long? ends = Notices.Quiet(text, zone).EndsAtMs(Ms(at));

        Assert.Equal(until is null ? null : Ms(until), ends);
    }

    [Theory]
    [InlineData("")]
    [InlineData(";;")]
    [InlineData("mon-fri")]
    [InlineData("mon fri 22:00-07:00")]
    [InlineData("mo 22:00-07:00")]
    [InlineData("mon-tue-wed 22:00-07:00")]
    [InlineData("22:00")]
    [InlineData("22:00-22:00")]
    [InlineData("24:00-07:00")]
    [InlineData("22:60-07:00")]
    [InlineData("2:00-07:00")]
    [InlineData("22:00-25:00")]
    [InlineData("-1:00-07:00")]
    [InlineData("22:00-07:00-08:00")]
    [InlineData("00:00-24:00")] // Never to be told anything is not what anybody wants.
    [InlineData("mon-thu 00:00-24:00; thu-mon 12:00-12:01; fri-sun 00:00-24:00")]
    public void What_is_not_quiet_hours_is_refused_with_a_line_that_says_what_is_allowed(string text)
    {
        Assert.False(QuietHours.TryParse(text, TimeZoneInfo.Utc, out QuietHours? quiet, out string problem));

        Assert.Null(quiet);
        Assert.StartsWith("quiet hours", problem, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', problem);
    }

    [Fact]
    public void At_every_minute_of_a_year_the_answer_is_an_end_that_is_not_quiet_and_before_which_it_is()
    {
        QuietHours quiet = Notices.Quiet("mon-fri 21:45-06:15; sat 09:00-18:00", "America/New_York");
        long start = Ms("2026-01-01T00:00:00Z");
        for (int i = 0; i < 365 * 24 * 4; i++)
        {
            long at = start + (i * 15 * 60_000L);
            if (quiet.EndsAtMs(at) is { } end)
            {
                Assert.True(end > at);
                Assert.Null(quiet.EndsAtMs(end));
                Assert.Equal(end, quiet.EndsAtMs(end - 1));
            }
        }
    }

    private static long Ms(string text) =>
        DateTimeOffset.Parse(text, CultureInfo.InvariantCulture).ToUnixTimeMilliseconds();
}
