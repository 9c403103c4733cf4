using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;
using Agent.Hub;
using Agent.Wire;

namespace Agent.Load.Peers;

/// <summary>A server under comparison: a hub of ours, or mosquitto with the same certificate and TCP_NODELAY.</summary>
/// <remarks>Without TCP_NODELAY mosquitto stalls each TLS 1.3 connect for 40 ms, which would flatter us (facts/limits.md A2).</remarks>
internal abstract class Broker : IAsyncDisposable
{
    /// <summary>Where it listens on 127.0.0.1.</summary>
    public int Port { get; private init; }

    /// <summary>PEM file of its authority.</summary>
    public string Authority { get; private init; } = "";

    /// <summary>File of its devices' connection strings; null = it lets anybody in.</summary>
    public string? Devices { get; private init; }

    /// <summary>Whether it gives memory back when told: otherwise what it holds is told from what it held at its start.</summary>
    public bool GivesBack { get; private init; }

    /// <summary>What it has used so far.</summary>
    /// <param name="settle">After giving back what is only kept for later, where it can be told to.</param>
    public abstract Task<ProcessFigures> FiguresAsync(bool settle);

    /// <inheritdoc/>
    public abstract ValueTask DisposeAsync();

    /// <summary>A hub of ours with so many devices.</summary>
    public static async Task<Broker> StartHubAsync(int count, TlsEngine engine)
    {
        (Child child, JsonObject ready) = await Child.StartAsync(
            "hub", Child.SettingsFor(engine, processes: 2), "bench", "wire-hub", "--count", count.ToString(CultureInfo.InvariantCulture),
            "--tls", engine.Name()).ConfigureAwait(false);
        return new OurHub(child)
        {
            Port = (int)ready["port"]!,
            Authority = (string)ready["ca"]!,
            Devices = (string)ready["devices"]!,
            GivesBack = true,
        };
    }

    /// <summary>Where mosquitto is; null = not installed.</summary>
    public static string? FindMosquitto() => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Append("/usr/sbin").Append("/usr/local/sbin")
        .Select(folder => Path.Combine(folder, "mosquitto")).FirstOrDefault(File.Exists);

    /// <summary>Mosquitto on a free port.</summary>
    public static async Task<Broker> StartMosquittoAsync(string program)
    {
        string directory = Directory.CreateTempSubdirectory("agent-peer-").FullName;
        using (X509Certificate2 authority = HubCertificates.OpenAuthority(directory, DateTimeOffset.UtcNow))
        using (HubCertificates.OpenServer(directory, authority, ["localhost", "127.0.0.1"], DateTimeOffset.UtcNow))
        {
            // Only for their files.
        }

        int port = FreePort();
        string pair = Path.Combine(directory, "server.key");
        string settings = Path.Combine(directory, "mosquitto.conf");
        await File.WriteAllTextAsync(settings, string.Create(
            CultureInfo.InvariantCulture,
            $"""
            user {Environment.UserName}
            listener {port} 127.0.0.1
            certfile {pair}
            keyfile {pair}
            allow_anonymous true
            set_tcp_nodelay true
            max_inflight_messages 0
            max_queued_messages 0
            persistence false
            log_type error

            """)).ConfigureAwait(false);
        Process process = Process.Start(new ProcessStartInfo(program, ["-c", settings]) { RedirectStandardError = true })!;
        var broker = new Mosquitto(process, directory) { Port = port, Authority = Path.Combine(directory, "ca.pem") };
        if (!await IsUpAsync(port, process).ConfigureAwait(false))
        {
            await broker.DisposeAsync().ConfigureAwait(false);
            throw new IOException("mosquitto does not listen");
        }

        return broker;
    }

    private static async Task<bool> IsUpAsync(int port, Process process)
    {
        for (int times = 0; times < 200 && !process.HasExited; times++)
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await socket.ConnectAsync(IPAddress.Loopback, port).ConfigureAwait(false);
                return true;
            }
            catch (SocketException)
            {
                await Task.Delay(50).ConfigureAwait(false);
            }
        }

        return false;
    }

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private sealed class OurHub(Child child) : Broker
    {
        public override async Task<ProcessFigures> FiguresAsync(bool settle)
        {
            JsonObject said = await child.AskAsync(settle ? "settle" : "mark").ConfigureAwait(false);
            return new ProcessFigures((double)said["cpuMicros"]!, (long)said["bytes"]!);
        }

        public override ValueTask DisposeAsync() => child.DisposeAsync();
    }

    private sealed class Mosquitto(Process process, string directory) : Broker
    {
        public override Task<ProcessFigures> FiguresAsync(bool settle) => Task.FromResult(ProcessFigures.Of(process.Id));

        public override async ValueTask DisposeAsync()
        {
            if (!process.HasExited)
            {
                process.Kill();
                await process.WaitForExitAsync().ConfigureAwait(false);
            }

            process.Dispose();
            Directory.Delete(directory, recursive: true);
        }
    }
}
