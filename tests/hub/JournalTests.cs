using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class JournalTests
{
    private static readonly JournalOptions Quick = new() { Synchronise = false };

    [Fact]
    public async Task What_was_appended_is_there_again_and_the_last_value_counts()
    {
        using var folder = new HubFolder();
        using (Journal journal = Open(folder, [], Quick))
        {
            await journal.Append(new JournalBatch().Put("a", "1"u8).Put("b", "2"u8));
            await journal.Append(new JournalBatch().Put("a", "3"u8).Delete("b").Put("ä/c", ""u8));
            await journal.Append(new JournalBatch());
        }

        var kept = new SortedDictionary<string, string>(StringComparer.Ordinal);
        using (Journal journal = Open(folder, kept, Quick))
        {
            await journal.Append(new JournalBatch().Delete("a"));
        }

        Assert.Equal([new("a", "3"), new("ä/c", "")], kept);
        Open(folder, kept, Quick).Dispose();
        Assert.Equal(["ä/c"], kept.Keys);
        Assert.Throws<ArgumentException>(() => new JournalBatch().Put(new string('k', 1025), default));
        Assert.Throws<ArgumentException>(() => new JournalBatch().Put("k", new byte[JournalBatch.LengthMax]));
    }

    [Fact]
    public async Task Cut_off_at_every_byte_it_keeps_all_commits_before_and_invents_none()
    {
        using var folder = new HubFolder();
        List<(long End, SortedDictionary<string, string> Kept)> commits = await SmallJournal(folder);
        string log = Path.Combine(folder.Path, "journal-0000000001.log");
        byte[] whole = File.ReadAllBytes(log);
        for (int length = 0; length <= whole.Length; length++)
        {
            File.WriteAllBytes(log, whole[..length]);
            var kept = new SortedDictionary<string, string>(StringComparer.Ordinal);
            List<string> lines = [];
            using (Journal journal = Open(folder, kept, Quick with { Lines = lines.Add }))
            {
                // It goes on behind what was kept.
                await journal.Append(new JournalBatch().Put("z", "1"u8));
            }

            SortedDictionary<string, string> expected = commits.Where(commit => commit.End <= length).Select(commit => commit.Kept)
                .LastOrDefault() ?? [];
            Assert.Equal(expected, kept);
            bool isWhole = length == 28 || commits.Exists(commit => commit.End == length);
            Assert.Equal(isWhole ? 0 : 1, lines.Count);
            Assert.All(lines, line => Assert.Contains("unfinished write", line, StringComparison.Ordinal));
            Open(folder, kept, Quick with { Lines = lines.Add }).Dispose();
            Assert.Equal("1", kept["z"]);
            Assert.Equal(isWhole ? 0 : 1, lines.Count);
        }
    }

    [Fact]
    public async Task A_changed_bit_is_an_error_with_file_and_offset_or_a_dropped_last_commit()
    {
        using var folder = new HubFolder();
        List<(long End, SortedDictionary<string, string> Kept)> commits = await SmallJournal(folder);
        string log = Path.Combine(folder.Path, "journal-0000000001.log");
        byte[] whole = File.ReadAllBytes(log);
        long lastStart = commits[^2].End;
        for (int bit = 0; bit < whole.Length * 8; bit += 5)
        {
            byte[] damaged = [.. whole];
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            File.WriteAllBytes(log, damaged);
            var kept = new SortedDictionary<string, string>(StringComparer.Ordinal);
            Exception? exception = Record.Exception(() => Open(folder, kept, Quick).Dispose());
            if (bit / 8 >= lastStart)
            {
                Assert.Null(exception);
                Assert.Equal(commits[^2].Kept, kept);
                continue;
            }

            long start = commits.Select(commit => commit.End).Prepend(28).Prepend(0).Last(end => end <= bit / 8);
            string told = Assert.IsType<HubDataException>(exception).Message;
            Assert.StartsWith($"{log}: damaged at offset {start}: ", told, StringComparison.Ordinal);
            Assert.Equal(damaged, File.ReadAllBytes(log));
        }
    }

    [Fact]
    public async Task Bytes_that_look_like_a_frame_do_not_make_a_cut_off_write_look_like_damage()
    {
        using var folder = new HubFolder();
        await SmallJournal(folder);
        string log = Path.Combine(folder.Path, "journal-0000000001.log");
        byte[] copy = File.ReadAllBytes(log);
        using (Journal journal = Open(folder, [], Quick))
        {
            await journal.Append(new JournalBatch().Put("hostile", copy));
        }

        File.WriteAllBytes(log, File.ReadAllBytes(log)[..^1]);
        Open(folder, [], Quick).Dispose();
        using var another = new HubFolder();
        await SmallJournal(another);
        byte[] other = File.ReadAllBytes(Path.Combine(another.Path, "journal-0000000001.log"));
        File.WriteAllBytes(log, [.. copy, .. other[28..]]);
        List<string> lines = [];
        Open(folder, [], Quick with { Lines = lines.Add }).Dispose();
        string line = Assert.Single(lines);
        Assert.Contains($"the last {other.Length - 28} bytes, from offset {copy.Length}, are", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Frames_of_another_file_are_not_taken_for_its_own_even_at_their_place()
    {
        using var folder = new HubFolder();
        using var another = new HubFolder();
        List<(long End, SortedDictionary<string, string> Kept)> commits = await SmallJournal(folder);
        await SmallJournal(another);
        int end = (int)commits[2].End;
        string log = folder["journal-0000000001.log"];
        File.WriteAllBytes(log, [.. File.ReadAllBytes(log)[..end], .. File.ReadAllBytes(another["journal-0000000001.log"])[end..]]);
        var kept = new SortedDictionary<string, string>(StringComparer.Ordinal);
        Open(folder, kept, Quick).Dispose();
        Assert.Equal(commits[2].Kept, kept);
    }

    [Fact]
    public async Task Damage_of_any_kind_ends_in_a_state_that_was_or_in_one_line()
    {
        using var folder = new HubFolder();
        List<(long End, SortedDictionary<string, string> Kept)> commits = await SmallJournal(folder);
        string log = Path.Combine(folder.Path, "journal-0000000001.log");
        byte[] whole = File.ReadAllBytes(log);
        foreach (byte[] damaged in Damage.MutationsOf(whole, 5, 400))
        {
            File.WriteAllBytes(log, damaged);
            var kept = new SortedDictionary<string, string>(StringComparer.Ordinal);
            Exception? exception = Record.Exception(() => Open(folder, kept, Quick).Dispose());
            if (exception is null)
            {
                Assert.Contains(kept, commits.Select(commit => commit.Kept).Prepend([]));
            }
            else
            {
                Assert.DoesNotContain('\n', Assert.IsType<HubDataException>(exception).Message);
            }
        }
    }

    [Fact]
    public async Task Many_writers_share_few_commits()
    {
        using var folder = new HubFolder();
        long commits;
        using (Journal journal = Open(folder, [], new JournalOptions()))
        {
            await Task.WhenAll(Enumerable.Range(0, 32).Select(writer => Task.Run(async () =>
            {
                for (int i = 0; i < 20; i++)
                {
                    await journal.Append(new JournalBatch().Put($"w{writer}/{i}", "x"u8));
                }
            })));
            commits = journal.CommitCount;
        }

        var kept = new SortedDictionary<string, string>(StringComparer.Ordinal);
        Open(folder, kept, Quick).Dispose();
        Assert.Equal(640, kept.Count);
        Assert.InRange(commits, 20, 400);
    }

    [Fact]
    public async Task Its_files_stay_in_proportion_to_what_they_hold()
    {
        using var folder = new HubFolder();
        JournalOptions options = Quick with { CompactAfterBytes = 30_000 };
        var random = new Random(3);
        var expected = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (int opened = 0; opened < 3; opened++)
        {
            var kept = new SortedDictionary<string, string>(StringComparer.Ordinal);
            using Journal journal = Open(folder, kept, options);
            Assert.Equal(expected, kept);
            for (int i = 0; i < 3000; i++)
            {
                string key = "k" + random.Next(100);
                string value = new((char)('a' + random.Next(26)), random.Next(1000));
                bool deletes = random.Next(5) == 0;
                expected[key] = value;
                if (deletes)
                {
                    expected.Remove(key);
                }

                await journal.Append(deletes ? new JournalBatch().Delete(key) : new JournalBatch().Put(key, Encoding.UTF8.GetBytes(value)));
            }

            Assert.True(journal.CompactionCount > 0);
            Assert.InRange(journal.DiskBytes, 1, 700_000);
        }

        var last = new SortedDictionary<string, string>(StringComparer.Ordinal);
        Open(folder, last, options).Dispose();
        Assert.Equal(expected, last);
        Assert.Empty(Directory.GetFiles(folder.Path, "*.tmp"));
    }

    [Fact]
    public async Task A_damaged_snapshot_a_missing_log_and_leftovers_are_told_apart()
    {
        using var folder = new HubFolder();
        using (Journal journal = Open(folder, [], Quick with { CompactAfterBytes = 2000 }))
        {
            for (int i = 0; i < 200 || journal.CompactionCount == 0; i++)
            {
                await journal.Append(new JournalBatch().Put("k" + (i % 10), new byte[100]));
            }
        }

        string snapshot = Directory.GetFiles(folder.Path, "*.snapshot").Order(StringComparer.Ordinal).Last();
        string log = Path.ChangeExtension(snapshot, ".log");
        byte[] bytes = File.ReadAllBytes(snapshot), logBytes = File.ReadAllBytes(log);
        for (int length = 0; length < bytes.Length; length += 7)
        {
            File.WriteAllBytes(snapshot, bytes[..length]);
            var problem = Assert.Throws<HubDataException>(() => Open(folder, [], Quick));
            Assert.StartsWith(snapshot + ": damaged at offset ", problem.Message, StringComparison.Ordinal);
        }

        File.WriteAllBytes(snapshot, bytes);
        string[] later = Directory.GetFiles(folder.Path, "*.log");
        Array.ForEach(later, File.Delete);
        var missing = Assert.Throws<HubDataException>(() => Open(folder, [], Quick));
        Assert.StartsWith(log + ": missing", missing.Message, StringComparison.Ordinal);

        File.WriteAllBytes(log, logBytes);
        File.WriteAllText(Path.Combine(folder.Path, "journal-0000000001.log"), "older");
        File.WriteAllText(snapshot + ".tmp", "half");
        var kept = new SortedDictionary<string, string>(StringComparer.Ordinal);
        Open(folder, kept, Quick).Dispose();
        Assert.Equal(10, kept.Count);
        Assert.Equal(2, Directory.GetFiles(folder.Path).Length);
    }

    [Fact]
    public async Task Copies_made_while_it_writes_hold_all_that_was_acknowledged_before()
    {
        // A copy of the log in the middle of the writing is what a power cut would leave.
        using var folder = new HubFolder();
        using var copies = new HubFolder();
        using Journal journal = Open(folder, [], Quick);
        int acknowledged = -1;
        Task writing = Task.Run(async () =>
        {
            for (int i = 0; i < 4000; i++)
            {
                await journal.Append(new JournalBatch().Put("n", BitConverter.GetBytes(i)).Put("x", new byte[i % 700]));
                Volatile.Write(ref acknowledged, i);
            }
        });
        for (int copy = 0; copy < 50 && !writing.IsCompleted; copy++)
        {
            int before = Volatile.Read(ref acknowledged);
            File.Copy(folder["journal-0000000001.log"], copies["journal-0000000001.log"], overwrite: true);
            int seen = -1;
            Journal.Open(copies.Path, Quick, (key, value, _) => seen = key == "n" ? BitConverter.ToInt32(value) : seen).Dispose();
            Assert.True(seen >= before, $"{seen} after {before}");
        }

        await writing;
    }

    [Fact]
    public async Task After_the_end_nothing_is_taken()
    {
        using var folder = new HubFolder();
        Journal journal = Open(folder, [], Quick);
        Task[] appended = [.. Enumerable.Range(0, 100).Select(i => journal.Append(new JournalBatch().Put("k" + i, "v"u8)))];
        journal.Dispose();
        await Task.WhenAll(appended);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => journal.Append(new JournalBatch().Put("k", "v"u8)));
        journal.Dispose();
        var kept = new SortedDictionary<string, string>(StringComparer.Ordinal);
        Open(folder, kept, Quick).Dispose();
        Assert.Equal(100, kept.Count);
    }

    [Fact]
    public void Its_files_are_its_owners_only()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("file modes are Unix's");
            return;
        }

        using var folder = new HubFolder();
        Open(folder, [], Quick).Dispose();
        foreach (string file in Directory.GetFiles(folder.Path))
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        }
    }

    [Theory]
    [InlineData("device/a:b", JournalKeyKind.Device, "a:b", 0)]
    [InlineData("twin/x", JournalKeyKind.Twin, "x", 0)]
    [InlineData("session/x", JournalKeyKind.Session, "x", 0)]
    [InlineData("command/x/17", JournalKeyKind.Command, "x", 17)]
    [InlineData("command/x", JournalKeyKind.Unknown, "x", 0)]
    [InlineData("command/x/-1", JournalKeyKind.Unknown, "x", 0)]
    [InlineData("", JournalKeyKind.Unknown, "", 0)]
    public void Keys_tell_what_they_are_about(string key, JournalKeyKind kind, string id, long sequence) =>
        Assert.Equal((kind, id, sequence), (JournalKeys.Parse(key, out string who, out long number), who, number));

    internal static Journal Open(HubFolder folder, SortedDictionary<string, string> kept, JournalOptions options) =>
        Journal.Open(folder.Path, options, (key, value, isDeleted) =>
        {
            if (isDeleted)
            {
                kept.Remove(key);
            }
            else
            {
                kept[key] = Encoding.UTF8.GetString(value);
            }
        });

    /// <summary>Six commits: where each ends in the file, and what was kept by then.</summary>
    private static async Task<List<(long End, SortedDictionary<string, string> Kept)>> SmallJournal(HubFolder folder)
    {
        var commits = new List<(long End, SortedDictionary<string, string> Kept)>();
        using Journal journal = Open(folder, [], Quick);
        SortedDictionary<string, string> now = new(StringComparer.Ordinal);
        for (int i = 0; i < 6; i++)
        {
            now[$"key{i % 4}"] = $"value {i}";
            var batch = new JournalBatch().Put($"key{i % 4}", Encoding.UTF8.GetBytes($"value {i}"));
            if (i % 2 == 1)
            {
                now.Remove("key0");
                batch.Delete("key0");
            }

            await journal.Append(batch);
            commits.Add((journal.DiskBytes, new SortedDictionary<string, string>(now, StringComparer.Ordinal)));
        }

        return commits;
    }
}
