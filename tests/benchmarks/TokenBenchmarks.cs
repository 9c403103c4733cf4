using System.Text;
using Agent.Hub;
using BenchmarkDotNet.Attributes;

namespace Agent.Benchmarks;

/// <summary>A shared access signature, made as <c>simulator token</c> makes it and checked as the hub checks it at CONNECT.</summary>
public class TokenBenchmarks
{
    private readonly Registry registry = new("localhost");
    private readonly byte[] key = Registry.NewKey();
    private Device device = null!;
    private byte[] token = [];

    [GlobalSetup]
    public void Register()
    {
        device = registry.Add("device-0001", key, Registry.NewKey());
        token = Encoding.ASCII.GetBytes(Make());
        if (!Verify())
        {
            throw new InvalidOperationException("the hub does not take the token");
        }
    }

    [Benchmark]
    public string Make() => SasTokenWriter.Write("localhost/devices/device-0001", key, 4_102_444_800);

    [Benchmark]
    public bool Verify() => SasVerifier.VerifyDevice(token, registry, device).IsAccepted;
}
