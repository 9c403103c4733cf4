using Agent.Hub;
using Agent.Wire;

namespace Agent.Load;

/// <summary>A hub in a process of its own, for a benchmark: that of <c>simulator hub</c>, with an identity for each device.</summary>
/// <remarks>Its folder is private to this user and goes with it; nothing in it need survive a power cut.</remarks>
public static class HubChild
{
    /// <summary>Serves until the parent says so or is gone.</summary>
    /// <param name="first">Number of the first device.</param>
    /// <param name="count">How many.</param>
    /// <param name="engine">Who does the work of TLS.</param>
    public static async Task<int> RunAsync(int first, int count, TlsEngine engine)
    {
        string directory = Directory.CreateTempSubdirectory("agent-load-").FullName;
        try
        {
            HubServer hub = HubServer.Start(new HubServerOptions
            {
                DataDirectory = directory,
                Devices = 0,
                DeviceIds = [.. Enumerable.Range(first, count).Select(LoadTarget.IdOf)],
                Port = 0,
                Synchronise = false,
                TlsEngine = engine,
            });
            await using (hub.ConfigureAwait(false))
            {
                string devices = Path.Combine(directory, "devices.txt");
                await File.WriteAllLinesAsync(devices, hub.Registry.Devices.Select(hub.Registry.ConnectionStringOf)).ConfigureAwait(false);
                using var parent = new ChildText();
                parent.Say(new { port = hub.EndPoint.Port, ca = hub.Data.AuthorityPath, devices });
                await ObeyAsync(hub, parent).ConfigureAwait(false);
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }

        return 0;
    }

    private static async Task ObeyAsync(HubServer hub, ChildText parent)
    {
        while (await parent.NextAsync().ConfigureAwait(false) is { } order)
        {
            if (order[0] == "settle")
            {
                ProcessFigures.Settle();
            }

            ProcessFigures own = ProcessFigures.Own();
            parent.Say(new
            {
                cpuMicros = own.CpuMicros,
                bytes = own.Bytes,
                compilerMicros = ProcessFigures.CompilerMicros,
                pauseMicros = ProcessFigures.PauseMicros,
                allocatedBytes = GC.GetTotalAllocatedBytes(),
                managedBytes = GC.GetTotalMemory(false),
                connected = hub.ConnectedCount,
                messages = hub.TelemetryCount,
            });
        }
    }
}
