using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class CommandQueueTests
{
    private const long Start = 1_700_000_000_000;
    private const long Minute = 60_000;
    private const long Hour = 60 * Minute;

    private readonly CommandQueue queue = new("dev:1", "generation", new CommandOptions());

    [Fact]
    public void A_message_travels_in_a_topic_that_carries_its_properties()
    {
        var command = new CommandMessage
        {
            MessageId = "m 1",
            CorrelationId = "c",
            UserId = "hub",
            ContentType = "application/json;charset=utf-8",
            ContentEncoding = "utf-8",
            ExpiryUtcMs = Start,
            Ack = CommandAck.Full,
            Properties =
            [
                new("key", null), new("empty", ""), new("a=b&c", "d/e+f ä"),
            ],
        };
        Assert.Equal(
            "devices/dev:1/messages/devicebound/%24.mid=m%201&%24.cid=c&%24.uid=hub"
            + "&%24.to=%2Fdevices%2Fdev%3A1%2Fmessages%2FdeviceBound&%24.ct=application%2Fjson%3Bcharset%3Dutf-8&%24.ce=utf-8"
            + "&%24.exp=2023-11-14T22%3A13%3A20.000Z&iothub-ack=full&key&empty=&a%3Db%26c=d%2Fe%2Bf%20%C3%A4",
            command.Topic("dev:1"));
        Assert.Equal(
            "devices/dev:1/messages/devicebound/%24.to=%2Fdevices%2Fdev%3A1%2Fmessages%2FdeviceBound", new CommandMessage().Topic("dev:1"));
    }

    [Fact]
    public void Messages_wait_in_order_and_an_acknowledgement_completes_them()
    {
        Put(Start, "one", CommandAck.Full);
        Put(Start, "two", CommandAck.None);
        Assert.False(queue.TryTakeDelivery(Start, out _));
        Assert.Equal(Start + Hour, queue.NextWakeUtcMs);

        queue.OnReady(Start + 1000, 1);
        CommandDelivery one = Take(Start + 1000), two = Take(Start + 1000);
        Assert.Equal(("one", "two"), (one.Command.MessageId, two.Command.MessageId));
        Assert.Equal(((ushort)1, (ushort)2, false), (one.PacketId, two.PacketId, one.IsDuplicate));
        Assert.False(queue.TryTakeDelivery(Start + 1000, out _));
        Assert.Equal(2, queue.Count);
        Assert.Equal(Start + 1000 + CommandQueue.LockMs, queue.NextWakeUtcMs);

        Assert.True(queue.OnAcknowledged(Start + 2000, 2));
        Assert.True(queue.OnAcknowledged(Start + 3000, 1));
        Assert.False(queue.OnAcknowledged(Start + 3000, 1));
        Assert.Equal((0, long.MaxValue), (queue.Count, queue.NextWakeUtcMs));
        Assert.Equal(
            [(2L, CommandEnd.Success, false), (1L, CommandEnd.Success, true)],
            Outcomes().Select(outcome => (outcome.Sequence, outcome.End, outcome.Feedback is not null)));
    }

    [Fact]
    public void A_lock_lasts_a_minute_and_then_the_message_goes_out_again()
    {
        Put(Start, "one", CommandAck.None);
        queue.OnReady(Start, 1);
        Take(Start);
        Assert.False(queue.TryTakeDelivery(Start + Minute - 1, out _));

        CommandDelivery again = Take(Start + Minute);
        Assert.True(again.IsDuplicate);
        Assert.False(queue.OnAcknowledged(Start + Minute, 1));
        Assert.True(queue.OnAcknowledged(Start + Minute, again.PacketId));
    }

    [Fact]
    public void What_was_not_acknowledged_goes_out_again_on_the_next_connection()
    {
        Put(Start, "one", CommandAck.None);
        queue.OnReady(Start, 1);
        CommandDelivery first = Take(Start);
        queue.OnGone(Start + 10);
        Assert.Equal(Start + Hour, queue.NextWakeUtcMs);
        Assert.False(queue.OnAcknowledged(Start + 10, first.PacketId));
        Assert.False(queue.TryTakeDelivery(Start + 10, out _));
        queue.OnReady(Start + 20, 1);
        Assert.False(queue.OnAcknowledged(Start + 20, first.PacketId));
        Assert.True(Take(Start + 20).IsDuplicate);
    }

    [Theory]
    [InlineData(CommandAck.None, false, false)]
    [InlineData(CommandAck.Positive, true, false)]
    [InlineData(CommandAck.Negative, false, true)]
    [InlineData(CommandAck.Full, true, true)]
    public void Feedback_is_what_was_asked_for(CommandAck ack, bool onSuccess, bool onExpiry)
    {
        queue.OnReady(Start, 1);
        Put(Start, "m", ack);
        queue.OnAcknowledged(Start + 5, Take(Start).PacketId);
        Assert.Equal(
            onSuccess ? new FeedbackRecord("m", Start + 5, CommandEnd.Success, "dev:1", "generation") : null,
            Assert.Single(Outcomes()).Feedback);
        Put(Start, "m", ack);
        queue.OnWake(Start + Hour);
        Assert.Equal(
            onExpiry ? new FeedbackRecord("m", Start + Hour, CommandEnd.Expired, "dev:1", "generation") : null,
            Assert.Single(Outcomes()).Feedback);
    }

    [Fact]
    public void A_message_expires_at_its_own_time_also_in_the_hands_of_a_silent_device()
    {
        queue.OnReady(Start, 1);
        var message = new CommandMessage { MessageId = "m", Ack = CommandAck.Negative, ExpiryUtcMs = Start + 5000 };
        Assert.Null(queue.Enqueue(Start, message, out _, out _));
        Take(Start);
        Assert.Equal(Start + 5000, queue.NextWakeUtcMs);
        queue.OnWake(Start + 4999);
        Assert.Equal(1, queue.Count);
        queue.OnWake(Start + 9000);
        CommandOutcome outcome = Assert.Single(Outcomes());
        Assert.Equal((CommandEnd.Expired, Start + 5000, 1), (outcome.End, outcome.Feedback!.UtcMs, outcome.DeliveryCount));
        Assert.False(queue.OnAcknowledged(Start + 9000, 1));
    }

    [Fact]
    public void Fifty_wait_and_one_more_is_refused_until_one_has_left()
    {
        for (int i = 0; i < 50; i++)
        {
            Put(Start, "m", CommandAck.None);
        }

        Assert.Equal(403004, queue.Enqueue(Start, new CommandMessage(), out _, out _)?.Code);
        Assert.Null(queue.Enqueue(Start + Hour, new CommandMessage(), out long sequence, out _));
        Assert.Equal((1, 51L), (queue.Count, sequence));
    }

    [Fact]
    public void Limits_are_those_of_the_documentation()
    {
        HubError? Try(CommandMessage command) => queue.Enqueue(Start, command, out _, out _);
        Assert.Null(Try(new CommandMessage { Payload = new byte[65_536] }));
        Assert.Equal(413001, Try(new CommandMessage { Payload = new byte[65_536], MessageId = "x" })?.Code);
        Assert.Equal(413001, Try(new CommandMessage { Properties = [new("ä", new string('x', 65_535))] })?.Code);
        Assert.Equal(403009, Try(new CommandMessage { ExpiryUtcMs = Start })?.Code);
        Assert.Equal(403009, Try(new CommandMessage { ExpiryUtcMs = Start + (48 * Hour) + 1 })?.Code);
        Assert.Null(Try(new CommandMessage { ExpiryUtcMs = Start + (48 * Hour) }));
        Assert.Null(new CommandOptions { DefaultTtlMs = 60_000 }.Problem);
        Assert.NotNull(new CommandOptions { DefaultTtlMs = 59_999 }.Problem);
        Assert.NotNull(new CommandOptions { DefaultTtlMs = (48 * Hour) + 1 }.Problem);
        Assert.NotNull(new CommandOptions { MaxDeliveryCount = 0 }.Problem);
    }

    [Fact]
    public void A_subscription_with_QoS_0_completes_by_sending()
    {
        Put(Start, "m", CommandAck.Full);
        queue.OnReady(Start, 0);
        Assert.Equal(0, Take(Start).PacketId);
        Assert.Equal(CommandEnd.Success, Assert.Single(Outcomes()).End);
    }

    [Fact]
    public void Purging_takes_all_and_says_so()
    {
        Put(Start, "a", CommandAck.Negative);
        Put(Start, "b", CommandAck.Positive);
        queue.OnReady(Start, 1);
        Take(Start);
        Assert.Equal(2, queue.Purge(Start));
        Assert.Equal([CommandEnd.Purged, null], Outcomes().Select(outcome => outcome.Feedback?.End));
        Assert.Equal(0, queue.Purge(Start));
    }

    [Fact]
    public void Only_abandoning_counts_towards_the_maximal_delivery_count()
    {
        Put(Start, "m", CommandAck.Full);
        queue.OnReady(Start, 1);
        for (int i = 0; i < 20; i++)
        {
            Take(Start + (i * Minute));
        }

        long now = Start + (19 * Minute);
        for (int i = 0; i < 9; i++)
        {
            Assert.True(queue.Abandon(now, 1));
            Assert.False(queue.Abandon(now, 1));
            Take(now);
        }

        Assert.True(queue.Abandon(now, 1));
        Assert.Equal(CommandEnd.DeliveryCountExceeded, Assert.Single(Outcomes()).Feedback!.End);
        Put(now, "r", CommandAck.Negative);
        Take(now);
        Assert.True(queue.Reject(now, 2));
        Assert.Equal(CommandEnd.Rejected, Assert.Single(Outcomes()).End);
    }

    [Fact]
    public void The_journals_copy_is_the_same_message_with_the_same_number_and_expiry()
    {
        var command = new CommandMessage
        {
            MessageId = "ä",
            UserId = "",
            Ack = CommandAck.Full,
            Properties = [new("k", null), new("l", "")],
            Payload = Encoding.UTF8.GetBytes("payload"),
        };
        Assert.Null(queue.Enqueue(Start, command, out _, out byte[] first));
        Assert.Null(queue.Enqueue(Start, new CommandMessage { ExpiryUtcMs = Start + 5 }, out _, out byte[] second));
        var again = new CommandQueue("dev:1", "generation", new CommandOptions());
        Assert.True(again.TryRestore(second));
        Assert.True(again.TryRestore(first));
        Assert.False(again.TryRestore(first));
        Assert.Equal(Start + 5, again.NextWakeUtcMs);
        again.OnReady(Start, 1);
        Assert.True(again.TryTakeDelivery(Start, out CommandDelivery delivery));
        Assert.Equal(command.Topic("d"), delivery.Command.Topic("d"));
        Assert.Equal("payload", Encoding.UTF8.GetString(delivery.Command.Payload.Span));
        Assert.Null(again.Enqueue(Start, new CommandMessage(), out long sequence, out _));
        Assert.Equal(3, sequence);
        foreach (byte[] damaged in Damage.PrefixesOf(first))
        {
            Assert.False(new CommandQueue("d", "g", new CommandOptions()).TryRestore(damaged));
        }

        foreach (byte[] damaged in Damage.MutationsOf(first, 4, 5000))
        {
            Assert.Null(Record.Exception(() => new CommandQueue("d", "g", new CommandOptions()).TryRestore(damaged)));
        }
    }

    [Fact]
    public void Whatever_happens_every_message_ends_once_and_within_its_time()
    {
        for (int seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            var machine = new CommandQueue("d", "g", new CommandOptions());
            var ends = new Dictionary<long, long>();
            var expiries = new Dictionary<long, long>();
            var inHand = new List<ushort>();
            long now = Start;
            for (int step = 0; step < 400; step++)
            {
                now += random.Next(20_000);
                switch (random.Next(7))
                {
                    case 0 or 1:
                        long expiry = now + random.Next(1, 300_000);
                        if (machine.Enqueue(now, new CommandMessage { ExpiryUtcMs = expiry }, out long sequence, out _) is null)
                        {
                            expiries.Add(sequence, expiry);
                        }

                        break;
                    case 2:
                        machine.OnGone(now);
                        inHand.Clear();
                        break;
                    case 3:
                        machine.OnReady(now, 1);
                        inHand.Clear();
                        break;
                    case 4 when inHand.Count > 0:
                        machine.OnAcknowledged(now, inHand[random.Next(inHand.Count)]);
                        break;
                    default:
                        machine.OnWake(now);
                        Assert.True(machine.NextWakeUtcMs > now);
                        break;
                }

                while (machine.TryTakeDelivery(now, out CommandDelivery delivery))
                {
                    Assert.False(ends.ContainsKey(delivery.Sequence));
                    inHand.Add(delivery.PacketId);
                }

                while (machine.TryTakeOutcome(out CommandOutcome outcome))
                {
                    ends.Add(outcome.Sequence, now);
                    Assert.True(outcome.End == CommandEnd.Expired ? expiries[outcome.Sequence] <= now : expiries[outcome.Sequence] > now);
                }

                Assert.Equal(expiries.Count - ends.Count, machine.Count);
            }

            machine.OnWake(now + 300_000);
            Assert.Equal(0, machine.Count);
        }
    }

    private void Put(long now, string id, CommandAck ack) =>
        Assert.Null(queue.Enqueue(now, new CommandMessage { MessageId = id, Ack = ack }, out _, out _));

    private CommandDelivery Take(long now)
    {
        Assert.True(queue.TryTakeDelivery(now, out CommandDelivery delivery));
        return delivery;
    }

    private List<CommandOutcome> Outcomes()
    {
        var all = new List<CommandOutcome>();
        while (queue.TryTakeOutcome(out CommandOutcome outcome))
        {
            all.Add(outcome);
        }

        return all;
    }
}
