using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;

namespace Agent.Tests.Flooding;

/// <summary>Many connections, each misbehaving in its own way again and again.</summary>
internal sealed class Flood(int mqttPort, int httpsPort)
{
    // Of a hundred connections.
    private static readonly (Way Way, int Share)[] Shares =
    [
        (Way.Silent, 30), (Way.HalfHello, 20), (Way.Garbage, 6), (Way.TlsSilent, 8), (Way.TlsGarbage, 2), (Way.SlowConnect, 8),
        (Way.FatConnect, 4), (Way.HttpSilent, 7), (Way.HttpHalfHello, 5), (Way.HttpTlsSilent, 2), (Way.SlowHeaders, 2),
        (Way.HugeHeaders, 2), (Way.SlowBody, 2), (Way.WebSocketSilent, 1), (Way.WebSocketSlow, 1),
    ];

    private static readonly TimeSpan OpeningTime = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private static readonly byte[] Upgrade = Encoding.ASCII.GetBytes(
        "GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");

    private readonly long[] dialled = new long[Shares.Length];
    private readonly long[] ended = new long[Shares.Length];
    private readonly long[] failed = new long[Shares.Length];

    public async Task RunAsync(int connections, CancellationToken over)
    {
        Task[] all = [.. Enumerable.Range(0, connections).Select(index => Task.Run(
            () => ComeAgainAsync(index, OpeningTime * index / connections, over), CancellationToken.None))];
        await Task.WhenAll(all);
    }

    public string Report() => string.Join('\n', Shares.Select((entry, i) => string.Create(
        CultureInfo.InvariantCulture, $"{entry.Way} {dialled[i]} {ended[i]} {failed[i]}")));

    private async Task ComeAgainAsync(int index, TimeSpan first, CancellationToken over)
    {
        var random = new Random(index);
        (Way way, int entry) = WayOf(index % 100);
        int host = index % 10 < 4 ? 1 : 2 + (index % 3);
        try
        {
            await Task.Delay(first, over);
            while (true)
            {
                await MisbehaveAsync(way, entry, new IPAddress([127, 0, 0, (byte)host]), random, over);
                await Task.Delay(TimeSpan.FromMilliseconds(random.Next(5000, 10_000)), over);
            }
        }
        catch (OperationCanceledException)
        {
            // Over.
        }
    }

    private async Task MisbehaveAsync(Way way, int entry, IPAddress from, Random random, CancellationToken over)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            socket.Bind(new IPEndPoint(from, 0));
            await socket.ConnectAsync(IPAddress.Loopback, way >= Way.HttpSilent ? httpsPort : mqttPort, over);
            Interlocked.Increment(ref dialled[entry]);
        }
        catch (SocketException end)
        {
            // Reset = let in and thrown out before we noticed.
            bool wasIn = end.SocketErrorCode == SocketError.ConnectionReset;
            Interlocked.Increment(ref (wasIn ? ref dialled : ref failed)[entry]);
            Interlocked.Add(ref ended[entry], wasIn ? 1 : 0);
            return;
        }

        try
        {
            using var plain = new NetworkStream(socket);
            await (way switch
            {
                Way.Silent or Way.HttpSilent => Task.CompletedTask,
                Way.HalfHello or Way.HttpHalfHello => plain.WriteAsync(HalfHello(), over).AsTask(),
                Way.Garbage => plain.WriteAsync(Noise(random), over).AsTask(),
                _ => MisbehaveInTlsAsync(way, plain, random, over),
            });
            byte[] buffer = new byte[256];
            while (await plain.ReadAsync(buffer, over) > 0)
            {
                // Whatever it says, we stay.
            }
        }
        catch (Exception end) when (end is IOException or SocketException or System.Security.Authentication.AuthenticationException)
        {
            // Thrown out.
        }

        Interlocked.Increment(ref ended[entry]);
    }

    private static async Task MisbehaveInTlsAsync(Way way, NetworkStream plain, Random random, CancellationToken over)
    {
        await using var tls = new SslStream(plain, leaveInnerStreamOpen: true);
        await tls.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions { TargetHost = "localhost", RemoteCertificateValidationCallback = (_, _, _, _) => true },
            over);
        switch (way)
        {
            case Way.TlsGarbage:
                await tls.WriteAsync(Noise(random), over);
                break;
            case Way.SlowConnect:
                await TrickleAsync(tls, [0x10, 0xC8, 0x01, 0, 4, .. "MQTT"u8, 4, 2, 0, 60, 0, 180, .. new byte[185]], over);
                break;
            case Way.FatConnect:
                // A body of 73,728 bytes, of which thirteen are here spelled out: a will topic, and what could be its message.
                byte[] start = [0x10, 0x80, 0xC0, 0x04, 0, 4, .. "MQTT"u8, 4, 6, 0, 60, 0, 1, 97];
                await tls.WriteAsync((byte[])[.. start, .. new byte[73_728 - 13 - 1]], over);
                break;
            case Way.SlowHeaders:
                await TrickleAsync(tls, "GET /devices/device-0001 HTTP/1.1\r\nHost: localhost\r\nX: "u8.ToArray(), over);
                break;
            case Way.HugeHeaders:
                await tls.WriteAsync("GET / HTTP/1.1\r\nHost: localhost\r\n"u8.ToArray(), over);
                for (int number = 0; ; number++)
                {
                    await tls.WriteAsync(Encoding.ASCII.GetBytes($"X-{number}: {new string('x', 1000)}\r\n"), over);
                }

            case Way.SlowBody:
                await tls.WriteAsync("PUT /devices/d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{"u8.ToArray(), over);
                await TrickleAsync(tls, new byte[200], over);
                break;
            case Way.WebSocketSilent:
                await tls.WriteAsync(Upgrade, over);
                break;
            case Way.WebSocketSlow:
                await tls.WriteAsync(Upgrade, over);
                await TrickleAsync(tls, [0x82, 0xFE, 0, 200, 0, 0, 0, 0, 0x10, 0xC5, 0x01, .. new byte[197]], over);
                break;
        }

        byte[] buffer = new byte[256];
        while (await tls.ReadAsync(buffer, over) > 0)
        {
            // Until thrown out.
        }
    }

    private static async Task TrickleAsync(SslStream tls, byte[] bytes, CancellationToken over)
    {
        foreach (byte one in bytes)
        {
            await tls.WriteAsync((byte[])[one], over);
            await Task.Delay(Second, over);
        }
    }

    private static byte[] HalfHello() => [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, .. new byte[89]];

    private static byte[] Noise(Random random)
    {
        byte[] noise = new byte[random.Next(1, 500)];
        random.NextBytes(noise);
        return noise;
    }

    private static (Way Way, int Entry) WayOf(int percent)
    {
        int entry = 0;
        for (int below = Shares[0].Share; percent >= below; below += Shares[entry].Share)
        {
            entry++;
        }

        return (Shares[entry].Way, entry);
    }
}
