using Agent.World;

namespace Agent.Tests.Simulator;

public class VirtualTimeTests
{
    [Theory]
    [InlineData(1UL)]
    [InlineData(2UL)]
    [InlineData(3UL)]
    public void Events_come_out_by_moment_and_then_by_the_order_they_were_asked_for(ulong seed)
    {
        var time = new VirtualTime();
        var oracle = new PriorityQueue<int, (long AtMs, int Sequence)>();
        int sequence = 0;
        void Ask(long atMs)
        {
            time.At(atMs, sequence, 0, 0);
            oracle.Enqueue(sequence, (Math.Max(atMs, time.NowMs), sequence));
            sequence++;
        }

        for (int i = 0; i < 2000; i++)
        {
            Ask(Delay(seed, i));
        }

        for (int taken = 0; taken < 50_000 && oracle.Count > 0; taken++)
        {
            Assert.True(time.TryNext(VirtualTime.MaxMs, out Pending next));
            Assert.True(oracle.TryDequeue(out int expected, out (long AtMs, int) due));
            Assert.Equal((expected, due.AtMs), (next.Device, next.AtMs));
            Assert.Equal(due.AtMs, time.NowMs);
            Ask(time.NowMs + Delay(seed, taken + 2000));
        }
    }

    [Fact]
    public void Nothing_after_the_limit_comes_out_and_asking_later_still_works()
    {
        var time = new VirtualTime();
        time.At(1000, 1, 0, 0);
        Assert.False(time.TryNext(999, out _));
        time.At(500, 2, 0, 0);
        Assert.True(time.TryNext(999, out Pending first));
        Assert.Equal(2, first.Device);
        Assert.False(time.TryNext(999, out _));
        Assert.True(time.TryNext(1000, out Pending second));
        Assert.Equal(1, second.Device);
        Assert.Equal(0, time.Count);
    }

    [Fact]
    public void A_pending_event_keeps_moment_kind_link_and_device()
    {
        var pending = new Pending(VirtualTime.MaxMs, int.MaxValue, 31, ushort.MaxValue);
        Assert.Equal(
            (VirtualTime.MaxMs, int.MaxValue, (byte)31, ushort.MaxValue),
            (pending.AtMs, pending.Device, pending.Kind, pending.Link));
    }

    [Fact]
    public void Events_of_the_present_moment_follow_those_already_waiting_for_it()
    {
        var time = new VirtualTime();
        time.At(70_000, 1, 0, 0);
        time.At(70_000, 2, 0, 0);
        Assert.True(time.TryNext(VirtualTime.MaxMs, out _));
        time.At(time.NowMs, 3, 0, 0);
        time.At(0, 4, 0, 0);
        var order = new List<int>();
        while (time.TryNext(VirtualTime.MaxMs, out Pending next))
        {
            order.Add(next.Device);
        }

        Assert.Equal([2, 3, 4], order);
    }

    // Delays of every magnitude a run knows: none, milliseconds, minutes, hours, weeks; many ties.
    private static long Delay(ulong seed, int index)
    {
        ulong draw = Randomness.Draw(seed, index, 0);
        return (draw % 5) switch
        {
            0 => 0,
            1 => (long)(draw >> 8) % 10,
            2 => (long)(draw >> 8) % 600_000,
            3 => ((long)(draw >> 8) % 48) * 3_600_000,
            _ => ((long)(draw >> 8) % 100) * 604_800_000,
        };
    }
}
