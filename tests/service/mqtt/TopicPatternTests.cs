using System.Text;
using Agent.Service.Mqtt;

namespace Agent.Tests.Service.Mqtt;

public sealed class TopicPatternTests
{
    [Theory]
    [InlineData("devices/{id}/messages/events/#", "devices/+/messages/events/#")]
    [InlineData("{site}/+/{id}", "+/+/+")]
    [InlineData("{id}", "+")]
    [InlineData("/{id}/", "/+/")]
    [InlineData("$share/checkers/plant/{id}", "$share/checkers/plant/+")]
    public void The_filter_follows_from_the_pattern(string pattern, string filter) => Assert.Equal(filter, Parse(pattern).Filter);

    [Theory]
    [InlineData("")]
    [InlineData("a/b")]
    [InlineData("a/{id}/{id}")]
    [InlineData("{site}/{site}/{id}")]
    [InlineData("a{id}/b")]
    [InlineData("#/{id}")]
    [InlineData("{id}/a+")]
    [InlineData("{id}/{name}")]
    [InlineData("{id}/\0")]
    [InlineData("$share/{id}")]
    [InlineData("$share//{id}")]
    [InlineData("$share/+/{id}")]
    public void A_pattern_that_does_not_say_who_speaks_is_refused(string pattern)
    {
        Assert.Null(TopicPattern.TryParse(pattern, out string problem));
        Assert.NotEmpty(problem);
    }

    [Theory]
    [InlineData("devices/{id}/messages/events/#", "devices/a/messages/events/x=1&y/z", "a||x=1&y/z")]
    [InlineData("devices/{id}/messages/events/#", "devices/a/messages/events/", "a||")]
    [InlineData("devices/{id}/messages/events/#", "devices/a/messages/events", "a||")]
    [InlineData("{site}/line/{id}", "north/line/d-1", "d-1|north|")]
    [InlineData("+/{id}", "/d", "d||")]
    [InlineData("$share/checkers/plant/{id}", "plant/d", "d||")]
    public void A_topic_is_taken_apart(string pattern, string topic, string expected) => Assert.Equal(expected, Match(pattern, topic));

    [Theory]
    [InlineData("devices/{id}/messages/events/#", "devices/a/messages/event/x")]
    [InlineData("devices/{id}/messages/events/#", "devices//messages/events/x")]
    [InlineData("devices/{id}/messages/events/#", "devices/a b/messages/events/x")]
    [InlineData("devices/{id}/messages/events/#", "devices")]
    [InlineData("devices/{id}/messages/events/#", "")]
    [InlineData("x/{id}", "x/a/b")]
    [InlineData("x/{id}", "x")]
    public void Another_topic_or_no_device_id_is_nobody(string pattern, string topic) => Assert.Null(Match(pattern, topic));

    private static TopicPattern Parse(string text)
    {
        TopicPattern? pattern = TopicPattern.TryParse(text, out string problem);
        Assert.True(pattern is not null, problem);
        return pattern;
    }

    private static string? Match(string pattern, string topic) =>
        Parse(pattern).TryMatch(Encoding.UTF8.GetBytes(topic), out var id, out var site, out var rest)
            ? $"{Encoding.UTF8.GetString(id)}|{Encoding.UTF8.GetString(site)}|{Encoding.UTF8.GetString(rest)}"
            : null;
}
