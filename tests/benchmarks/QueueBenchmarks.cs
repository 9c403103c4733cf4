using Agent.World;
using BenchmarkDotNet.Attributes;

namespace Agent.Benchmarks;

/// <summary>The hold model: take the next event, put the same device in again later. One operation is one event.</summary>
/// <remarks>Of 32 delays 30 are a minute and up to a second, one is an hour, one a second or two: heartbeats, renewals, retries.</remarks>
public class QueueBenchmarks
{
    private const int Operations = 1 << 16;

    private readonly int[] delays = new int[1 << 12];
    private VirtualTime wheel = new();
    private PriorityQueue<int, ulong> heap = new();
    private int next;

    [Params(100_000, 1_000_000)]
    public int Devices { get; set; }

    [GlobalSetup]
    public void Fill()
    {
        var random = new Random(1);
        for (int i = 0; i < delays.Length; i++)
        {
            delays[i] = (i % 32) switch
            {
                0 => 3_600_000,
                1 => random.Next(1000, 2000),
                _ => 60_000 + random.Next(1000),
            };
        }

        wheel = new VirtualTime();
        heap = new PriorityQueue<int, ulong>(Devices);
        for (int device = 0; device < Devices; device++)
        {
            int at = random.Next(60_000);
            wheel.At(at, device, 0, 0);
            heap.Enqueue(device, (ulong)at);
        }
    }

    [Benchmark(OperationsPerInvoke = Operations)]
    public long Wheel()
    {
        long sum = 0;
        for (int i = 0; i < Operations; i++)
        {
            wheel.TryNext(VirtualTime.MaxMs, out Pending due);
            wheel.At(due.AtMs + Delay(), due.Device, 0, 0);
            sum += due.Device;
        }

        return sum;
    }

    [Benchmark(OperationsPerInvoke = Operations, Baseline = true)]
    public long Heap()
    {
        long sum = 0;
        for (int i = 0; i < Operations; i++)
        {
            heap.TryPeek(out int device, out ulong at);
            heap.DequeueEnqueue(device, at + (ulong)Delay());
            sum += device;
        }

        return sum;
    }

    private int Delay() => delays[next++ & (delays.Length - 1)];
}
