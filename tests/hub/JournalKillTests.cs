using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>A child process that writes, a parent that kills it with SIGKILL, again and again over the same files.</summary>
public sealed class JournalKillTests
{
    private const int Rounds = 12;
    private const int Writers = 4;
    private const string FolderVariable = "AGENT_TEST_JOURNAL_FOLDER";

    [Fact]
    public async Task Nothing_acknowledged_is_lost_and_nothing_is_invented_by_kill_9()
    {
        using var folder = new HubFolder();
        var random = new Random(9);
        long[] acknowledged = new long[Writers];
        long compactions = 0;
        // On a busy machine more rounds may be needed until a log was long enough for a snapshot.
        for (int round = 0; round < Rounds || (compactions == 0 && round < 4 * Rounds); round++)
        {
            using Process child = StartChild(folder.Path);
            await ReadUntilKilled(child, random.Next(30, 130), acknowledged);

            long[] kept = new long[Writers];
            List<string> lines = [];
            Journal.Open(folder.Path, new JournalOptions { Lines = lines.Add }, (key, value, _) => Read(kept, key, value)).Dispose();
            for (int writer = 0; writer < Writers; writer++)
            {
                // One more than acknowledged may have reached the disk; the child did not begin the one after that.
                Assert.InRange(kept[writer], acknowledged[writer], acknowledged[writer] + 1);
                acknowledged[writer] = kept[writer];
            }

            Assert.True(lines.Count <= 1);
            compactions += Directory.GetFiles(folder.Path, "*.snapshot").Length;
        }

        Assert.True(acknowledged.Sum() > Rounds * 5, $"only {acknowledged.Sum()} writes were acknowledged");
        Assert.True(compactions > 0, "no snapshot was ever made");
    }

    /// <summary>The child is this test assembly started once more; it never reaches its tests.</summary>
    [ModuleInitializer]
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Usage", "CA2255", Justification = "The only way in before the test runner.")]
    internal static void RunAsChild()
    {
        if (Environment.GetEnvironmentVariable(FolderVariable) is { } folder)
        {
            Environment.Exit(WriteForever(folder));
        }
    }

    private static int WriteForever(string folder)
    {
        long[] last = new long[Writers];
        using Journal journal = Journal.Open(
            folder, new JournalOptions { CompactAfterBytes = 60_000 }, (key, value, _) => Read(last, key, value));
        using var output = new StreamWriter(Console.OpenStandardOutput()) { AutoFlush = true };
        output.WriteLine("ready");
        Thread[] writers = [.. Enumerable.Range(0, Writers).Select(writer => new Thread(() =>
        {
            while (true)
            {
                long next = ++last[writer];
                var batch = new JournalBatch().Put("first/" + writer, BitConverter.GetBytes(next))
                    .Put($"filler/{writer}/{next % 20}", new byte[next % 900])
                    .Put("second/" + writer, BitConverter.GetBytes(next));
                journal.Append(batch).GetAwaiter().GetResult();
                lock (output)
                {
                    output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{writer} {next}"));
                }
            }
        }))];
        Array.ForEach(writers, writer => writer.Start());
        writers[0].Join();
        return 0;
    }

    private static void Read(long[] numbers, string key, ReadOnlySpan<byte> value)
    {
        string[] parts = key.Split('/');
        int writer = int.Parse(parts[1], CultureInfo.InvariantCulture);
        if (parts[0] == "first")
        {
            numbers[writer] = BitConverter.ToInt64(value);
        }
        else if (parts[0] == "second")
        {
            // A batch is there whole or not at all; a snapshot may tell the two in any order, so the larger one is the truth.
            Assert.True(numbers[writer] == 0 || numbers[writer] == BitConverter.ToInt64(value));
        }
    }

    private static Process StartChild(string folder)
    {
        // The muxer of the runtime that runs this: …/shared/Microsoft.NETCore.App/10.0.x/ is three below it.
        string runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        string muxer = Path.Combine(Path.GetFullPath(Path.Combine(runtime, "..", "..", "..")), "dotnet");
        var start = new ProcessStartInfo(File.Exists(muxer) ? muxer : "dotnet", ["exec", typeof(JournalKillTests).Assembly.Location])
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        start.Environment[FolderVariable] = folder;
        return Process.Start(start)!;
    }

    private static async Task ReadUntilKilled(Process child, int milliseconds, long[] acknowledged)
    {
        string? first = await child.StandardOutput.ReadLineAsync();
        Assert.Equal("ready", first);
        Task kill = Task.Run(async () =>
        {
            await Task.Delay(milliseconds);
            child.Kill();
        });
        while (await child.StandardOutput.ReadLineAsync() is { } line)
        {
            // The very last line may be cut off by the kill.
            string[] parts = line.Split(' ');
            if (parts.Length == 2 && long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out long number)
                && parts[0].Length == 1)
            {
                int writer = parts[0][0] - '0';
                acknowledged[writer] = Math.Max(acknowledged[writer], number);
            }
        }

        await kill;
        await child.WaitForExitAsync();
    }
}
