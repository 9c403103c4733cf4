using Agent.Hub;
using Agent.Logs;

namespace Agent.Tests.Logs;

/// <summary>Measures the whole process, so nothing else may run beside it.</summary>
[CollectionDefinition(nameof(LogMemoryTests), DisableParallelization = true)]
[Collection(nameof(LogMemoryTests))]
public sealed class LogMemoryTests
{
    [Fact]
    public void Sixteen_megabytes_are_read_in_constant_memory()
    {
        using var log = new LogLines();
        for (int i = 0; i < 100; i++)
        {
            log.Add(i, i % 2 == 0 ? LogKind.Connect : LogKind.DisconnectClosedRemotely, $"device-{i}", "azure-iot-device/1.18.4");
        }

        byte[] block = log.Bytes;
        int blocks = (16 << 20) / block.Length;
        using var reader = new ConnectionsReader(new Repeating(block, blocks), "log");
        long peak = 0;
        long before = GC.GetTotalMemory(forceFullCollection: true);
        while (reader.TryRead(out _))
        {
            peak = reader.Records % 5000 == 0 ? Math.Max(peak, GC.GetTotalMemory(forceFullCollection: true) - before) : peak;
        }

        Assert.Equal(blocks * 100, reader.Records);
        Assert.Equal(0, reader.BadLines);
        Assert.InRange(peak, 0, 4 << 20);
    }
}
