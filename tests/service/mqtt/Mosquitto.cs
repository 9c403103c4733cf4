using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Agent.Tests.Hub;

namespace Agent.Tests.Service.Mqtt;

/// <summary>A real broker on a port and in a folder of its own, which can be killed and started again.</summary>
internal sealed class Mosquitto : IAsyncDisposable
{
    private readonly string program = Tool.Find("mosquitto");
    private readonly string folder = Directory.CreateTempSubdirectory("mosquitto-").FullName;
    private readonly string settings;
    private Process? process;

    /// <param name="more">Lines of its configuration file; <c>FOLDER</c> stands for its folder.</param>
    public Mosquitto(string more = "allow_anonymous true")
    {
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            Port = ((IPEndPoint)free.LocalEndpoint).Port;
        }

        settings = Path.Combine(folder, "mosquitto.conf");
        File.WriteAllText(settings, $"""
            user root
            persistence true
            persistence_location {folder}/
            autosave_interval 0
            max_queued_messages 0
            listener {Port} 127.0.0.1
            {more.Replace("FOLDER", folder, StringComparison.Ordinal)}

            """);
    }

    public int Port { get; }

    public string Folder => folder;

    public async Task StartAsync()
    {
        process = Process.Start(new ProcessStartInfo(program, ["-c", settings]) { RedirectStandardError = true })!;
        process.ErrorDataReceived += (_, _) => { };
        process.BeginErrorReadLine();
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                using var probe = new TcpClient();
                await probe.ConnectAsync(IPAddress.Loopback, Port);
                return;
            }
            catch (SocketException) when (attempt < 100)
            {
                await Task.Delay(50);
            }
        }
    }

    /// <summary>Ends it as a power cut would.</summary>
    public async Task KillAsync()
    {
        process!.Kill();
        await process.WaitForExitAsync();
    }

    /// <summary>Has it write down sessions and messages, which it otherwise does now and then.</summary>
    public async Task SaveAsync()
    {
        var file = new FileInfo(Path.Combine(folder, "mosquitto.db"));
        DateTime before = file.Exists ? file.LastWriteTimeUtc : default;
        await Tool.RunAsync("kill", "-USR1", process!.Id.ToString(CultureInfo.InvariantCulture));
        for (int attempt = 0; attempt < 200; attempt++, file.Refresh())
        {
            if (file.Exists && file.LastWriteTimeUtc > before)
            {
                return;
            }

            await Task.Delay(25);
        }

        Assert.Fail("mosquitto did not save");
    }

    /// <summary>Publishes with quality of service 1 by mosquitto's own client, and waits for the broker's word.</summary>
    public async Task PublishAsync(string topic, params string[] more)
    {
        (int exitCode, _, string error) = await Tool.RunAsync(
            Tool.Find("mosquitto_pub"),
            ["-h", "127.0.0.1", "-p", Port.ToString(CultureInfo.InvariantCulture), "-V", "mqttv311", "-q", "1", "-t", topic, .. more]);
        Assert.True(exitCode == 0, error);
    }

    public async ValueTask DisposeAsync()
    {
        if (process is { HasExited: false })
        {
            await KillAsync();
        }

        process?.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
