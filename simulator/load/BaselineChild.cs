using System.Globalization;
using System.Security.Cryptography.X509Certificates;
using Agent.Hub;
using Agent.Wire.Native;

namespace Agent.Load;

/// <summary>OpenSSL's own speed, measured in a process of its own: its C library is then set as those of hubs and fleets are.</summary>
public static class BaselineChild
{
    private const string Host = "localhost";

    /// <summary>Measures until the parent says so or is gone: <c>held</c> and <c>passing</c>, each with CPU-seconds.</summary>
    public static async Task<int> RunAsync()
    {
        string directory = Directory.CreateTempSubdirectory("agent-load-").FullName;
        try
        {
            // A certificate like the hub's own.
            using X509Certificate2 authority = HubCertificates.OpenAuthority(directory, DateTimeOffset.UtcNow);
            using X509Certificate2 server = HubCertificates.OpenServer(directory, authority, [Host], DateTimeOffset.UtcNow);
            using var parent = new ChildText();
            parent.Say(new { });
            while (await parent.NextAsync().ConfigureAwait(false) is { } order)
            {
                ProcessFigures.Settle(); // What is held is held in memory that is new to the process, as in a hub that fills.
                double perCpuSecond = HandshakeBaseline.PerCpuSecond(
                    server, [authority], Host, double.Parse(order[1], CultureInfo.InvariantCulture), areHeld: order[0] == "held");
                parent.Say(new { perCpuSecond });
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }

        return 0;
    }
}
