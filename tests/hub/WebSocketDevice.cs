using System.Globalization;
using System.Net.Security;
using System.Net.WebSockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Agent.Hub;
using Agent.Wire;

namespace Agent.Tests.Hub;

/// <summary>.NET's own WebSocket client, as an MQTT client that decides for itself how packets go into frames.</summary>
internal sealed class WebSocketDevice : IAsyncDisposable
{
    private readonly List<byte> received = [];

    private WebSocketDevice(ClientWebSocket socket, HttpMessageInvoker invoker)
    {
        Socket = socket;
        Invoker = invoker;
    }

    public ClientWebSocket Socket { get; }

    private HttpMessageInvoker Invoker { get; }

    public static async Task<WebSocketDevice> DialAsync(
        HubServer hub, HubHttp http, string subprotocol = "mqtt", string path = "/$iothub/websocket")
    {
        var socket = new ClientWebSocket();
        if (subprotocol.Length > 0)
        {
            socket.Options.AddSubProtocol(subprotocol);
        }

        socket.Options.CollectHttpResponseDetails = true;
        var invoker = new HttpMessageInvoker(new SocketsHttpHandler { SslOptions = Trust(hub) });
        var device = new WebSocketDevice(socket, invoker);
        try
        {
            await socket.ConnectAsync(new Uri(http.Address.ToString().Replace("https", "wss").TrimEnd('/') + path), invoker, default);
        }
        catch (WebSocketException refused)
        {
            throw new InvalidOperationException(
                ((int)socket.HttpStatusCode).ToString(CultureInfo.InvariantCulture), refused);
        }

        Assert.Equal("mqtt", socket.SubProtocol);
        return device;
    }

    public static SslClientAuthenticationOptions Trust(HubServer hub) => Trust(hub.Data.AuthorityPath);

    public static SslClientAuthenticationOptions Trust(string authority)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
        };
        policy.CustomTrustStore.Add(X509CertificateLoader.LoadCertificateFromFile(authority));
        return new SslClientAuthenticationOptions { TargetHost = "localhost", CertificateChainPolicy = policy };
    }

    /// <summary>Dials, connects as the device, and asserts that it was accepted.</summary>
    public static async Task<WebSocketDevice> ConnectAsync(HubServer hub, HubHttp http, int index, ushort keepAlive = 60)
    {
        WebSocketDevice device = await DialAsync(hub, http);
        await device.SendAsync(ConnectBytes(hub, index, keepAlive));
        Assert.Equal("20 02 00 00", await device.ReadAsync());
        return device;
    }

    public static byte[] ConnectBytes(HubServer hub, int index, ushort keepAlive = 60, int lifetimeSeconds = 3600)
    {
        string id = hub.Registry.Devices[index].Id;
        var packet = new ConnectPacket
        {
            ClientId = Encoding.UTF8.GetBytes(id),
            UserName = Encoding.UTF8.GetBytes($"localhost/{id}/?api-version=2021-04-12"),
            Password = Encoding.UTF8.GetBytes(TestDevice.Token(hub, index, lifetimeSeconds)),
            KeepAliveSeconds = keepAlive,
            CleanSession = true,
        };
        byte[] bytes = new byte[MqttWriter.ConnectSize(packet)];
        MqttWriter.WriteConnect(bytes, packet);
        return bytes;
    }

    /// <summary>PUBLISH with QoS 1 and packet id 7.</summary>
    public static byte[] PublishBytes(string id, int payloadLength = 3)
    {
        var packet = new PublishPacket
        {
            Topic = Encoding.UTF8.GetBytes($"devices/{id}/messages/events/"),
            Payload = new byte[payloadLength],
            Qos = 1,
            PacketId = 7,
        };
        byte[] bytes = new byte[MqttWriter.PublishSize(packet)];
        MqttWriter.WritePublish(bytes, packet);
        return bytes;
    }

    public async Task SendAsync(byte[] bytes, WebSocketMessageType type = WebSocketMessageType.Binary, bool endOfMessage = true) =>
        await Socket.SendAsync(bytes, type, endOfMessage, default);

    /// <summary>The next packet of fewer than 128 bytes in hexadecimal; the close code when there is none.</summary>
    public async Task<string> ReadAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        byte[] buffer = new byte[4096];
        while (received.Count < 2 || received.Count < 2 + received[1])
        {
            ValueWebSocketReceiveResult result;
            try
            {
                result = await Socket.ReceiveAsync(buffer.AsMemory(), patience.Token);
            }
            catch (WebSocketException)
            {
                return "cut off";
            }

            if (result.MessageType == WebSocketMessageType.Close)
            {
                Assert.Empty(received);
                return "close " + (int)Socket.CloseStatus!;
            }

            Assert.Equal(WebSocketMessageType.Binary, result.MessageType);
            received.AddRange(buffer[..result.Count]);
        }

        int length = 2 + received[1];
        string packet = string.Join(' ', received[..length].Select(one => one.ToString("X2", CultureInfo.InvariantCulture)));
        received.RemoveRange(0, length);
        return packet;
    }

    /// <summary>Ends without a close frame.</summary>
    public void Abort() => Socket.Abort();

    public async ValueTask DisposeAsync()
    {
        Socket.Dispose();
        Invoker.Dispose();
        await Task.CompletedTask;
    }
}
