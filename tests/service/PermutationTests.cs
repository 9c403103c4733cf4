using System.Text;
using Agent.Service;

namespace Agent.Tests.Service;

/// <summary>Event Grid delivers at least once and in any order; the log comes minutes late. The end must be the same.</summary>
public sealed class PermutationTests
{
    private const long T0 = Told.T0;
    private const int Devices = 12;

    // Facts of one second with different contents are drawn on purpose: they must not depend on who came first either.
    private static readonly LivenessSettings Settings = Told.Settings with { DeliveryDelayMs = long.MaxValue };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(10)]
    [InlineData(11)]
    [InlineData(12)]
    public void Order_repetition_and_delay_do_not_matter(int seed)
    {
        var draw = new Random(seed);
        List<Action<FactBatch>> facts = [.. Enumerable.Range(0, 600).Select(_ => Draw(draw))];
        string expected = Picture(facts, batchSize: 1, draw);
        for (int round = 0; round < 8; round++)
        {
            List<Action<FactBatch>> mixed = [.. facts, .. facts.Where(_ => draw.Next(3) == 0)];
            for (int i = mixed.Count - 1; i > 0; i--)
            {
                int other = draw.Next(i + 1);
                (mixed[i], mixed[other]) = (mixed[other], mixed[i]);
            }

            Assert.Equal(expected, Picture(mixed, batchSize: 1 + draw.Next(50), draw));
        }
    }

    [Fact]
    public void The_picture_does_depend_on_the_facts()
    {
        var draw = new Random(1);
        List<Action<FactBatch>> facts = [.. Enumerable.Range(0, 600).Select(_ => Draw(draw))];

        Assert.NotEqual(Picture(facts, 1, draw), Picture(facts.GetRange(0, 300), 1, draw));
    }

    private static Action<FactBatch> Draw(Random draw)
    {
        byte[] id = Encoding.ASCII.GetBytes("d" + draw.Next(Devices));
        long at = T0 + (draw.Next(40) * 30_000L) + (draw.Next(3) * 400);
        int kind = draw.Next(9);
        int a = draw.Next(3), b = draw.Next(3), order = draw.Next(60);
        return batch =>
        {
            ref Fact fact = ref batch.Add((FactKind)kind, id, at);
            switch (fact.Kind)
            {
                case FactKind.Heartbeat:
                    fact.Number = (uint)a;
                    fact.IntervalSeconds = 60 + (600 * b);
                    fact.RenewalSeconds = a == 0 ? Hot.NoRenewal : 100 * a;
                    fact.DeviceReason = (byte)(b * 0x10);
                    if (b > 0)
                    {
                        batch.SetSite(ref fact, "site-" + a);
                    }

                    break;
                case FactKind.Connected or FactKind.Disconnected:
                    batch.SetOrder(ref fact, new SequenceNumber(0, (ulong)b, 5, (ulong)order));
                    break;
                default:
                    fact.HubCode = HubCodes.Pack(new[] { 404104, 401003, 400027 }[a]);
                    break;
            }
        };
    }

    // The facts arrive in this order over half an hour, with sweeps in between; then everybody is looked at, several times.
    private static string Picture(List<Action<FactBatch>> facts, int batchSize, Random draw)
    {
        var checker = new Checker(Settings, seed: 3);
        checker.Start(T0);
        var batch = new FactBatch();
        long now = T0;
        for (int i = 0; i < facts.Count; i += batchSize)
        {
            batch.Clear();
            foreach (Action<FactBatch> fact in facts.Skip(i).Take(batchSize))
            {
                fact(batch);
            }

            now = Math.Min(T0 + 1_200_000, now + draw.Next(5000));
            checker.Sweep(now);
            checker.Apply(batch, now);
        }

        var lines = new List<string>();
        for (now = T0 + 1_200_000; now <= T0 + 5_000_000; now += 100_000)
        {
            checker.Sweep(now);
            for (int row = 0; row < checker.Count; row++)
            {
                // When a status was noticed may depend on when its facts came; what it is may not. Nor may who has an alarm of his own.
                lines.Add($"{now} {checker.At(row, now) with { SinceMs = null, HasAlarm = false }}");
            }
        }

        // Rows are in order of first sight.
        lines.Sort(StringComparer.Ordinal);
        return string.Join('\n', lines);
    }
}
