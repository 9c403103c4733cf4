using System.Text;
using Agent.Core;
using Agent.Service;
using Agent.Service.Mqtt;

namespace Agent.Tests.Service.Mqtt;

public sealed class MessageReaderTests
{
    private const string Topic = "devices/a/messages/events/";

    [Fact]
    public void The_agents_own_heartbeat_is_understood()
    {
        string topic = Heartbeat.Topic("a", 7, 60, 2940, 1500, DisconnectReason.None, -1, 3, 12);
        Fact fact = Assert.Single(Read(topic, "").Facts.Facts.ToArray());

        Assert.Equal((FactKind.Heartbeat, 7u, 60), (fact.Kind, fact.Number, fact.IntervalSeconds));
        Assert.Equal((2940, 2), (fact.RenewalSeconds, fact.GapSeconds));
        Assert.Equal(Told.T0, fact.AtMs);
    }

    [Theory]
    [InlineData("""{"type":"heartbeat","seq":7,"interval":60,"renewal":"2940","site":"Süd"}""")]
    [InlineData(" \r\n{ \"more\": {\"deep\":[1]}, \"type\":\"heartbeat\", \"seq\":\"7\", \"interval\":60, \"renewal\":2940, \"site\":\"S\\u00fcd\" } ")]
    public void A_heartbeat_may_be_in_the_payload(string payload)
    {
        ReadOutcome outcome = Read(Topic, payload);
        Fact fact = Assert.Single(outcome.Facts.Facts.ToArray());

        Assert.Equal((FactKind.Heartbeat, 7u, 60, 2940), (fact.Kind, fact.Number, fact.IntervalSeconds, fact.RenewalSeconds));
        Assert.Equal(["Süd"], outcome.Facts.Sites);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("""{"type":"heartbeat","interval":60""")]
    [InlineData("""{"type":"heartbeat","interval":60} {}""")]
    [InlineData("""[{"type":"heartbeat","interval":60}]""")]
    [InlineData("""{"temperature":21.5}""")]
    [InlineData("plain text")]
    public void Anything_else_is_a_sign_of_life(string payload) =>
        Assert.Equal(FactKind.SignOfLife, Assert.Single(Read(Topic, payload).Facts.Facts.ToArray()).Kind);

    [Fact]
    public void Nonsense_in_a_heartbeat_is_noted_and_costs_only_itself()
    {
        ReadOutcome outcome = Read(Topic + "type=heartbeat&interval=60&seq=-4&gap=%31", "");

        Assert.Equal(FactKind.Heartbeat, Assert.Single(outcome.Facts.Facts.ToArray()).Kind);
        Assert.Single(outcome.Problems);
        Assert.DoesNotContain("-4", outcome.Problems[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("devices/a/messages/events/type=heartbeat&interval=60&id=b&deviceId=b&$.cdid=b", "")]
    [InlineData("devices/a/messages/events/", """{"type":"heartbeat","interval":60,"id":"b","deviceId":"b","iothub-connection-device-id":"b"}""")]
    public void A_device_can_only_speak_for_itself(string topic, string payload)
    {
        ReadOutcome outcome = Read(topic, payload);

        Assert.Equal("a", Encoding.ASCII.GetString(outcome.Facts.Id(Assert.Single(outcome.Facts.Facts.ToArray()))));
    }

    [Fact]
    public void The_topic_decides_where_a_device_stands_too()
    {
        var reader = new MessageReader(TopicPattern.TryParse("{site}/{id}", out _)!);
        var outcome = new ReadOutcome();
        byte[] payload = Encoding.UTF8.GetBytes("""{"type":"heartbeat","interval":60,"site":"south"}""");

        Assert.True(reader.TryRead("north/a"u8, payload, false, Told.T0, outcome));
        Assert.Equal(["north"], outcome.Facts.Sites);
    }

    [Fact]
    public void A_last_will_is_an_end_without_goodbye()
    {
        var told = new Told();
        told.Heartbeat("a", Told.T0);
        ReadOutcome will = Read(Topic + "type=will", "", Told.T0 + 1000);
        told.Checker.Apply(will.Facts, Told.T0 + 1000);

        DeviceView view = told.View("a", Told.T0 + 80_000);
        Assert.Equal((Status.Late, Cause.ClosedRemotely), (view.Status, view.Cause));
    }

    [Fact]
    public void A_retained_message_says_nothing_about_now()
    {
        ReadOutcome outcome = Read(Topic, "", isRetained: true);

        Assert.Equal((0, 1), (outcome.Facts.Count, outcome.Ignored));
    }

    [Fact]
    public void No_message_can_break_the_reader()
    {
        var draw = new Random(11);
        var reader = new MessageReader(TopicPattern.TryParse("{site}/{id}/#", out _)!);
        byte[] topic = Encoding.UTF8.GetBytes("nörd/dev-1/type=heartbeat&interval=60&seq=3&site=a%20b%C3");
        byte[] payload = Encoding.UTF8.GetBytes("""{"type":"heartbeat","interval":60,"site":"\ud83d\ude00","x":[{"y":null}]}""");
        var outcome = new ReadOutcome();
        int taken = 0;
        for (int round = 0; round < 20_000; round++)
        {
            outcome.Clear();
            byte[] badTopic = Damaged(topic, draw);
            taken += reader.TryRead(round % 2 == 0 ? badTopic : "s/d/"u8, Damaged(payload, draw), false, Told.T0, outcome) ? 1 : 0;
            Assert.InRange(outcome.Facts.Count, 0, 1);
        }

        Assert.InRange(taken, 10_000, 20_000);
    }

    private static byte[] Damaged(byte[] bytes, Random draw)
    {
        byte[] copy = bytes[..draw.Next(1, bytes.Length + 1)];
        for (int i = draw.Next(4); i > 0; i--)
        {
            copy[draw.Next(copy.Length)] = (byte)draw.Next(256);
        }

        return copy;
    }

    private static ReadOutcome Read(string topic, string payload, long atMs = Told.T0, bool isRetained = false)
    {
        var reader = new MessageReader(TopicPattern.TryParse(TopicPattern.Default, out _)!);
        var outcome = new ReadOutcome();
        Assert.True(reader.TryRead(Encoding.UTF8.GetBytes(topic), Encoding.UTF8.GetBytes(payload), isRetained, atMs, outcome));
        return outcome;
    }
}
