using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>MQTT over WebSocket on the HTTPS port: the same hub, whatever the packets come in.</summary>
public sealed class WebSocketTests
{
    private const string Accepted = "20 02 00 00";
    private const string Acknowledged = "40 02 00 07";

    [Theory]
    [InlineData("/$iothub/websocket")]
    [InlineData("/$iothub/websocket?iothub-no-client-cert=true")]
    [InlineData("/%24iothub/websocket")]
    public async Task A_device_over_a_WebSocket_is_a_device_like_any_other(string path)
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using WebSocketDevice device = await WebSocketDevice.DialAsync(rig.Server, http, path: path);
        await device.SendAsync(WebSocketDevice.ConnectBytes(rig.Server, 0));
        Assert.Equal(Accepted, await device.ReadAsync());
        Assert.Equal((1, 1), (rig.Server.ConnectedCount, rig.Server.ConnectionCount));
        await device.SendAsync(WebSocketDevice.PublishBytes("device-0001"));
        Assert.Equal(Acknowledged, await device.ReadAsync());
        await device.SendAsync([0xE0, 0]);

        Assert.Equal("close 1000", await device.ReadAsync());
        await rig.AssertRecordsAsync("device-0001 deviceConnect", "device-0001 deviceDisconnect");
        Assert.Equal(1, rig.Server.TelemetryCount);
        Assert.Contains("127.0.0.XXX", File.ReadAllText(rig.Server.Data.ConnectionsPath), StringComparison.Ordinal);
        await HubRig.WaitAsync(() => rig.Server.ConnectionCount == 0, 20);
        Assert.Equal(0, rig.Server.ConnectionCount);
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(1, false)]
    [InlineData(2, true)]
    [InlineData(7, false)]
    [InlineData(100_000, true)]
    public async Task Frames_and_packets_have_nothing_to_do_with_each_other(int bytesPerFrame, bool wholeMessages)
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using WebSocketDevice device = await WebSocketDevice.DialAsync(rig.Server, http);
        byte[] all =
        [
            .. WebSocketDevice.ConnectBytes(rig.Server, 0), .. WebSocketDevice.PublishBytes("device-0001", 300), 0xC0, 0,
            .. WebSocketDevice.PublishBytes("device-0001", 0), 0xE0, 0,
        ];

        for (int at = 0; at < all.Length; at += bytesPerFrame)
        {
            int end = Math.Min(at + bytesPerFrame, all.Length);
            await device.SendAsync(all[at..end], endOfMessage: wholeMessages || end == all.Length);
        }

        string[] expected = [Accepted, Acknowledged, "D0 00", Acknowledged, "close 1000"];
        foreach (string answer in expected)
        {
            Assert.Equal(answer, await device.ReadAsync());
        }

        Assert.Equal(2, rig.Server.TelemetryCount);
    }

    [Theory]
    [InlineData("30 FF FF FF 7F", "close 1009", "a packet larger than the limit")]
    [InlineData("30 FF FF FF FF 03", "close 1002", "a malformed packet")]
    [InlineData("10 0D 00 04 4D 51 54 54 04 02 00 3C 00 01 70", "close 1002", "a second CONNECT")]
    [InlineData("34 06 00 01 61 00 01 78", "close 1002", "quality of service 2 is not served")]
    [InlineData("30 03 00 01 61", "close 1000", "a message to a, which is no topic of this device")]
    public async Task A_broken_rule_ends_the_connection_with_its_name(string bytes, string expected, string reason)
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using WebSocketDevice device = await WebSocketDevice.ConnectAsync(rig.Server, http, 0);
        await device.SendAsync(Convert.FromHexString(bytes.Replace(" ", "")));

        Assert.Equal(expected, await device.ReadAsync());
        await AssertEndedAsync(rig, "device-0001", reason);
    }

    [Theory]
    [InlineData("30 04 00 02 61 62")]
    [InlineData("C0 00")] // No UTF-8 either.
    public async Task A_text_frame_is_refused(string bytes)
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using WebSocketDevice device = await WebSocketDevice.ConnectAsync(rig.Server, http, 0);
        await device.SendAsync(Convert.FromHexString(bytes.Replace(" ", "")), WebSocketMessageType.Text);

        Assert.Equal("close 1003", await device.ReadAsync());
        await AssertEndedAsync(rig, "device-0001", "a WebSocket text frame");
    }

    [Fact]
    public async Task A_refused_token_gets_its_CONNACK_and_then_the_end()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using WebSocketDevice device = await WebSocketDevice.DialAsync(rig.Server, http);
        await device.SendAsync(WebSocketDevice.ConnectBytes(rig.Server, 0, lifetimeSeconds: -4000));

        Assert.Equal("20 02 00 05", await device.ReadAsync());
        Assert.Equal("close 1000", await device.ReadAsync());
    }

    [Theory]
    [InlineData("mqttv3.1", "/$iothub/websocket", "400")]
    [InlineData("", "/$iothub/websocket", "400")]
    [InlineData("mqtt", "/$iothub/socket", "404")]
    public async Task Another_subprotocol_or_path_is_refused_before_the_upgrade(string subprotocol, string path, string status)
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);

        InvalidOperationException refused = await Assert.ThrowsAsync<InvalidOperationException>(
            () => WebSocketDevice.DialAsync(rig.Server, http, subprotocol, path));
        Assert.Equal(status, refused.Message);
        Assert.Equal(0, rig.Server.ConnectionCount);
    }

    [Fact]
    public async Task A_plain_request_is_told_to_upgrade()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        using var client = new HttpClient(new SocketsHttpHandler { SslOptions = WebSocketDevice.Trust(rig.Server) });

        using HttpResponseMessage answer = await client.GetAsync(new Uri(http.Address, "/$iothub/websocket"));
        Assert.Equal(HttpStatusCode.UpgradeRequired, answer.StatusCode);
        Assert.Equal("websocket", answer.Headers.Upgrade.ToString());
    }

    [Fact]
    public async Task An_abrupt_end_is_seen_and_recorded()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using WebSocketDevice device = await WebSocketDevice.ConnectAsync(rig.Server, http, 0);
        device.Abort();

        await rig.AssertRecordsAsync("device-0001 deviceConnect", "device-0001 deviceDisconnect/404104");
        await HubRig.WaitAsync(() => rig.Server.ConnectionCount == 0, 20);
        Assert.Equal(0, rig.Server.ConnectionCount);
    }

    [Fact]
    public async Task A_close_frame_without_DISCONNECT_is_no_goodbye()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using WebSocketDevice device = await WebSocketDevice.ConnectAsync(rig.Server, http, 0);
        await device.Socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, default);

        Assert.Equal("close 1000", await device.ReadAsync());
        await rig.AssertRecordsAsync("device-0001 deviceConnect", "device-0001 deviceDisconnect/404104");
    }

    [Theory]
    [InlineData("")]
    [InlineData("10 FF")]
    public async Task Who_says_no_CONNECT_in_time_is_sent_away(string bytes)
    {
        await using var rig = new HubRig(connectWithinMs: 300);
        await using HubHttp http = await StartAsync(rig);
        await using WebSocketDevice device = await WebSocketDevice.DialAsync(rig.Server, http);
        await device.SendAsync(Convert.FromHexString(bytes.Replace(" ", "")));

        Assert.Equal("close 1008", await device.ReadAsync());
        await AssertEndedAsync(rig, "127.0.0.1", "no CONNECT within the time allowed");
    }

    [Fact]
    public async Task A_peer_that_answers_no_close_frame_is_dropped_after_a_moment()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using WebSocketDevice device = await WebSocketDevice.ConnectAsync(rig.Server, http, 0);
        rig.Server.SetEnabled(rig.Server.Registry.Devices[0], false);

        // The client does not read, hence does not answer.
        await HubRig.WaitAsync(() => rig.Server.ConnectionCount == 0, 20);
        Assert.Equal(0, rig.Server.ConnectionCount);
        await rig.AssertRecordsAsync("device-0001 deviceConnect", "device-0001 deviceDisconnect/403012");
    }

    [Fact]
    public async Task One_identity_over_both_ports_is_one_identity()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using TestDevice first = await TestDevice.ConnectAsync(rig.Server, 0);
        await using WebSocketDevice second = await WebSocketDevice.ConnectAsync(rig.Server, http, 0);
        await first.WaitForEndAsync();
        await using TestDevice third = await TestDevice.ConnectAsync(rig.Server, 0);

        Assert.Equal("close 1000", await second.ReadAsync());
        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect", "device-0001 deviceDisconnect/400027", "device-0001 deviceConnect",
            "device-0001 deviceDisconnect/400027", "device-0001 deviceConnect");
        Assert.Equal(1, rig.Server.ConnectedCount);
    }

    [Fact]
    public async Task At_the_end_of_the_hub_the_client_hears_of_it_and_nothing_is_recorded()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using WebSocketDevice device = await WebSocketDevice.ConnectAsync(rig.Server, http, 0);
        Task<string> end = device.ReadAsync();
        await rig.Server.StopAsync();

        Assert.Equal("close 1001", await end);
        await rig.AssertRecordsAsync("device-0001 deviceConnect");
    }

    [Theory]
    [InlineData("82 02 C0 00 00 00 00 00", "bytes that are no WebSocket frame")] // Not masked.
    [InlineData("F2 80 00 00 00 00", "bytes that are no WebSocket frame")] // Reserved bits.
    [InlineData("83 80 00 00 00 00", "bytes that are no WebSocket frame")] // Opcode 3.
    [InlineData("80 80 00 00 00 00", "bytes that are no WebSocket frame")] // A continuation of nothing.
    [InlineData("89 FE 01 00 00 00 00 00", "bytes that are no WebSocket frame")] // A ping of 256 bytes.
    [InlineData("82 FF FF FF FF FF FF FF FF FF 00 00 00 00", "bytes that are no WebSocket frame")] // 2^64 bytes announced.
    [InlineData("82 FF 7F FF FF FF FF FF FF FF 00 00 00 00 47", "the peer closed the connection without DISCONNECT")] // 2^63 bytes announced, one sent.
    [InlineData("47 45 54 20 2F 20 48 54 54 50", "bytes that are no WebSocket frame")]
    [InlineData("82 82 00 00 00 00 C0 00", "the first packet was not CONNECT")]
    [InlineData("82 85 00 00 00 00 10", "the peer closed the connection without DISCONNECT")] // A frame that ends too early.
    public async Task Hostile_frames_end_with_a_name(string bytes, string reason)
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using TestDevice bystander = await TestDevice.ConnectAsync(rig.Server, 1);
        using var tcp = new TcpClient();
        await tcp.ConnectAsync(IPAddress.Loopback, http.Address.Port);
        await using var tls = new SslStream(tcp.GetStream());
        await tls.AuthenticateAsClientAsync(WebSocketDevice.Trust(rig.Server));
        await tls.WriteAsync(Encoding.ASCII.GetBytes(
            "GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
        using var answer = new StreamReader(tls, leaveOpen: true);
        Assert.Equal("HTTP/1.1 101 Switching Protocols", await answer.ReadLineAsync());
        await tls.WriteAsync(Convert.FromHexString(bytes.Replace(" ", "")));
        tcp.Client.Shutdown(SocketShutdown.Send);

        await AssertEndedAsync(rig, "127.0.0.1", reason);
        Assert.True(await bystander.PublishAsync("devices/device-0002/messages/events/"));
    }

    [Fact]
    public async Task Silent_connections_make_room_oldest_first_and_a_connected_device_is_not_among_them()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await StartAsync(rig);
        await using WebSocketDevice connected = await WebSocketDevice.ConnectAsync(rig.Server, http, 0);
        await using WebSocketDevice stranger = await WebSocketDevice.DialAsync(rig.Server, http);
        List<Socket> silent = [];
        for (int count = 0; count < 260; count++)
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(IPAddress.Loopback, http.Address.Port);
            silent.Add(socket);
        }

        Assert.Equal("cut off", await stranger.ReadAsync());
        await AssertEndedAsync(rig, "127.0.0.1", "the oldest of too many connections without an accepted CONNECT");
        await Assert.ThrowsAsync<SocketException>(() => silent[0].ReceiveAsync(new byte[1]).WaitAsync(TimeSpan.FromSeconds(20)));
        using (var client = new HttpClient(new SocketsHttpHandler { SslOptions = WebSocketDevice.Trust(rig.Server) }))
        {
            Assert.Equal("ok\n", await client.GetStringAsync(new Uri(http.Address, "/healthz")));
        }

        await connected.SendAsync(WebSocketDevice.PublishBytes("device-0001"));
        Assert.Equal(Acknowledged, await connected.ReadAsync());
        silent.ForEach(socket => socket.Dispose());
    }

    private static Task<HubHttp> StartAsync(HubRig rig) => HubHttp.StartAsync(rig.Server, IPAddress.Loopback, 0);

    private static async Task AssertEndedAsync(HubRig rig, string who, string reason)
    {
        string line = $"{who} closed: {reason}\n";
        await HubRig.WaitAsync(() => rig.Lines.Contains(line, StringComparison.Ordinal), 20);
        Assert.True(rig.Lines.Contains(line, StringComparison.Ordinal), $"no \"{line.Trim()}\" in {rig.Lines}");
    }
}
