using System.Text;
using Agent.Core;

namespace Agent.Tests.Core;

public sealed class OutboxTests
{
    [Fact]
    public void Messages_come_out_in_the_order_they_went_in_through_memory_and_flash()
    {
        Outbox box = new(new CuttableFlash(4, 2048), 512);
        Put(box, 1, 25);
        Assert.True(box.InFlash > 0);
        Assert.Equal(Enumerable.Range(1, 25), Drain(box));
        Assert.Equal((0, true), (box.Dropped, box.IsEmpty));
    }

    [Fact]
    public void When_everything_is_full_the_oldest_go_and_are_counted()
    {
        Outbox box = new(new CuttableFlash(3, 1024), 256);
        Put(box, 1, 200);
        int[] left = [.. Drain(box)];
        Assert.Equal(200, left[^1]);
        Assert.Equal(Enumerable.Range(201 - left.Length, left.Length), left);
        Assert.Equal(200 - left.Length, box.Dropped);
        Assert.InRange(left.Length, 9, 30);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_acknowledgement_of_a_message_dropped_on_its_way_takes_no_other_one_out(bool hasFlash)
    {
        Outbox box = new(hasFlash ? new CuttableFlash(3, 1024) : null, 256);
        Put(box, 1, 10);
        box.TryPeek(out _, new byte[Outbox.RecordSize], out _);
        Put(box, 11, 200); // the one that was sent is long gone
        box.TakeOut();
        int[] left = [.. Drain(box)];
        Assert.Equal(Enumerable.Range(211 - left.Length, left.Length), left);
        Assert.Equal(210 - left.Length, box.Dropped);
    }

    [Fact]
    public void Without_flash_the_oldest_of_memory_go_and_are_counted()
    {
        Outbox box = new(null, 256);
        Put(box, 1, 50);
        int[] left = [.. Drain(box)];
        Assert.Equal((50, 50 - left.Length), (left[^1], box.Dropped));
    }

    [Fact]
    public void A_message_that_is_too_long_is_refused_at_once()
    {
        Outbox box = new(null, 1024);
        Assert.True(box.Put("p", new byte[Outbox.RecordSize], Outbox.RecordSize - 4));
        Assert.False(box.Put("p", new byte[Outbox.RecordSize], Outbox.RecordSize - 3));
        Assert.False(box.Put(new string('p', 256), [], 0));
    }

    [Fact]
    public void What_was_saved_before_a_stop_is_there_after_it_and_nothing_is_sent_twice()
    {
        CuttableFlash flash = new(4, 2048);
        Outbox box = new(flash, 1024);
        Put(box, 1, 10);
        Take(box, 4);
        box.Save();
        Assert.Equal(Enumerable.Range(5, 6), Drain(new Outbox(flash.PowerUp(), 1024)));
    }

    [Fact]
    public void What_was_sent_from_flash_is_at_most_sixteen_times_sent_again_after_a_power_cut()
    {
        CuttableFlash flash = new(8, 2048);
        Outbox box = new(flash, 256);
        Put(box, 1, 50);
        int inFlash = box.InFlash;
        for (int taken = 1; taken <= inFlash; taken++)
        {
            Take(box, 1);
            int first = Drain(new Outbox(flash.PowerUp(), 256)).FirstOrDefault(inFlash + 1);
            Assert.InRange(first, taken - 15, taken + 1);
        }
    }

    [Theory]
    [InlineData(0x00)]
    [InlineData(0xA5)]
    public void A_power_cut_at_every_byte_of_the_queue_loses_nothing_that_had_reached_flash(byte torn)
    {
        CuttableFlash start = new(3, 1024);
        Outbox filled = new(start, 256);
        Put(filled, 1, 9);
        filled.Save();
        int held = filled.InFlash;
        CuttableFlash probe = start.PowerUp();
        Work(new Outbox(probe, 256), held);
        for (int cut = 1; cut < probe.BytesUsed; cut += 1 + (cut / 300))
        {
            CuttableFlash flash = start.PowerUp();
            flash.TornMask = torn;
            Outbox box = new(flash, 256);
            flash.BytesLeft = cut;
            Work(box, held);
            int[] found = [.. Drain(new Outbox(flash.PowerUp(), 256))];
            Assert.Equal(found.Order().Distinct(), found);
            Assert.All(found, value => Assert.InRange(value, 1, 30));
            int oldestKept = found.Length == 0 ? held + 1 : found[0];
            Assert.Equal(Enumerable.Range(oldestKept, found.Length), found); // no hole: what is missing is at an end
        }
    }

    private static void Work(Outbox box, int sent)
    {
        Take(box, sent / 2);
        Put(box, 10, 8);
        Take(box, 2);
    }

    private static void Put(Outbox box, int from, int count)
    {
        for (int i = from; i < from + count; i++)
        {
            byte[] payload = Encoding.ASCII.GetBytes($"{i}:{new string('x', 60)}");
            Assert.True(box.Put($"n={i}", payload, payload.Length));
        }
    }

    private static void Take(Outbox box, int count)
    {
        for (int i = 0; i < count; i++)
        {
            box.TakeOut();
        }
    }

    private static List<int> Drain(Outbox box)
    {
        List<int> values = [];
        byte[] payload = new byte[Outbox.RecordSize];
        while (box.TryPeek(out string properties, payload, out int count))
        {
            string text = Encoding.ASCII.GetString(payload, 0, count);
            int value = int.Parse(text[..text.IndexOf(':')]);
            Assert.Equal($"n={value}", properties);
            values.Add(value);
            box.TakeOut();
        }

        return values;
    }
}
