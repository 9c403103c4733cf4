using System.Text;
using Agent.Service;

namespace Agent.Tests.Service.Postgres;

/// <summary>The bytes in the rows: facts of the journal, and devices.</summary>
public sealed class RecordTests
{
    [Fact]
    public void Facts_come_back_as_they_were()
    {
        FactBatch batch = Batch();
        FactBatch again = new();
        FactRecords.Read(Row(batch), again);

        Assert.Equal(Texts(batch), Texts(again));
        Assert.Equal((batch.FreshestMs, batch.LatestMs), (again.FreshestMs, again.LatestMs));
        Assert.Equal(9, batch.Count);
    }

    [Fact]
    public void A_fact_is_written_as_it_is_documented()
    {
        var batch = new FactBatch();
        ref Fact fact = ref batch.Add(FactKind.LoggedDisconnect, "ab"u8, 0x0102030405060708);
        fact.HubCode = 3;

        Assert.Equal("01" + "07" + "0807060504030201" + "02" + "6162" + "03", Convert.ToHexString(Row(batch)));
    }

    [Fact]
    public void Every_prefix_and_every_mutation_is_read_or_refused()
    {
        byte[] row = Row(Batch());
        var draw = new Random(4);
        int refused = 0;
        for (int round = 0; round < row.Length + 5000; round++)
        {
            byte[] bad = round < row.Length ? row[..round] : [.. row];
            if (round >= row.Length)
            {
                bad[draw.Next(bad.Length)] = (byte)draw.Next(256);
            }

            try
            {
                FactRecords.Read(bad, new FactBatch());
            }
            catch (InvalidDataException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, row.Length / 2, row.Length + 5000);
    }

    [Fact]
    public void A_device_comes_back_as_it_was()
    {
        Told told = new Told()
            .Heartbeat("a", Told.T0 + 1234, number: uint.MaxValue, interval: Hot.IntervalSecondsMax, renewal: 99, gap: 7, site: "Łódź")
            .Sign("a", Told.T0 + 5678)
            .Connection("b", Told.T0 + 1000, 1UL << 63, connected: true)
            .Connection("b", Told.T0 + 700_000, (1UL << 63) + 1, connected: true)
            .Log(FactKind.LoggedDisconnect, "b", Told.T0 + 800_000, 404104)
            .Log(FactKind.LoggedConnect, "c", Told.T0 + 100)
            .Log(FactKind.LoggedConnect, "c", Told.T0 + 60_900)
            .Log(FactKind.LoggedDisconnect, "c", Told.T0 + 61_555)
            .Tell(FactKind.Deleted, "d", Told.T0)
            .Sign("e", Told.T0);
        var again = new Checker(Told.Settings, seed: 3);
        for (int row = 0; row < told.Checker.Count; row++)
        {
            again.RestoreDevice(row, told.Checker.Table.IdBytes(row));
            string site = told.Checker.Sites[told.Checker.Table.Hot(row).Group].Name;
            DeviceRecord.Read(DeviceRecord.Write(told.Checker, row), again, row, site);
            again.RestoreStatus(row, told.Checker.StatusOf(row), told.Checker.At(row, Told.T0).SinceMs ?? 0);
        }

        again.FinishRestore(Told.T0);
        for (int row = 0; row < again.Count; row++)
        {
            Assert.Equal(told.Checker.At(row, Told.T0 + 900_000), again.At(row, Told.T0 + 900_000));
            Assert.Equal(
                Convert.ToHexString(DeviceRecord.Write(told.Checker, row)), Convert.ToHexString(DeviceRecord.Write(again, row)));
        }
    }

    [Fact]
    public void Slots_are_of_one_size_and_stay_where_they_are()
    {
        int[] sizes = new int[Share.Slots];
        for (int device = 0; device < 64_000; device++)
        {
            sizes[Share.SlotOf(Encoding.ASCII.GetBytes("device-" + device))]++;
        }

        Assert.All(sizes, size => Assert.InRange(size, 700, 1300));
        // CRC-32C of "123456789" is E3069283 (RFC 3720).
        Assert.Equal(0x03, Share.SlotOf("123456789"u8));
    }

    private static byte[] Row(FactBatch batch)
    {
        byte[] row = new byte[1 + FactRecords.RoomFor(batch)];
        row[0] = FactRecords.Format;
        return row[..(1 + FactRecords.Write(row.AsSpan(1), batch))];
    }

    private static FactBatch Batch()
    {
        var batch = new FactBatch();
        foreach (FactKind kind in Enum.GetValues<FactKind>())
        {
            ref Fact fact = ref batch.Add(kind, Encoding.ASCII.GetBytes(new string('x', 1 + (15 * (int)kind))), Told.T0 + (int)kind);
            switch (kind)
            {
                case FactKind.Heartbeat:
                    (fact.Number, fact.IntervalSeconds, fact.RenewalSeconds) = (uint.MaxValue, 60, 3000);
                    (fact.GapSeconds, fact.LastGapSeconds, fact.DeviceReason) = (4095, ushort.MaxValue, 200);
                    batch.SetSite(ref fact, new string('€', Sites.NameLengthMax));
                    break;
                case FactKind.Connected or FactKind.Disconnected:
                    batch.SetOrder(ref fact, new SequenceNumber(1, ulong.MaxValue, 3, (ulong)kind));
                    break;
                case FactKind.LoggedConnect or FactKind.LoggedDisconnect or FactKind.LoggedRefusal:
                    fact.HubCode = (byte)(5 + (int)kind);
                    break;
            }
        }

        return batch;
    }

    private static List<string> Texts(FactBatch batch)
    {
        var texts = new List<string>();
        foreach (ref readonly Fact fact in batch.Facts)
        {
            string extra = fact.Extra < 0 ? "" : fact.Kind == FactKind.Heartbeat ? batch.Sites[fact.Extra] : $"{batch.Orders[fact.Extra]}";
            texts.Add($"{fact.Kind} {Encoding.ASCII.GetString(batch.Id(fact))} {fact.AtMs} {fact.Number} {fact.IntervalSeconds} "
                + $"{fact.RenewalSeconds} {fact.GapSeconds} {fact.LastGapSeconds} {fact.DeviceReason} {fact.HubCode} {extra}");
        }

        return texts;
    }
}
