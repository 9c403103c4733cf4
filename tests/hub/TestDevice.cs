using System.Buffers.Binary;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>
/// A client that can do wrong: MQTT packets put together by hand from the specification (section numbers of MQTT 3.1.1),
/// so that neither our reader nor our writer vouches for the other.
/// </summary>
internal sealed class TestDevice : IAsyncDisposable
{
    private readonly TcpClient tcp;
    private readonly SslStream tls;
    private byte lastFirst;

    private TestDevice(TcpClient tcp, SslStream tls)
    {
        this.tcp = tcp;
        this.tls = tls;
    }

    public static async Task<TestDevice> DialAsync(HubServer hub)
    {
        using X509Certificate2 authority = X509CertificateLoader.LoadCertificateFromFile(hub.Data.AuthorityPath);
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
        };
        policy.CustomTrustStore.Add(authority);
        var tcp = new TcpClient();
        await tcp.ConnectAsync(hub.EndPoint);
        var tls = new SslStream(tcp.GetStream());
        await tls.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions { TargetHost = "localhost", CertificateChainPolicy = policy });
        return new TestDevice(tcp, tls);
    }

    /// <summary>Dials and connects as the device, with its own key; asserts that it was accepted.</summary>
    public static async Task<TestDevice> ConnectAsync(
        HubServer hub, int index, int lifetimeSeconds = 3600, ushort keepAlive = 60, bool clean = true)
    {
        TestDevice device = await DialAsync(hub);
        Device identity = hub.Registry.Devices[index];
        byte[] answer = await device.SendConnectAsync(identity.Id, Token(hub, index, lifetimeSeconds), keepAlive, clean);
        Assert.Equal(0, answer[1]);
        return device;
    }

    public static string Token(HubServer hub, int index, int lifetimeSeconds)
    {
        Device identity = hub.Registry.Devices[index];
        return SasTokenWriter.Write(
            "localhost/devices/" + identity.Id, identity.PrimaryKey, DateTimeOffset.UtcNow.ToUnixTimeSeconds() + lifetimeSeconds);
    }

    /// <summary>Sends CONNECT (3.1); returns the body of CONNACK: session-present, code.</summary>
    public async Task<byte[]> SendConnectAsync(
        string id, string? password, ushort keepAlive = 60, bool clean = true, string? userName = null,
        (string Topic, string Message)? will = null)
    {
        await SendConnectUnheardAsync(id, password, keepAlive, clean, userName, will);
        (byte type, byte[] answer) = await ReadAsync();
        Assert.Equal(0x20, type);
        return answer;
    }

    /// <summary>Sends CONNECT and does not wait for the answer.</summary>
    public Task SendConnectUnheardAsync(
        string id, string? password, ushort keepAlive = 60, bool clean = true, string? userName = null,
        (string Topic, string Message)? will = null)
    {
        List<byte> body = [0, 4, .. "MQTT"u8, 4];
        byte flags = (byte)((clean ? 0x02 : 0) | 0x80 | (password is null ? 0 : 0x40) | (will is null ? 0 : 0x04));
        body.AddRange([flags, (byte)(keepAlive >> 8), (byte)keepAlive]);
        body.AddRange(Text(id));
        if (will is { } last)
        {
            body.AddRange([.. Text(last.Topic), .. Text(last.Message)]);
        }

        body.AddRange(Text(userName ?? $"localhost/{id}/?api-version=2021-04-12&DeviceClientType=test%2F1.0"));
        if (password is not null)
        {
            body.AddRange(Text(password));
        }

        return SendAsync(0x10, [.. body]);
    }

    /// <summary>Sends SUBSCRIBE (3.8) with packet id 1; returns the codes of SUBACK, empty when the hub hung up.</summary>
    public async Task<byte[]> SubscribeAsync(byte qos, params string[] filters)
    {
        List<byte> body = [0, 1];
        foreach (string filter in filters)
        {
            body.AddRange([.. Text(filter), qos]);
        }

        await SendAsync(0x82, [.. body]);
        (byte type, byte[] answer) = await ReadAsync();
        return type == 0x90 ? answer[2..] : [];
    }

    /// <summary>Sends PUBLISH (3.3) with QoS 1 and packet id 7; true when PUBACK comes back.</summary>
    public async Task<bool> PublishAsync(string topic, string message = "")
    {
        await SendAsync(0x32, [.. Text(topic), 0, 7, .. Encoding.UTF8.GetBytes(message)]);
        (byte type, byte[] answer) = await ReadAsync();
        return type == 0x40 && answer is [0, 7];
    }

    /// <summary>Sends PUBLISH (3.3) with QoS 0.</summary>
    public Task PublishOnceAsync(string topic, string message) =>
        SendAsync(0x30, [.. Text(topic), .. Encoding.UTF8.GetBytes(message)]);

    /// <summary>The next packet, which must be a PUBLISH: everything behind the fixed header, and its first byte.</summary>
    public async Task<(byte[] Packet, byte First)> ReadPublishAsync()
    {
        (byte type, byte[] body) = await ReadAsync();
        Assert.Equal(0x30, type);
        return (body, lastFirst);
    }

    /// <summary>The next packet, which must be a PUBLISH with QoS 0.</summary>
    public async Task<(string Topic, string Body)> ReadMessageAsync()
    {
        (byte[] packet, byte first) = await ReadPublishAsync();
        Assert.Equal(0x30, first);
        int end = 2 + BinaryPrimitives.ReadUInt16BigEndian(packet);
        return (Encoding.UTF8.GetString(packet[2..end]), Encoding.UTF8.GetString(packet[end..]));
    }

    /// <summary>Acknowledges (3.4) a packet read with <see cref="ReadPublishAsync"/>.</summary>
    public Task SendPubackAsync(byte[] publish)
    {
        int end = 2 + BinaryPrimitives.ReadUInt16BigEndian(publish);
        return SendAsync(0x40, publish[end..(end + 2)]);
    }

    public Task SayGoodbyeAsync() => SendAsync(0xE0, []);

    public async Task SendAsync(byte first, byte[] body)
    {
        List<byte> packet = [first];
        int rest = body.Length;
        do
        {
            packet.Add((byte)((rest % 128) | (rest >= 128 ? 128 : 0)));
            rest /= 128;
        }
        while (rest > 0);
        packet.AddRange(body);
        await SendRawAsync([.. packet]);
    }

    public async Task SendRawAsync(byte[] bytes)
    {
        await tls.WriteAsync(bytes);
        await tls.FlushAsync();
    }

    /// <summary>The next packet; type 0 when the connection has ended.</summary>
    public async Task<(byte Type, byte[] Body)> ReadAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        try
        {
            byte[] head = new byte[1];
            await tls.ReadExactlyAsync(head, patience.Token);
            byte type = lastFirst = head[0];
            int length = 0;
            for (int shift = 0; ; shift += 7)
            {
                await tls.ReadExactlyAsync(head, patience.Token);
                length |= (head[0] & 127) << shift;
                if (head[0] < 128)
                {
                    break;
                }
            }

            byte[] body = new byte[length];
            await tls.ReadExactlyAsync(body, patience.Token);
            return ((byte)(type & 0xF0), body);
        }
        catch (IOException)
        {
            return (0, []);
        }
    }

    /// <summary>Waits until the hub has closed the connection.</summary>
    public async Task WaitForEndAsync() => Assert.Equal(0, (await ReadAsync()).Type);

    /// <summary>Ends TCP with RST and without a word, as a power cut with a live network does.</summary>
    public void Reset()
    {
        tcp.Client.LingerState = new LingerOption(true, 0);
        tcp.Client.Close();
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await tls.DisposeAsync();
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException)
        {
            // Already gone, which is what many tests are about.
        }

        tcp.Dispose();
    }

    private static byte[] Text(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        byte[] result = new byte[bytes.Length + 2];
        BinaryPrimitives.WriteUInt16BigEndian(result, (ushort)bytes.Length);
        bytes.CopyTo(result, 2);
        return result;
    }
}
