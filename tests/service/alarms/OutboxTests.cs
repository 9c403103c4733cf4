using System.Text;
using Agent.Service.Alarms;

namespace Agent.Tests.Service.Alarms;

public sealed class OutboxTests : IDisposable
{
    private static readonly long Now = Notices.StartMs;
    private static readonly Destination Ops = Notices.To(new Uri("https://x.example/"));
    private readonly string path = Path.Combine(Path.GetTempPath(), $"outbox-{Guid.NewGuid():N}");

    public void Dispose()
    {
        File.Delete(path);
        File.Delete(path + ".new");
    }

    [Fact]
    public void A_claimed_row_is_nobody_elses_until_the_lease_ends()
    {
        var table = new OutboxTable();
        table.Append("ops", Notices.Of(NoticeEdge.Raised));

        Assert.Single(table.Claim("ops", Now, Now + 60_000, 8));
        Assert.Empty(table.Claim("ops", Now + 59_999, Now + 120_000, 8));
        Assert.Single(table.Claim("ops", Now + 60_000, Now + 120_000, 8));
        Assert.Empty(table.Claim("other", Now + 600_000, Now + 660_000, 8));
    }

    [Fact]
    public void The_oldest_episodes_are_claimed_first_and_no_more_than_asked_for()
    {
        var table = new OutboxTable();
        foreach (long episode in new long[] { 5, 3, 9, 4 })
        {
            table.Append("ops", Notices.Of(NoticeEdge.Raised, episode));
        }

        Assert.Equal([3, 4, 5], table.Claim("ops", Now, Now + 1, 3).Select(row => row.Episode));
        Assert.Equal([9], table.Claim("ops", Now, Now + 1, 3).Select(row => row.Episode));
    }

    [Fact]
    public void A_clear_that_comes_while_the_raise_is_under_way_is_not_lost_by_recording_it()
    {
        var table = new OutboxTable();
        table.Append("ops", Notices.Of(NoticeEdge.Raised));
        Delivery claimed = table.Claim("ops", Now, Now + 60_000, 1)[0];
        table.Append("ops", Notices.Of(NoticeEdge.Cleared));

        table.Record(DeliveryRules.After(claimed, PostOutcome.Delivered, new DeliveryPatience(), Now, 0));

        Delivery next = Assert.Single(table.Claim("ops", Now, Now + 60_000, 1));
        Assert.Equal(NoticeEdge.Cleared, next.Notices[next.Settled].Edge);
    }

    [Fact]
    public void Adding_everything_again_after_a_crash_tells_nothing_twice()
    {
        var table = new OutboxTable();
        for (long episode = 1; episode <= 10_000; episode++)
        {
            Assert.NotNull(table.Append("ops", Notices.Of(NoticeEdge.Raised, episode)));
            Assert.NotNull(table.Append("ops", Notices.Of(NoticeEdge.Cleared, episode)));
            table.Record(table.Claim("ops", Now, Now + 1, 1)[0] with { Settled = 2 });
        }

        for (long episode = 1; episode <= 10_000; episode++)
        {
            Assert.Null(table.Append("ops", Notices.Of(NoticeEdge.Raised, episode)));
        }

        Assert.Empty(table.Rows);
        Assert.InRange(table.Over.Single().Over.Count, 1, 5000);
    }

    [Fact]
    public void A_full_table_takes_no_new_episode_but_goes_on_with_the_old_ones()
    {
        var table = new OutboxTable(rowsMax: 2);
        table.Append("ops", Notices.Of(NoticeEdge.Raised, 1));
        table.Append("ops", Notices.Of(NoticeEdge.Raised, 2));

        Assert.Null(table.Append("ops", Notices.Of(NoticeEdge.Raised, 3)));
        Assert.NotNull(table.Append("ops", Notices.Of(NoticeEdge.Cleared, 1)));
        table.Record(table.Claim("ops", Now, Now + 1, 1)[0] with { Settled = 2 });
        Assert.Null(table.Append("ops", Notices.Of(NoticeEdge.Raised, 3))); // Its clear must not come alone.
        Assert.Null(table.Append("ops", Notices.Of(NoticeEdge.Cleared, 3)));
        Assert.NotNull(table.Append("ops", Notices.Of(NoticeEdge.Raised, 4)));
        Assert.Equal(1, table.Overflown);
    }

    [Fact]
    public void A_new_destination_hears_of_later_episodes_only()
    {
        var table = new OutboxTable();
        Assert.True(table.Introduce("ops", lastEpisode: 7));

        Assert.Null(table.Append("ops", Notices.Of(NoticeEdge.Raised, 7)));
        Assert.NotNull(table.Append("ops", Notices.Of(NoticeEdge.Raised, 8)));
        Assert.False(table.Introduce("ops", lastEpisode: 100));
        Assert.NotNull(table.Append("ops", Notices.Of(NoticeEdge.Raised, 9)));
    }

    [Fact]
    public async Task A_file_brings_back_rows_attempts_and_what_is_over()
    {
        using (FileOutbox outbox = FileOutbox.Open(path))
        {
            outbox.Introduce("ops", 0);
            Assert.True(outbox.Append([Notices.Of(NoticeEdge.Raised, 1), Notices.Of(NoticeEdge.Raised, 2)], [Ops]));
            await SettleAsync(outbox, 1);
            outbox.Append([Notices.Of(NoticeEdge.Cleared, 1)], [Ops]);
            await SettleAsync(outbox, 1);
            Delivery second = (await outbox.ClaimAsync("ops", Now, Now + 1, 8, default)).Single();
            await outbox.RecordAsync(second with { Attempts = 3, NextMs = Now + 5000, HeldUntilMs = 4 }, default);
        }

        using FileOutbox again = FileOutbox.Open(path);
        Assert.Equal(0, again.CutBytes);
        Assert.False(again.Append([Notices.Of(NoticeEdge.Raised, 1), Notices.Of(NoticeEdge.Raised, 2)], [Ops]));
        Assert.Empty(await again.ClaimAsync("ops", Now + 4999, Now + 9000, 8, default));
        Delivery row = Assert.Single(await again.ClaimAsync("ops", Now + 5000, Now + 9000, 8, default));
        Assert.Equal((2, 3, 4), (row.Episode, row.Attempts, row.HeldUntilMs));
        Assert.Equivalent(Notices.Of(NoticeEdge.Raised, 2), row.Notices[0], strict: true);
    }

    [Fact]
    public void A_file_torn_at_any_byte_opens_with_every_whole_line_and_can_be_written_on()
    {
        using (FileOutbox outbox = FileOutbox.Open(path))
        {
            for (long episode = 1; episode <= 3; episode++)
            {
                outbox.Append([Notices.Of(NoticeEdge.Raised, episode)], [Ops]);
            }
        }

        byte[] whole = File.ReadAllBytes(path);
        int lastLine = whole.AsSpan(0, whole.Length - 1).LastIndexOf((byte)'\n');
        for (int length = 0; length < whole.Length; length += length < lastLine - 2 ? 7 : 1)
        {
            File.WriteAllBytes(path, whole[..length]);
            int lines = whole.AsSpan(0, length).Count((byte)'\n');
            using (FileOutbox outbox = FileOutbox.Open(path))
            {
                Assert.Equal(lines, outbox.Waiting("ops"));
                if (length % 50 != 0)
                {
                    continue; // Each write waits for the disk.
                }

                outbox.Append([Notices.Of(NoticeEdge.Raised, 99)], [Ops]);
            }

            using FileOutbox again = FileOutbox.Open(path);
            Assert.Equal((lines + 1, 0), (again.Waiting("ops"), again.CutBytes));
        }
    }

    [Fact]
    public void Damaged_bytes_are_noticed_and_never_throw()
    {
        using (FileOutbox outbox = FileOutbox.Open(path))
        {
            outbox.Append([.. Enumerable.Range(1, 3).Select(episode => Notices.Of(NoticeEdge.Raised, episode))], [Ops]);
        }

        byte[] whole = File.ReadAllBytes(path);
        var draw = new Random(6);
        for (int run = 0; run < 300; run++)
        {
            byte[] damaged = [.. whole];
            damaged[draw.Next(damaged.Length)] ^= (byte)(1 << draw.Next(8));
            File.WriteAllBytes(path, damaged);

            using FileOutbox outbox = FileOutbox.Open(path);
            Assert.InRange(outbox.Waiting("ops"), 0, 2);
            Assert.True(outbox.CutBytes > 0);
        }
    }

    [Fact]
    public async Task History_is_written_anew_and_forgets_nothing_that_is_open()
    {
        using (FileOutbox outbox = FileOutbox.Open(path, compactAboveBytes: 16 << 10))
        {
            outbox.Append([Notices.Of(NoticeEdge.Raised, 1)], [Ops]);
            string padding = new('x', 380);
            for (long episode = 2; episode < 60; episode++)
            {
                outbox.Append([Notices.Of(NoticeEdge.Raised, episode) with { Explanation = padding }], [Ops]);
                int count = 1 + (int)episode;
                Delivery row = (await outbox.ClaimAsync("ops", Now, Now, count, default)).Single(each => each.Episode == episode);
                await outbox.RecordAsync(row with { Settled = 1, IsWithheld = true }, default);
                outbox.Append([Notices.Of(NoticeEdge.Cleared, episode)], [Ops]);
                row = (await outbox.ClaimAsync("ops", Now, Now, count, default)).Single(each => each.Episode == episode);
                await outbox.RecordAsync(row with { Settled = 2 }, default);
            }
        }

        Assert.InRange(new FileInfo(path).Length, 1, 24 << 10);
        Assert.False(File.Exists(path + ".new"));
        using FileOutbox again = FileOutbox.Open(path);
        Assert.Equal(1, again.Waiting("ops"));
        Assert.False(again.Append([Notices.Of(NoticeEdge.Raised, 30)], [Ops]));
    }

    [Fact]
    public void A_second_process_cannot_have_the_same_file()
    {
        using FileOutbox outbox = FileOutbox.Open(path);

        Assert.ThrowsAny<IOException>(() => FileOutbox.Open(path));
    }

    [Fact]
    public void The_file_holds_neither_address_nor_secret()
    {
        Destination destination = Notices.To(new Uri("https://x.example/very-hidden"));
        using (FileOutbox outbox = FileOutbox.Open(path))
        {
            outbox.Append([Notices.Of(NoticeEdge.Raised)], [destination]);
        }

        string text = Encoding.UTF8.GetString(File.ReadAllBytes(path));
        Assert.DoesNotContain("hidden", text, StringComparison.Ordinal);
        Assert.DoesNotContain(Notices.SecretText[6..], text, StringComparison.Ordinal);
    }

    private static async Task SettleAsync(FileOutbox outbox, long episode)
    {
        Delivery row = (await outbox.ClaimAsync("ops", Now, Now, 8, default)).Single(each => each.Episode == episode);
        await outbox.RecordAsync(DeliveryRules.After(row, PostOutcome.Delivered, new DeliveryPatience(), Now, 0), default);
    }
}
