using System.Text;
using Agent.Service;
using BenchmarkDotNet.Attributes;

namespace Agent.Benchmarks;

/// <summary>From a device's id to its row, in an order nobody can foresee. One operation is one look-up.</summary>
public class MapBenchmarks
{
    private const int Operations = 1 << 14;
    private const int AtOnce = 16;

    private readonly ulong[] hashes = new ulong[AtOnce];
    private DeviceTable table = new(1);
    private Dictionary<string, int> dictionary = [];
    private byte[][] ids = [];

    [Params(100_000, 1_000_000)]
    public int Devices { get; set; }

    [GlobalSetup]
    public void Fill()
    {
        table = new DeviceTable(1);
        dictionary = new Dictionary<string, int>(Devices);
        for (int device = 0; device < Devices; device++)
        {
            byte[] id = IdOf(device);
            table.Add(id, table.HashOf(id));
            dictionary.Add(Encoding.ASCII.GetString(id), device);
        }

        var random = new Random(1);
        ids = [.. Enumerable.Range(0, Operations).Select(_ => IdOf(random.Next(Devices)))];
    }

    [Benchmark(OperationsPerInvoke = Operations)]
    public long Table()
    {
        long sum = 0;
        foreach (byte[] id in ids)
        {
            sum += table.Find(id);
        }

        return sum;
    }

    [Benchmark(OperationsPerInvoke = Operations)]
    public long TableSixteenAtOnce()
    {
        long sum = 0;
        for (int first = 0; first < ids.Length; first += AtOnce)
        {
            for (int i = 0; i < AtOnce; i++)
            {
                hashes[i] = table.HashOf(ids[first + i]);
                table.FetchSlot(hashes[i]);
            }

            for (int i = 0; i < AtOnce; i++)
            {
                table.FetchId(table.FetchRow(hashes[i]));
            }

            for (int i = 0; i < AtOnce; i++)
            {
                sum += table.Find(ids[first + i], hashes[i]);
            }
        }

        return sum;
    }

    [Benchmark(OperationsPerInvoke = Operations, Baseline = true)]
    public long DictionaryOfStrings()
    {
        long sum = 0;
        foreach (byte[] id in ids)
        {
            sum += dictionary[Encoding.ASCII.GetString(id)];
        }

        return sum;
    }

    private static byte[] IdOf(int device) => Encoding.ASCII.GetBytes(FormattableString.Invariant($"device-{device:000000000}"));
}
