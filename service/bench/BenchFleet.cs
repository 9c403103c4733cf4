using System.Diagnostics;
using System.Text;

namespace Agent.Service;

/// <summary>A fleet in a checker, and what it costs.</summary>
/// <remarks>
/// Devices come in an order that looks random to memory: a multiplication modulo a prime visits every row once, far from the one
/// before. Batches are filled outside the measured time, as they come parsed.
/// </remarks>
internal sealed class BenchFleet
{
    public const int IdLength = 16;
    public const int HeartbeatsPerSecond = 10_000;
    public const int EverySeconds = 600;
    public const long StartMs = 1_800_000_000_000;

    private const int BatchFacts = 4096;
    private const int MeasuredFacts = 4_000_000;
    private const long Stride = 7_368_787;

    private readonly int devices;
    private int intervalSeconds;
    private readonly Checker checker;
    private readonly FactBatch batch = new();
    private long next;
    private long nowMs = StartMs;
    private uint number;

    public BenchFleet(int devices)
    {
        this.devices = devices;
        intervalSeconds = Math.Clamp(devices / HeartbeatsPerSecond, 1, Hot.IntervalSecondsMax);
        checker = new Checker(new LivenessSettings { DevicesMax = DeviceTable.DevicesMax }, 1);
        checker.Start(StartMs);
        Span<byte> id = stackalloc byte[IdLength];
        for (int at = 0; at < devices; at += BatchFacts)
        {
            // A heartbeat spread over the interval and a connection event each: every byte of a row is in use.
            batch.Clear();
            for (int i = at; i < Math.Min(devices, at + BatchFacts); i++)
            {
                Heartbeat(i, StartMs - ((long)intervalSeconds * 1000 * i / devices));
            }

            checker.Apply(batch, StartMs);
            batch.Clear();
            for (int i = at; i < Math.Min(devices, at + BatchFacts); i++)
            {
                WriteId(id, i);
                ref Fact fact = ref batch.Add(FactKind.Connected, id, StartMs - 1000 - i);
                batch.SetOrder(ref fact, new SequenceNumber(0, 0x1D4132452F67CE2, 0x200000000, (uint)i + 1));
            }

            checker.Apply(batch, StartMs);
            checker.ClearTransitions();
        }

        // What a heartbeat of another minute touches, the first one has not: the second round is the steady state.
        batch.Clear();
    }

    public static void WriteId(Span<byte> to, int number)
    {
        "device-000000000"u8.CopyTo(to);
        for (int at = IdLength - 1; number > 0; at--, number /= 10)
        {
            to[at] = (byte)('0' + (number % 10));
        }
    }

    public static string Id(int number)
    {
        Span<byte> id = stackalloc byte[IdLength];
        WriteId(id, number);
        return Encoding.ASCII.GetString(id);
    }

    /// <summary>Facts applied a second.</summary>
    public double Measure()
    {
        var watch = new Stopwatch();
        number++;
        for (int done = 0; done < MeasuredFacts; done += BatchFacts)
        {
            batch.Clear();
            for (int i = 0; i < BatchFacts; i++)
            {
                next = (next + Stride) % devices;
                Heartbeat((int)next, nowMs + 1);
            }

            nowMs++;
            watch.Start();
            checker.Apply(batch, nowMs);
            watch.Stop();
            checker.ClearTransitions();
        }

        return MeasuredFacts / watch.Elapsed.TotalSeconds;
    }

    /// <summary>What sweeping costs a second, and how many devices it looks at.</summary>
    /// <param name="everySeconds">
    /// How often each device sends; null = so that <see cref="HeartbeatsPerSecond"/> come from the whole fleet, however large.
    /// </param>
    public (double Micros, double Looks) MeasureSweep(int? everySeconds = null)
    {
        intervalSeconds = everySeconds ?? intervalSeconds;
        var watch = new Stopwatch();
        long looks = 0;
        int warmSeconds = intervalSeconds + (intervalSeconds / 5) + 30;
        int measuredSeconds = Math.Clamp(intervalSeconds, 10, 120);
        int perTick = Math.Max(1, devices / intervalSeconds / 4);
        int row = 0;
        for (int tick = 0; tick < (warmSeconds + measuredSeconds) * 4; tick++)
        {
            nowMs += TimingWheel.TickMs;
            batch.Clear();
            for (int i = 0; i < perTick; i++)
            {
                row = row + 1 < devices ? row + 1 : 0;
                Heartbeat(row, nowMs);
            }

            checker.Apply(batch, nowMs);
            bool isMeasured = tick >= warmSeconds * 4;
            if (isMeasured)
            {
                watch.Start();
            }

            int looked = checker.Sweep(nowMs);
            watch.Stop();
            looks += isMeasured ? looked : 0;
            checker.ClearTransitions();
            checker.Alarms.ClearChanges();
        }

        return (watch.Elapsed.TotalMicroseconds / measuredSeconds, looks / (double)measuredSeconds);
    }

    /// <summary>Writes everything into a folder, and a million heartbeats behind it; seconds the snapshot took.</summary>
    public double Keep(string folder)
    {
        using EmbeddedStore store = EmbeddedStore.Open(folder, new StoreOptions(), new Checker(new LivenessSettings(), 1));
        // The store was opened on an empty folder; from its side all devices are new, and the snapshot has them.
        store.Adopt(checker);
        var watch = Stopwatch.StartNew();
        store.TakeSnapshot(checker, new Lock());
        double seconds = watch.Elapsed.TotalSeconds;
        for (int done = 0; done < 1_000_000; done += BatchFacts)
        {
            batch.Clear();
            for (int i = 0; i < BatchFacts; i++)
            {
                next = (next + Stride) % devices;
                Heartbeat((int)next, nowMs + 1);
            }

            nowMs++;
            checker.Apply(batch, nowMs);
            store.Note(checker, batch);
        }

        store.CommitAsync().GetAwaiter().GetResult();
        return seconds;
    }

    private void Heartbeat(int device, long atMs)
    {
        Span<byte> id = stackalloc byte[IdLength];
        WriteId(id, device);
        ref Fact fact = ref batch.Add(FactKind.Heartbeat, id, atMs);
        fact.Number = number;
        fact.IntervalSeconds = intervalSeconds;
        fact.RenewalSeconds = 3000;
    }
}
