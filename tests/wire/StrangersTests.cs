using System.Net;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>Who makes room for whom among connections that have not shown who they are.</summary>
public class StrangersTests
{
    private readonly List<string> evicted = [];

    [Fact]
    public void The_oldest_of_a_full_address_makes_room_and_the_neighbours_stay()
    {
        var strangers = new Strangers(100, 3);
        Fake other = Add(strangers, "other", "10.0.0.2");
        for (int number = 0; number < 5; number++)
        {
            Add(strangers, "n" + number, "10.0.0.1");
        }

        Assert.Equal(["n0", "n1"], evicted);
        Assert.Equal(2, strangers.EvictedCount);
        other.Leave();
    }

    [Fact]
    public void The_oldest_of_all_makes_room_when_the_port_is_full()
    {
        var strangers = new Strangers(3, 2);
        Add(strangers, "a", "10.0.0.1");
        Add(strangers, "b", "10.0.0.2");
        Add(strangers, "c", "10.0.0.3");
        Add(strangers, "d", "10.0.0.4");

        Assert.Equal(["a"], evicted);
    }

    [Fact]
    public void One_that_waits_for_us_is_passed_over()
    {
        var strangers = new Strangers(3, 3);
        Add(strangers, "a", "10.0.0.1").Owes = false;
        Add(strangers, "b", "10.0.0.1");
        Add(strangers, "c", "10.0.0.1");
        Add(strangers, "d", "10.0.0.1");

        Assert.Equal(["b"], evicted);
    }

    [Fact]
    public void When_all_wait_for_us_the_newcomer_waits_and_nothing_changes()
    {
        var strangers = new Strangers(2, 2);
        Fake a = Add(strangers, "a", "10.0.0.1");
        a.Owes = Add(strangers, "b", "10.0.0.2").Owes = false;
        var newcomer = new Fake("c", "10.0.0.3", evicted);

        Assert.False(strangers.TryAdd(newcomer));
        Assert.Equal(2, strangers.Count);
        a.Owes = true;
        Assert.True(strangers.TryAdd(newcomer));
        Assert.Equal(["a"], evicted);
    }

    [Fact]
    public void Who_has_left_is_no_stranger_any_more()
    {
        var strangers = new Strangers(2, 2);
        Fake a = Add(strangers, "a", "10.0.0.1");
        Add(strangers, "b", "10.0.0.1");
        a.Leave();
        a.Leave();
        Add(strangers, "c", "10.0.0.1");

        Assert.Empty(evicted);
        Assert.Equal(2, strangers.Count);
    }

    [Fact]
    public void The_evicted_count_until_they_are_gone_and_no_more_than_an_eighth_is_on_its_way()
    {
        var strangers = new Strangers(16, 16);
        Fake[] old = [.. Enumerable.Range(0, 16).Select(number => Add(strangers, "n" + number, "10.0.0.1"))];
        int admitted = 0;
        while (strangers.TryAdd(new Fake("late" + admitted, "10.0.0.1", evicted)))
        {
            admitted++;
        }

        Assert.Equal((3, 19), (admitted, strangers.Count));
        old[0].Leave();
        Assert.Equal(18, strangers.Count);
        Assert.True(strangers.TryAdd(new Fake("again", "10.0.0.1", evicted)));
    }

    [Theory]
    [InlineData("2001:db8::1", "2001:db8::ffff:2", true)]
    [InlineData("2001:db8::1", "2001:db8:0:1::1", false)]
    [InlineData("::ffff:10.0.0.1", "10.0.0.1", true)]
    [InlineData("10.0.0.1", "10.0.0.2", false)]
    public void A_64_of_IPv6_is_one_address(string first, string second, bool same)
    {
        var strangers = new Strangers(10, 1);
        Add(strangers, "a", first);
        Add(strangers, "b", second);

        Assert.Equal(same ? ["a"] : [], evicted);
    }

    [Fact]
    public void However_they_come_and_go_from_many_threads_the_count_ends_at_zero()
    {
        var strangers = new Strangers(16, 5);
        int over = 0;
        Parallel.For(0, 8, seed =>
        {
            var random = new Random(seed);
            var mine = new List<Fake>();
            for (int round = 0; round < 5000; round++)
            {
                var one = new Fake("x", "10.0.0." + random.Next(6), null) { Owes = random.Next(4) > 0 };
                bool isIn = strangers.TryAdd(one);
                if (isIn)
                {
                    mine.Add(one);
                }

                if (strangers.Count > 16 + 3)
                {
                    Interlocked.Increment(ref over);
                }

                // Who is refused makes room: otherwise a thread could hold the three that are evicted until its end, and nobody moves.
                if (mine.Count > 15 || (!isIn && mine.Count > 0))
                {
                    int at = random.Next(mine.Count);
                    mine[at].Leave();
                    mine.RemoveAt(at);
                }
            }

            mine.ForEach(one => one.Leave());
        });

        Assert.Equal((0, 0), (strangers.Count, over));
        Assert.InRange(strangers.EvictedCount, 101, long.MaxValue);
    }

    private Fake Add(Strangers strangers, string name, string address)
    {
        var one = new Fake(name, address, evicted);
        Assert.True(strangers.TryAdd(one));
        return one;
    }

    private sealed class Fake(string name, string address, List<string>? evicted) : Stranger(IPAddress.Parse(address))
    {
        public bool Owes { get; set; } = true;

        public override bool OwesUs => Owes;

        protected override void Evict() => evicted?.Add(name);
    }
}
