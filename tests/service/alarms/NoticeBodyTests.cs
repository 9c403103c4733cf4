using System.Text;
using System.Text.Json;
using Agent.Service.Alarms;

namespace Agent.Tests.Service.Alarms;

public sealed class NoticeBodyTests
{
    [Theory]
    [InlineData(NoticeEdge.Raised, "alarm.raised", "[error] device-0001 is silent")]
    [InlineData(NoticeEdge.Acknowledged, "alarm.acknowledged", "[acknowledged] device-0001 is silent")]
    [InlineData(NoticeEdge.Cleared, "alarm.cleared", "[cleared] device-0001 is back")]
    [InlineData(NoticeEdge.Test, "test", "[test] Test message of the heartbeat checker")]
    public void A_body_has_a_part_for_programs_and_one_for_people(NoticeEdge edge, string type, string subject)
    {
        JsonElement body = Parse(Notices.Of(edge, episode: 42));
        JsonElement data = body.GetProperty("data");

        Assert.Equal(type, body.GetProperty("type").GetString());
        Assert.Equal("2026-03-01T12:00:00.000Z", body.GetProperty("timestamp").GetString());
        Assert.Equal(subject, body.GetProperty("email").GetProperty("subject").GetString());
        Assert.Equal($"plant-7-42-{data.GetProperty("edge").GetString()}", data.GetProperty("id").GetString());
        Assert.Equal("deviceSilent", data.GetProperty("kind").GetString());
        Assert.Equal("error", data.GetProperty("severity").GetString());
        Assert.Equal("2026-03-01T11:59:50.000Z", data.GetProperty("began").GetString());
        Assert.Equal(2, data.GetProperty("facts").GetArrayLength());
        Assert.Equal(edge == NoticeEdge.Acknowledged, data.TryGetProperty("by", out _));
    }

    [Fact]
    public void The_same_notice_gives_the_same_bytes() =>
        Assert.Equal(NoticeBody.Write(Notices.Of(NoticeEdge.Raised)), NoticeBody.Write(Notices.Of(NoticeEdge.Raised)));

    [Fact]
    public void The_plain_text_says_what_since_when_why_and_on_what_grounds()
    {
        string text = Parse(Notices.Of(NoticeEdge.Cleared, atMs: Notices.StartMs + 50_000))
            .GetProperty("email").GetProperty("text").GetString()!;

        Assert.Equal(
            """
            device-0001 is back.
            The connection ended without a goodbye: power, network, or keep-alive not answered.

            Began:        2026-03-01 11:59:50 UTC
            Cleared:      2026-03-01 12:00:50 UTC
            Lasted:       1 min 0 s
            Severity:     error
            Reason:       closedRemotely
            Look at:      https://checker.example/#device-0001
            Id:           plant-7-1-cleared

            This rests on:
            - last heartbeat 2026-03-01 11:57:50 UTC
            - hub's log: 404104 at 2026-03-01 11:58:40 UTC

            """,
            text);
    }

    [Theory]
    [InlineData("siteLost", "Site device-0001: 3 devices overdue at once", "Site device-0001 is back")]
    [InlineData("fleetLost", "device-0001: 3 devices overdue at once", "device-0001: the fleet is back")]
    [InlineData("deviceFlapping", "device-0001 comes and goes", "device-0001 is steady again")]
    [InlineData("renewalStorm", "device-0001: 3 devices are about to renew at once", "device-0001: the renewals are through")]
    [InlineData("somethingNew", "device-0001: somethingNew", "device-0001: somethingNew is over")]
    public void Every_kind_has_its_words_also_one_nobody_thought_of(string kind, string raised, string cleared)
    {
        Assert.Equal("[error] " + raised, NoticeText.Subject(Notices.Of(NoticeEdge.Raised) with { Kind = kind, Devices = 3 }));
        Assert.Equal("[cleared] " + cleared, NoticeText.Subject(Notices.Of(NoticeEdge.Cleared) with { Kind = kind, Devices = 3 }));
    }

    [Fact]
    public void A_name_from_outside_cannot_write_headers_or_markup()
    {
        const string Evil = "x\r\nBcc: everyone@example.com\u2028\u202E<script>alert(1)</script>\"&'";
        JsonElement email = Parse(Notices.Of(NoticeEdge.Raised) with
        {
            Subject = Evil,
            Explanation = Evil,
            Facts = [Evil],
            By = Evil,
            Reason = Evil,
            Link = new Uri("javascript:alert(1)"),
        }).GetProperty("email");

        Assert.DoesNotContain(
            email.GetProperty("subject").GetString()!, letter => char.IsControl(letter) || letter is '\u2028' or '\u202E');
        string html = email.GetProperty("html").GetString()!;
        Assert.DoesNotContain("<script", html, StringComparison.Ordinal);
        Assert.DoesNotContain("href=\"javascript", html, StringComparison.Ordinal);
        Assert.Contains("&lt;script&gt;", html, StringComparison.Ordinal);
    }

    [Fact]
    public void However_long_the_texts_the_body_stays_small_and_is_valid_UTF8()
    {
        string huge = string.Concat(Enumerable.Repeat("\U0001F525", 1 << 16));
        byte[] body = NoticeBody.Write(Notices.Of(NoticeEdge.Raised) with
        {
            Installation = huge,
            Subject = huge,
            Explanation = huge,
            Facts = [.. Enumerable.Repeat(huge, 1000)],
            Reason = huge,
            Kind = huge,
        });

        Assert.InRange(body.Length, 1, 256 << 10);
        Assert.DoesNotContain("\uFFFD", new UTF8Encoding(false, true).GetString(body), StringComparison.Ordinal);
    }

    [Fact]
    public void Two_edges_never_share_an_id_and_an_id_fits_a_header()
    {
        string[] ids =
        [
            .. from installation in new[] { "a", "b" }
               from episode in new long[] { 1, 11 }
               from edge in Enum.GetValues<NoticeEdge>()
               select (Notices.Of(edge, episode) with { Installation = installation }).Id,
        ];

        Assert.Equal(ids.Length, ids.Distinct().Count());
        Assert.Equal("Werk-S-d--1-1-raised", (Notices.Of(NoticeEdge.Raised) with { Installation = "Werk Süd.\n1" }).Id);
    }

    private static JsonElement Parse(Notice notice) => JsonDocument.Parse(NoticeBody.Write(notice)).RootElement;
}
