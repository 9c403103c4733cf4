using Agent.Events;
using Agent.Service;

namespace Agent.Tests.Events;

public sealed class ConnectionStateSnapshotTests
{
    // The moment in the vendor's sample number, 01D4132452F67CE2, as ms since 1970.
    private const long SampleMs = (0x01D4132452F67CE2 - 116_444_736_000_000_000) / 10_000;

    private const long Minute = 60_000;

    [Fact]
    public void A_sequence_number_has_the_words_of_the_vendors_sample()
    {
        const string Sample = "000000000000000001D4132452F67CE200000002000000000000000000000001";

        Assert.Equal(Sample, new EventSequence(0x01D4132452F67CE2, 1).ToString());

        ConnectionStateSnapshot snapshot = New(SampleMs);
        Connect(snapshot, SampleMs, 0);
        string ours = Assert.Single(Take(snapshot, SampleMs + Minute)).Sequence.ToString();
        Assert.Equal(Sample[..28], ours[..28]);
        Assert.Equal(Sample[32..], ours[32..]);
    }

    [Fact]
    public void A_connection_shows_after_its_first_use_and_at_the_minute()
    {
        ConnectionStateSnapshot snapshot = New();
        snapshot.OnConnect(1_000, 3);
        Assert.Empty(Take(snapshot, Minute));

        snapshot.OnMessaging(Minute + 5_000, 3);
        snapshot.OnMessaging(Minute + 6_000, 3);
        Assert.Empty(Take(snapshot, (2 * Minute) - 1));

        ConnectionStateChange change = Assert.Single(Take(snapshot, 2 * Minute));
        Assert.Equal((3, true, Minute + 5_000), (change.Device, change.IsConnected, change.AtUtcMs));
        Assert.Empty(Take(snapshot, 3 * Minute));
    }

    [Fact]
    public void Use_without_a_connection_shows_nothing()
    {
        ConnectionStateSnapshot snapshot = New();
        snapshot.OnMessaging(1, 0);
        snapshot.OnConnect(2, 0);
        snapshot.OnDisconnect(3, 0);
        snapshot.OnMessaging(4, 0);

        Assert.Empty(Take(snapshot, Minute));
    }

    [Fact]
    public void A_flap_within_the_minute_is_one_event_with_the_same_state_and_a_higher_number()
    {
        ConnectionStateSnapshot snapshot = New();
        Connect(snapshot, 1, 0);
        ConnectionStateChange before = Assert.Single(Take(snapshot, Minute));

        for (int flap = 0; flap < 5; flap++)
        {
            snapshot.OnDisconnect(Minute + (flap * 1000), 0);
            Connect(snapshot, Minute + (flap * 1000) + 500, 0);
        }

        ConnectionStateChange after = Assert.Single(Take(snapshot, 2 * Minute));
        Assert.True(before.IsConnected && after.IsConnected);
        Assert.Equal(10, after.Sequence.Count - before.Sequence.Count);
        Assert.Equal(Minute + 4_500, after.AtUtcMs);
    }

    [Fact]
    public void Coming_and_going_within_the_minute_is_one_disconnect()
    {
        ConnectionStateSnapshot snapshot = New();
        Connect(snapshot, 1, 0);
        snapshot.OnDisconnect(2, 0);

        ConnectionStateChange change = Assert.Single(Take(snapshot, Minute));
        Assert.False(change.IsConnected);
    }

    [Fact]
    public void A_takeover_is_a_change_only_once_the_new_connection_is_used()
    {
        ConnectionStateSnapshot snapshot = New();
        Connect(snapshot, 1, 0);
        long first = Assert.Single(Take(snapshot, Minute)).Sequence.Count;

        snapshot.OnConnect(Minute + 1, 0);
        Assert.False(Assert.Single(Take(snapshot, 2 * Minute)).IsConnected);

        snapshot.OnMessaging((2 * Minute) + 1, 0);
        ConnectionStateChange last = Assert.Single(Take(snapshot, 3 * Minute));
        Assert.True(last.IsConnected);
        Assert.Equal(first + 2, last.Sequence.Count);
    }

    [Fact]
    public void Two_records_of_one_end_count_once()
    {
        ConnectionStateSnapshot snapshot = New();
        Connect(snapshot, 1, 0);
        Take(snapshot, Minute);
        snapshot.OnDisconnect(Minute + 1, 0);
        snapshot.OnDisconnect(Minute + 1, 0);

        Assert.Equal(2, Assert.Single(Take(snapshot, 2 * Minute)).Sequence.Count);
    }

    [Fact]
    public void What_happens_while_a_snapshot_is_taken_belongs_to_the_next()
    {
        ConnectionStateSnapshot snapshot = New();
        Connect(snapshot, 1, 0);
        Connect(snapshot, 1, 1);
        Assert.True(snapshot.TryTake(Minute, out ConnectionStateChange first));
        snapshot.OnDisconnect(Minute, 0);
        Connect(snapshot, Minute, 2);

        Assert.True(snapshot.TryTake(Minute, out ConnectionStateChange second));
        Assert.False(snapshot.TryTake(Minute, out _));
        Assert.Equal((0, 1), (first.Device, second.Device));
        Assert.Equal([0, 2], Take(snapshot, 2 * Minute).Select(change => change.Device));
    }

    [Fact]
    public void A_driver_that_comes_late_takes_one_snapshot_and_the_grid_stays()
    {
        ConnectionStateSnapshot snapshot = New();
        Connect(snapshot, 1, 0);
        ConnectionStateChange change = Assert.Single(Take(snapshot, (5 * Minute) + 7));

        Assert.Equal(1, change.AtUtcMs);
        Assert.Equal(6 * Minute, snapshot.NextMs);
    }

    [Fact]
    public void A_later_start_outranks_every_number_of_an_earlier_one()
    {
        var early = new EventSequence(New(SampleMs).NextMs, uint.MaxValue);
        ConnectionStateSnapshot restarted = New(SampleMs + 1);
        Connect(restarted, SampleMs + 1, 0);
        string late = Assert.Single(Take(restarted, SampleMs + 1 + Minute)).Sequence.ToString();

        Assert.True(string.CompareOrdinal(early.ToString(), late) < 0);
    }

    [Fact]
    public void The_service_reads_the_numbers_and_orders_them_as_the_text_does()
    {
        var random = new Random(11);
        for (int round = 0; round < 1000; round++)
        {
            var a = new EventSequence(random.NextInt64(), random.Next());
            var b = new EventSequence(round % 2 == 0 ? a.Epoch : random.NextInt64(), random.Next());
            Assert.True(SequenceNumber.TryParse(System.Text.Encoding.ASCII.GetBytes(a.ToString()), out SequenceNumber left));
            Assert.True(SequenceNumber.TryParse(System.Text.Encoding.ASCII.GetBytes(b.ToString()), out SequenceNumber right));
            Assert.Equal(Math.Sign(string.CompareOrdinal(a.ToString(), b.ToString())), Math.Sign(left.CompareTo(right)));
        }
    }

    /// <summary>Against a slow and obvious model: every device's whole history, judged at the minute.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_lives_agree_with_the_plain_reading_of_the_rule(int seed)
    {
        var random = new Random(seed);
        const int Devices = 50;
        ConnectionStateSnapshot snapshot = New();
        bool[] linked = new bool[Devices];
        bool[] visible = new bool[Devices];
        int[] count = new int[Devices];
        int[] published = new int[Devices];
        long[] lastNumber = new long[Devices];
        long[] changedAt = new long[Devices];
        long now = 0;
        for (int step = 0; step < 20_000; step++)
        {
            now += random.Next(200);
            int device = random.Next(Devices);
            bool was = visible[device];
            switch (random.Next(4))
            {
                case 0:
                    snapshot.OnConnect(now, device);
                    (linked[device], visible[device]) = (true, false);
                    break;
                case 1:
                    snapshot.OnDisconnect(now, device);
                    (linked[device], visible[device]) = (false, false);
                    break;
                default:
                    snapshot.OnMessaging(now, device);
                    visible[device] |= linked[device];
                    break;
            }

            if (visible[device] != was)
            {
                count[device]++;
                changedAt[device] = now;
            }

            if (now < snapshot.NextMs)
            {
                continue;
            }

            List<ConnectionStateChange> changes = Take(snapshot, now);
            Assert.Equal(
                Enumerable.Range(0, Devices).Where(d => count[d] != published[d]),
                changes.Select(change => change.Device).Order());
            foreach (ConnectionStateChange change in changes)
            {
                int d = change.Device;
                Assert.Equal((visible[d], changedAt[d]), (change.IsConnected, change.AtUtcMs));
                Assert.True(change.Sequence.Count > lastNumber[d]);
                lastNumber[d] = change.Sequence.Count;
                published[d] = count[d];
            }
        }
    }

    [Fact]
    public void A_million_devices_cost_eight_bytes_each_and_no_garbage()
    {
        const int Devices = 1_000_000;
        Assert.Equal(8, ConnectionStateSnapshot.BytesPerDevice);
        var snapshot = new ConnectionStateSnapshot(0, Devices);
        Minutes(snapshot, 0, Devices);
        long at = 0;
        int seen = 0;
        Assert.Equal(0, Allocations.Of(() => seen = Minutes(snapshot, at += Minute, Devices)));
        Assert.Equal(Devices, seen);
    }

    private static int Minutes(ConnectionStateSnapshot snapshot, long atMs, int devices)
    {
        for (int device = 0; device < devices; device++)
        {
            Connect(snapshot, atMs, device);
        }

        int seen = 0;
        while (snapshot.TryTake(atMs + Minute, out _))
        {
            seen++;
        }

        return seen;
    }

    private static ConnectionStateSnapshot New(long startMs = 0) => new(startMs, 4);

    private static void Connect(ConnectionStateSnapshot snapshot, long atMs, int device)
    {
        snapshot.OnConnect(atMs, device);
        snapshot.OnMessaging(atMs, device);
    }

    private static List<ConnectionStateChange> Take(ConnectionStateSnapshot snapshot, long atMs)
    {
        var changes = new List<ConnectionStateChange>();
        while (snapshot.TryTake(atMs, out ConnectionStateChange change))
        {
            changes.Add(change);
        }

        return changes;
    }
}
