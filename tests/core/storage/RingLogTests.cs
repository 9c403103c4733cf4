using Agent.Core;

namespace Agent.Tests.Core;

public sealed class RingLogTests
{
    private const int PayloadSize = 20;

    [Fact]
    public void What_is_appended_is_found_again_after_a_restart()
    {
        CuttableFlash flash = new(3, 128);
        RingLog log = new(flash, PayloadSize);
        for (int i = 1; i <= 5; i++)
        {
            Assert.True(log.Append(Payload(i)));
        }

        RingLog again = new(flash.PowerUp(), PayloadSize);
        Assert.Equal(6, again.Next);
        Assert.Equal([1, 2, 3, 4, 5], Held(again));
    }

    [Fact]
    public void A_full_ring_drops_the_oldest_block_and_keeps_all_others()
    {
        RingLog log = new(new CuttableFlash(3, 128), PayloadSize);
        for (int i = 1; i <= 1000; i++)
        {
            log.Append(Payload(i));
            int[] held = Held(log);
            Assert.InRange(held.Length, Math.Min(i, 9), 12); // 4 records a block
            Assert.Equal(Enumerable.Range(i - held.Length + 1, held.Length), held);
        }

        Assert.InRange(log.Erases, 246, 250);
    }

    [Theory]
    [InlineData(0x00)]
    [InlineData(0xFF)]
    [InlineData(0x5A)]
    public void A_power_cut_at_every_byte_loses_nothing_older_and_invents_nothing(byte torn)
    {
        for (int before = 0; before < 14; before++)
        {
            CuttableFlash full = new(3, 128);
            RingLog log = new(full, PayloadSize);
            Append(log, 1, before);
            CuttableFlash probe = full.PowerUp();
            Assert.True(new RingLog(probe, PayloadSize).Append(Payload(before + 1)));
            for (int cut = 1; cut <= probe.BytesUsed; cut++)
            {
                CuttableFlash flash = full.PowerUp();
                flash.TornMask = torn;
                RingLog dying = new(flash, PayloadSize);
                flash.BytesLeft = cut;
                dying.Append(Payload(before + 1));

                RingLog after = new(flash.PowerUp(), PayloadSize);
                int[] held = Held(after);
                int oldestKept = before + 1 - 8; // what may go with the block that is entered
                Assert.All(Enumerable.Range(1, before).Where(i => i >= oldestKept), i => Assert.Contains(i, held));
                Assert.All(held, i => Assert.InRange(i, 1, before + 1));
                Assert.Equal(held.Order(), held);
                Assert.True(after.Append(Payload(77)));
                Assert.Equal(77, Held(after)[^1]);
            }
        }
    }

    [Fact]
    public void Power_cuts_again_and_again_at_random_bytes_never_lose_what_was_acknowledged()
    {
        for (uint seed = 0; seed < 60; seed++)
        {
            SeededRandom random = new(seed);
            CuttableFlash flash = new(3, 128);
            List<int> acknowledged = [];
            for (int i = 1; i < 200; i++)
            {
                RingLog log = new(flash, PayloadSize);
                flash.BytesLeft = random.Next(3) == 0 ? 1 + random.Next(60) : int.MaxValue;
                flash.TornMask = (byte)random.Next(256);
                if (log.Append(Payload(i)))
                {
                    acknowledged.Add(i);
                }

                flash = flash.PowerUp();
                int[] held = Held(new RingLog(flash, PayloadSize));
                Assert.All(acknowledged.TakeLast(2), kept => Assert.Contains(kept, held));
                Assert.Equal(held.Order().Distinct(), held);
            }
        }
    }

    [Fact]
    public void Whatever_bytes_lie_in_flash_nothing_is_invented_and_writing_goes_on()
    {
        for (uint seed = 0; seed < 300; seed++)
        {
            SeededRandom random = new(seed);
            CuttableFlash flash = new(2, 96);
            byte[] junk = new byte[96];
            for (int block = 0; block < 2; block++)
            {
                for (int i = 0; i < junk.Length; i++)
                {
                    junk[i] = (byte)(seed % 3 == 0 ? 0 : random.Next(256));
                }

                flash.Write(block, 0, junk, 0, junk.Length);
            }

            RingLog log = new(flash, PayloadSize);
            Assert.Empty(Held(log));
            Assert.True(log.Append(Payload(5)));
            Assert.Equal([5], Held(log));
        }
    }

    [Fact]
    public void A_mark_survives_and_does_not_spoil_the_record()
    {
        CuttableFlash flash = new(2, 128);
        RingLog log = new(flash, PayloadSize);
        Append(log, 1, 4);
        Assert.True(log.IsThere(2));
        Assert.True(log.Mark(2));
        RingLog again = new(flash.PowerUp(), PayloadSize);
        Assert.Equal(2, again.NewestMarked());
        Assert.Equal([1, 2, 3, 4], Held(again));
    }

    [Fact]
    public void Storage_that_fails_is_said_and_does_not_stop_anything()
    {
        CuttableFlash flash = new(2, 128) { BytesLeft = 0 };
        RingLog log = new(flash, PayloadSize);
        Assert.False(log.Append(Payload(1)));
        Assert.True(log.HasFailed);
        Assert.Empty(Held(log));
    }

    private static void Append(RingLog log, int from, int count)
    {
        for (int i = from; i < from + count; i++)
        {
            Assert.True(log.Append(Payload(i)));
        }
    }

    private static byte[] Payload(int value) => [.. Enumerable.Repeat((byte)value, PayloadSize - 4), .. BitConverter.GetBytes(value)];

    private static int[] Held(RingLog log)
    {
        List<int> held = [];
        byte[] payload = new byte[PayloadSize];
        for (int number = log.Oldest; number < log.Next; number++)
        {
            if (log.TryRead(number, payload))
            {
                int value = BitConverter.ToInt32(payload, PayloadSize - 4);
                Assert.Equal(Payload(value), payload);
                held.Add(value);
            }
        }

        return [.. held];
    }
}
