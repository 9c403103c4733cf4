using System.Text.Json.Nodes;
using Agent.Load;
using Agent.Tests.Hub;
using Agent.Wire;

namespace Agent.Tests.Load;

/// <summary>The verb itself with a few connections: the contract's keys, nobody lost, nothing left behind.</summary>
[Collection(RealTime.Name)]
public class BenchWireTests
{
    private static readonly string[] Contract =
    [
        "connections", "connected", "failed", "connectsPerSecond", "hubBytesPerConnection", "fleetBytesPerConnection",
        "messagesPerSecond", "ackP50Ms", "ackP99Ms", "hubCpuMicrosPerMessage", "fleetCpuMicrosPerMessage", "generatorLagP99Ms",
    ];

    [Theory]
    [InlineData(TlsEngine.Portable)]
    [InlineData(TlsEngine.Native)]
    public async Task A_small_fleet_connects_sends_and_renews_and_every_figure_is_told(TlsEngine engine)
    {
        Assert.SkipUnless(TlsEngines.IsAvailable(engine), $"no TLS engine {engine} here");
        (int code, string output, string error) = await RunAsync(
            "--connections", "60", "--messages-per-second", "300", "--seconds", "1", "--tls", engine.Name(), "--json");

        Assert.True(code == 0, error + output);
        JsonNode document = JsonNode.Parse(output)!;
        Assert.Equal("wire", (string)document["name"]!);
        JsonObject figures = document["figures"]!.AsObject();
        Assert.Equal(Contract, figures.Select(figure => figure.Key).Take(Contract.Length));
        Assert.All(figures, figure => Assert.True(double.IsFinite((double)figure.Value!), figure.Key));
        Assert.Equal((60, 60, 0), ((int)figures["connections"]!, (int)figures["connected"]!, (int)figures["failed"]!));
        Assert.Equal((6, 0, 0), ((int)figures["renewals"]!, (int)figures["messagesUnsent"]!, (int)figures["messagesUnacknowledged"]!));
        Assert.InRange((double)figures["ackP50Ms"]!, 0.001, (double)figures["ackP99Ms"]!);
        Assert.InRange((double)figures["messagesPerSecond"]!, 299, 301);
        if (TlsEngines.IsAvailable(TlsEngine.Native))
        {
            // OpenSSL alone: keeping connections, and letting them go.
            string[] rates = ["libsslHandshakesPerCpuSecond", "libsslPassingHandshakesPerCpuSecond"];
            string[] shares = ["shareOfLibssl", "shareOfLibsslPassing"];
            Assert.All(rates, key => Assert.InRange((double)figures[key]!, 10, 1e6));
            Assert.All(shares, key => Assert.InRange((double)figures[key]!, 0.0001, 1.5));
        }
    }

    [Theory]
    [InlineData(60, null, 10)]
    [InlineData(19_000, null, 10)]
    [InlineData(38_000, null, 20)]
    [InlineData(38_000, 3, 3)]
    public void Without_a_word_a_tenth_of_the_fleet_renews_at_190_a_second_at_most(int connections, int? seconds, double expected) =>
        Assert.Equal(expected, new WireLoadOptions { Connections = connections, Seconds = seconds }.StretchSeconds);

    [Theory]
    [InlineData("--tls", "openssl", "allowed are portable and native")]
    [InlineData("--connections", "0", "allowed: 1 to 1000000")]
    [InlineData("--seconds", "0", "allowed: 1 to 3600")]
    public async Task Bad_input_is_one_line_and_exit_code_2(string option, string value, string said)
    {
        (int code, string output, string error) = await RunAsync(option, value, "--json");

        Assert.Equal((2, ""), (code, output));
        Assert.Contains(said, error, StringComparison.Ordinal);
        Assert.Single(error.Trim().Split('\n'));
    }

    private static async Task<(int Code, string Output, string Error)> RunAsync(params string[] arguments)
    {
        await using ChildProcess bench = ChildProcess.Start("simulator.dll", ["bench", "wire", .. arguments]);
        await bench.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(2));
        return (bench.ExitCode, bench.Output, bench.Error);
    }
}
