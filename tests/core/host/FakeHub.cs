using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading.Channels;
using Agent.Wire;

namespace Agent.Tests.Host;

/// <summary>A TLS server on loopback that accepts and acknowledges, and writes down what it saw.</summary>
internal sealed class FakeHub : IServerHandler, IAsyncDisposable
{
    private readonly X509Certificate2 _authority;
    private readonly MqttServer _server;
    private ServerSession? _latest;

    /// <param name="validFromDays">When the server's certificate begins, in days from now.</param>
    public FakeHub(int validFromDays = 0)
    {
        using ECDsa authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=test root", authorityKey, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        DateTimeOffset start = DateTimeOffset.UtcNow.AddHours(-1);
        _authority = request.CreateSelfSigned(start.AddDays(-9), start.AddDays(1));
        _server = MqttServer.Start(
            new IPEndPoint(IPAddress.Loopback, 0), this,
            new ServerOptions { Tls = new TlsServer(NewServerCertificate(start.AddDays(validFromDays))) });
        Roots = [X509CertificateLoader.LoadCertificate(_authority.Export(X509ContentType.Cert))];
    }

    public X509Certificate2Collection Roots { get; }

    public int Port => _server.LocalEndPoint.Port;

    /// <summary>CONNACK code for the next CONNECT and all after it.</summary>
    public byte Code { get; set; }

    /// <summary>False: PINGREQ stays unanswered.</summary>
    public bool AnswersPings { get; set; } = true;

    public ConcurrentQueue<(string ClientId, string UserName, string Password)> Connects { get; } = new();

    public ConcurrentQueue<string> Topics { get; } = new();

    /// <summary>The answer to a twin GET.</summary>
    public string Twin { get; set; } = "{\"desired\":{\"$version\":1},\"reported\":{\"$version\":1}}";

    /// <summary>Reported patches.</summary>
    public Channel<string> Reports { get; } = Channel.CreateUnbounded<string>();

    /// <summary>Answers to direct methods.</summary>
    public Channel<(string Topic, string Payload)> Answers { get; } = Channel.CreateUnbounded<(string, string)>();

    /// <summary>Telemetry with its payload.</summary>
    public Channel<(string Topic, string Payload)> Messages { get; } = Channel.CreateUnbounded<(string, string)>();

    /// <summary>False: PUBLISH stays unacknowledged.</summary>
    public bool Acknowledges { get; set; } = true;

    public SemaphoreSlim Pings { get; } = new(0);

    /// <summary>Reasons of ended connections, in order.</summary>
    public ConcurrentQueue<SessionEnd> Ends { get; } = new();

    /// <summary>CONNACK comes once; a second one is a fault of ours.</summary>
    public void SendSecondConnack() => _latest!.SendConnack(0, sessionPresent: false);

    public void Cut() => _latest!.Close();

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _authority.Dispose();
        Pings.Dispose();
    }

    public void OnConnect(ServerSession session, in ConnectPacket packet)
    {
        _latest = session;
        Connects.Enqueue((Text(packet.ClientId), Text(packet.UserName), Text(packet.Password)));
        session.SendConnack(Code, sessionPresent: false);
    }

    public void OnPublish(ServerSession session, in PublishPacket packet)
    {
        string topic = Text(packet.Topic);
        int request = topic.IndexOf("$rid=", StringComparison.Ordinal);
        if (topic.StartsWith("$iothub/twin/GET/", StringComparison.Ordinal))
        {
            Tell($"$iothub/twin/res/200/?{topic[request..]}", Twin);
        }
        else if (topic.StartsWith("$iothub/twin/PATCH/", StringComparison.Ordinal))
        {
            Reports.Writer.TryWrite(Text(packet.Payload));
            Tell($"$iothub/twin/res/204/?{topic[request..]}&$version=2", "");
        }
        else if (topic.StartsWith("$iothub/methods/res/", StringComparison.Ordinal))
        {
            Answers.Writer.TryWrite((topic, Text(packet.Payload)));
        }
        else
        {
            Topics.Enqueue(topic);
            Messages.Writer.TryWrite((topic, Text(packet.Payload)));
        }

        if (packet.Qos == 1 && Acknowledges)
        {
            session.SendPuback(packet.PacketId);
        }
    }

    /// <summary>Publishes to the device, QoS 0.</summary>
    public void Tell(string topic, string payload) =>
        _latest!.SendPublish(Encoding.UTF8.GetBytes(topic), Encoding.UTF8.GetBytes(payload), qos: 0, packetId: 0);

    public void OnPing(ServerSession session)
    {
        Pings.Release();
        if (AnswersPings)
        {
            session.SendPingresp();
        }
    }

    public void OnPuback(ServerSession session, ushort packetId) => throw new NotSupportedException();

    public void OnSubscribe(ServerSession session, in SubscribePacket packet) =>
        session.SendSuback(packet.PacketId, new byte[packet.Count]);

    public void OnUnsubscribe(ServerSession session, in UnsubscribePacket packet) => throw new NotSupportedException();

    public void OnDisconnect(ServerSession session)
    {
        // Ends shows it.
    }

    public void OnClosed(ServerSession session, SessionEnd end) => Ends.Enqueue(end);

    private static string Text(ReadOnlySpan<byte> bytes) => Encoding.UTF8.GetString(bytes);

    private X509Certificate2 NewServerCertificate(DateTimeOffset start)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=localhost", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 signed = request.Create(_authority, start, start.AddDays(1), [1, 2, 3]);
        return signed.CopyWithPrivateKey(key);
    }
}
