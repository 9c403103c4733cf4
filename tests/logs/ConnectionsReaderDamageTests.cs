using System.Text;
using Agent.Logs;
using Agent.Tests.Hub;

namespace Agent.Tests.Logs;

/// <summary>Hostile logs: nothing throws, hangs or is held in memory because of what the log says.</summary>
public sealed class ConnectionsReaderDamageTests
{
    [Fact]
    public void Every_prefix_of_every_golden_log_ends_with_at_most_one_bad_place()
    {
        foreach (string golden in GoldenLogs.All)
        {
            long whole = LogLines.Read(golden).Reader.Records;
            foreach (byte[] prefix in Damage.PrefixesOf(Encoding.UTF8.GetBytes(golden)))
            {
                ConnectionsReader reader = LogLines.Read(prefix).Reader;

                Assert.InRange(reader.Records, 0, whole);
                Assert.InRange(reader.BadLines, 0, 2);
                Assert.True(prefix.Length == 0 || reader.Records + reader.OtherRecords + reader.BadLines > 0);
            }
        }
    }

    [Fact]
    public void Seeded_mutations_never_throw_and_never_make_more_records_than_bytes_allow()
    {
        foreach (string golden in GoldenLogs.All)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(golden + "\n" + golden);
            foreach (byte[] mutation in Damage.MutationsOf(bytes, seed: 11, count: 3000))
            {
                ConnectionsReader reader = LogLines.Read(mutation).Reader;
                Assert.InRange(reader.Records, 0, mutation.Length / 100);
            }
        }
    }

    [Fact]
    public void Damage_to_one_line_costs_that_line_only()
    {
        using var log = new LogLines();
        log.Renewals(2700, 50);
        string[] lines = Encoding.UTF8.GetString(log.Bytes).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        foreach (byte[] mutation in Damage.MutationsOf(Encoding.UTF8.GetBytes(lines[40]), seed: 5, count: 300))
        {
            byte[] bytes = [.. Encoding.UTF8.GetBytes(string.Join('\n', lines[..40]) + "\n"), .. mutation,
                .. Encoding.UTF8.GetBytes("\n" + string.Join('\n', lines[41..]) + "\n")];

            Assert.InRange(LogLines.Read(bytes).Reader.Records, lines.Length - 1, lines.Length + 3);
        }
    }

    [Fact]
    public void Nesting_of_any_depth_is_one_bad_place()
    {
        string deep = $"{{\"time\":\"2026-11-20T10:00:00Z\",\"a\":{new string('[', 200_000)}{new string(']', 200_000)}}}";
        string open = "{\"x\":" + string.Concat(Enumerable.Repeat("{\"x\":[", 100_000));

        Assert.Equal(1, LogLines.Read(deep).Reader.BadLines);
        Assert.Equal(1, LogLines.Read(open).Reader.BadLines);
        Assert.InRange(LogLines.Read(new string('[', 100_000)).Reader.BadLines, 1, 2);
        Assert.InRange(LogLines.Read(string.Concat(Enumerable.Repeat("{\"records\":[", 10_000))).Reader.BadLines, 1, 2);
        string inner = GoldenLogs.Documented.Replace(
            "{\\\"deviceId\\\"",
            $"{{\\\"a\\\":{new string('[', 100_000)}{new string(']', 100_000)},\\\"deviceId\\\"", StringComparison.Ordinal);
        Assert.Equal((0, 1), (LogLines.Read(inner).Reader.Records, LogLines.Read(inner).Reader.BadLines));
    }

    [Theory]
    [InlineData("{\"a\":\"", 'x')]
    [InlineData("", 'x')]
    [InlineData("{\"a\":", '[')]
    [InlineData("", '{')]
    [InlineData("", '\0')]
    [InlineData("{\"a\":\"", '\\')]
    [InlineData("{", ' ')]
    public void A_line_without_end_costs_no_memory_and_the_next_line_is_read(string start, char filling)
    {
        string good = "\"\n\n" + GoldenLogs.Documented + "\n";
        using var stream = new LongLine(start, filling, 32L << 20, good);
        using var reader = new ConnectionsReader(stream, "log");
        long before = GC.GetAllocatedBytesForCurrentThread();
        while (reader.TryRead(out _))
        {
        }

        Assert.Equal(1, reader.Records);
        Assert.InRange(reader.BadLines, 1, 3);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }

    [Fact]
    public void Bad_UTF8_is_one_bad_place()
    {
        byte[] bytes = Encoding.UTF8.GetBytes(GoldenLogs.Documented + "\n" + GoldenLogs.Documented);
        bytes[GoldenLogs.Documented.IndexOf("sensor", StringComparison.Ordinal)] = 0xC3;
        ConnectionsReader reader = LogLines.Read(bytes).Reader;

        Assert.Equal((1, 1, "not UTF-8"), (reader.Records, reader.BadLines, reader.FirstBadLines[0].Problem));
    }

    [Fact]
    public void A_name_that_fills_a_megabyte_is_cut()
    {
        string line = GoldenLogs.Documented.Replace("sensor-1", new string('ä', 300_000), StringComparison.Ordinal);

        Assert.Equal(513, Assert.Single(LogLines.Read(line).Entries).DeviceId.Length);
    }
}
