using Agent.Service;

namespace Agent.Tests.Service;

public sealed class StoreTests : IDisposable
{
    private const long T0 = Told.T0;
    private static readonly StoreOptions Quick = new() { Synchronise = false };

    private readonly string folder = Path.Combine(Path.GetTempPath(), "store-" + Guid.NewGuid().ToString("n"));

    public void Dispose()
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task What_was_committed_is_there_after_a_restart()
    {
        string before;
        using (var kept = new KeptFleet(folder))
        {
            await kept.RunAsync(T0, T0 + 560_000);
            before = kept.Picture(T0 + 560_000);
            Assert.NotEmpty(kept.Checker.Alarms.Open);
            Assert.NotEmpty(kept.Checker.Alarms.Closed);
        }

        using var again = new KeptFleet(folder);
        Assert.Equal(before, again.Picture(T0 + 560_000));
    }

    [Fact]
    public async Task A_snapshot_and_the_journal_behind_it_come_to_the_same()
    {
        string before;
        using (var kept = new KeptFleet(folder))
        {
            await kept.RunAsync(T0, T0 + 300_000);
            kept.Store.TakeSnapshot(kept.Checker, new Lock());
            await kept.RunAsync(T0 + 300_000, T0 + 600_000);
            kept.Store.TakeSnapshot(kept.Checker, new Lock());
            kept.Store.TakeSnapshot(kept.Checker, new Lock());
            await kept.RunAsync(T0 + 600_000, T0 + 900_000);
            before = kept.Picture(T0 + 900_000);
        }

        Assert.Equal(4, Directory.GetFiles(folder, "*.bin").Length);
        using var again = new KeptFleet(folder);
        Assert.Equal(before, again.Picture(T0 + 900_000));
    }

    [Fact]
    public async Task A_kill_at_any_byte_loses_nothing_committed_and_raises_no_alarm_twice()
    {
        var committed = new List<(long Bytes, int Devices, long LastAlarm)>();
        using (var kept = new KeptFleet(folder))
        {
            for (long now = T0; now < T0 + 900_000; now += 15_000)
            {
                await kept.RunAsync(now, now + 15_000);
                committed.Add((kept.Store.JournalBytes, kept.Checker.Count, kept.Checker.Alarms.LastNumber));
            }
        }

        byte[] whole = File.ReadAllBytes(Journal());
        var draw = new Random(11);
        for (int round = 0; round < 60; round++)
        {
            int length = draw.Next(1, whole.Length);
            File.WriteAllBytes(Journal(), whole[..length]);
            using var again = new KeptFleet(folder);
            (long bytes, int devices, long lastAlarm) = committed.LastOrDefault(entry => entry.Bytes <= length);
            Assert.True(again.Checker.Count >= devices && again.Checker.Alarms.LastNumber >= lastAlarm);
            Assert.True(again.Store.TornBytes < length);

            // Life goes on: facts come again, and every episode still has one alarm.
            int step = committed.FindLastIndex(entry => entry.Bytes <= length) + 1;
            await again.RunAsync(T0 + (step * 15_000L), T0 + 900_000);
            Alarm[] all = [.. again.Checker.Alarms.Closed, .. again.Checker.Alarms.Open];
            Alarm[] silent = [.. all.Where(alarm => alarm.Kind == AlarmKind.DeviceSilent)];
            Assert.Equal(silent.Length, silent.Select(alarm => alarm.Number).Distinct().Count());
            Assert.Equal(silent.Length, silent.Select(alarm => (alarm.Subject, alarm.BeganAtMs)).Distinct().Count());
            Assert.Equal(KeptFleet.Outages, silent.Length);
        }
    }

    [Fact]
    public async Task Damage_in_the_middle_is_named_and_not_repaired()
    {
        using (var kept = new KeptFleet(folder))
        {
            for (long now = T0; now < T0 + 100_000; now += 10_000)
            {
                await kept.RunAsync(now, now + 10_000);
            }
        }

        byte[] whole = File.ReadAllBytes(Journal());
        whole[whole.Length / 2] ^= 1;
        File.WriteAllBytes(Journal(), whole);

        string message = Assert.Throws<StoreException>(() => new KeptFleet(folder)).Message;
        Assert.Matches("journal-0000000000.bin: damaged at byte [0-9]+$", message);
    }

    [Fact]
    public async Task A_damaged_or_missing_file_of_a_set_is_named()
    {
        using (var kept = new KeptFleet(folder))
        {
            await kept.RunAsync(T0, T0 + 60_000);
            kept.Store.TakeSnapshot(kept.Checker, new Lock());
        }

        string snapshot = Path.Combine(folder, "snapshot-0000000001.bin");
        byte[] whole = File.ReadAllBytes(snapshot);
        var draw = new Random(3);
        for (int round = 0; round < 50; round++)
        {
            byte[] bad = [.. whole];
            bad[draw.Next(bad.Length)] ^= (byte)(1 << draw.Next(8));
            File.WriteAllBytes(snapshot, round % 2 == 0 ? bad : bad[..draw.Next(bad.Length)]);
            Assert.StartsWith(snapshot, Assert.Throws<StoreException>(() => new KeptFleet(folder)).Message);
        }

        File.Delete(snapshot);
        File.Delete(Path.Combine(folder, "journal-0000000000.bin"));
        Assert.Contains("journal 0 is missing", Assert.Throws<StoreException>(() => new KeptFleet(folder)).Message);
    }

    [Fact]
    public void A_folder_serves_one_at_a_time()
    {
        using var first = new KeptFleet(folder);

        Assert.Throws<StoreException>(() => new KeptFleet(folder));
    }

    private string Journal() => Path.Combine(folder, "journal-0000000000.bin");

    /// <summary>Thirty devices in virtual time, of which three lose power now and then, on a folder.</summary>
    private sealed class KeptFleet : IDisposable
    {
        /// <summary>Outages in 15 minutes, each long enough for an alarm.</summary>
        public const int Outages = 6;

        private readonly FactBatch batch = new();

        public KeptFleet(string folder)
        {
            Checker = new Checker(Told.Settings with { SlowStartMs = 0 }, seed: 5);
            Store = EmbeddedStore.Open(folder, Quick, Checker);
            Checker.FinishRestore(T0);
        }

        public Checker Checker { get; }

        public EmbeddedStore Store { get; }

        public void Dispose() => Store.Dispose();

        public async Task RunAsync(long fromMs, long untilMs)
        {
            for (long now = fromMs; now < untilMs; now += 1000)
            {
                Checker.Sweep(now);
                batch.Clear();
                for (int device = 0; device < 30; device++)
                {
                    Tell(device, now);
                }

                Checker.Apply(batch, now);
                Store.Note(Checker, batch);
            }

            await Store.CommitAsync();
        }

        public string Picture(long nowMs)
        {
            Checker.Sweep(nowMs);
            IEnumerable<string> devices = Enumerable.Range(0, Checker.Count).Select(row => Checker.At(row, nowMs).ToString());
            Alarm[] alarms = [.. Checker.Alarms.Open, .. Checker.Alarms.Closed];
            return string.Join('\n', [.. devices, .. alarms.OrderBy(alarm => alarm.Number).Select(alarm => alarm.ToString())]);
        }

        private void Tell(int device, long now)
        {
            Span<byte> id = stackalloc byte[8];
            "device00"u8.CopyTo(id);
            (id[6], id[7]) = ((byte)('0' + (device / 10)), (byte)('0' + (device % 10)));
            long since = (now - T0) / 1000;
            bool isOff = device < 3 && (since - (device * 20)) % 400 is >= 100 and < 200;
            if (since % 10 == device % 10 && !isOff)
            {
                ref Fact fact = ref batch.Add(FactKind.Heartbeat, id, now);
                fact.Number = (uint)(since / 10);
                fact.IntervalSeconds = 10;
                batch.SetSite(ref fact, "site-" + (device % 3));
            }

            if (since % 60 == device)
            {
                ref Fact fact = ref batch.Add(since % 120 == device ? FactKind.Connected : FactKind.Disconnected, id, now);
                batch.SetOrder(ref fact, new SequenceNumber(0, (ulong)(since / 300), 7, (ulong)since));
                batch.Add(FactKind.LoggedDisconnect, id, now).HubCode = HubCodes.Pack(404104);
            }
        }
    }
}
