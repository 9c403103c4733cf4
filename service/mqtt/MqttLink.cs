using System.Buffers.Binary;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Agent.Wire;

namespace Agent.Service.Mqtt;

/// <summary>The connection to the broker ended, and why, in words that may be shown: no secret, nothing the broker wrote.</summary>
internal sealed class MqttException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>One connection to a broker, from dial to end: MQTT 3.1.1, one subscription, quality of service 1.</summary>
/// <remarks>
/// <para>
/// The packets are read and written by the project's own MQTT engine, a library that knows of no hub; a second codec here would
/// be a second place for the same mistakes. Its client session is not used, for a checker needs two things it refuses: to stop reading
/// while the disk is slow (then TCP holds the broker back, and nothing piles up here), and to get past a message that is too large.
/// A broker that keeps our session would send such a one again for ever; so of it only the topic is read, which is all a
/// sign of life needs, and the rest flows by.
/// </para>
/// <para>
/// A turn: everything that lies in the buffer becomes one batch, the batch is taken in, the disk has it, and only then it is acknowledged.
/// Whatever breaks before that is sent again.
/// </para>
/// </remarks>
internal sealed class MqttLink(
    MqttSettings settings, MessageReader reader, MqttCounts counts, Func<ReadOutcome, Task<string?>> take, TimeProvider time) : IDisposable
{
    /// <summary>Topics are at most 64 KiB, and of payloads no more than this is needed.</summary>
    private const int BodyBytesMax = 65_535 + 4 + MessageReader.PayloadBytesMax;

    private const int FactsPerTurn = 4096;
    private const ushort SubscribeId = 1;
    private static readonly TimeSpan DialTimeout = TimeSpan.FromSeconds(30);
    private static readonly string[] Refusals =
        ["", "protocol version", "client identifier", "server unavailable", "user or password", "not authorised"];

    private readonly TcpClient tcp = new() { NoDelay = true };
    private readonly SemaphoreSlim writing = new(1, 1);
    private readonly ReadOutcome outcome = new();
    private readonly List<ushort> unacknowledged = [];
    private Stream stream = Stream.Null;
    private byte[] buffer = new byte[16 * 1024];
    private int start;
    private int end;
    private int skip;
    private bool isAccepted;
    private bool wantsSubscription;
    private long heardAt;

    /// <summary>Called once when the broker has granted the subscription.</summary>
    public Action OnReady { get; init; } = () => { };

    /// <summary>Connects and takes messages in until the connection ends, which is an exception.</summary>
    /// <exception cref="MqttException">Why it ended.</exception>
    /// <exception cref="OperationCanceledException">It was told to stop; the broker has been told too.</exception>
    public async Task RunAsync(string clientId, bool isClean, CancellationToken stopping)
    {
        await OpenAsync(stopping);
        heardAt = time.GetTimestamp();
        using var over = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        Task pinging = PingAsync(over.Token);
        try
        {
            await SendConnectAsync(clientId, isClean);
            while (true)
            {
                await TakeTurnAsync();
                await FillAsync(stopping);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            await SayGoodbyeAsync();
            throw;
        }
        catch (Exception broken) when (broken is IOException or SocketException or ObjectDisposedException or AuthenticationException)
        {
            throw new MqttException(IsSilent() ? "the broker does not answer" : "the connection broke", broken);
        }
        finally
        {
            await over.CancelAsync();
            await pinging;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        stream.Dispose();
        tcp.Dispose();
        writing.Dispose();
    }

    private async Task OpenAsync(CancellationToken stopping)
    {
        using var late = new CancellationTokenSource(DialTimeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(late.Token, stopping);
        try
        {
            await tcp.ConnectAsync(settings.Host, settings.Port, both.Token);
            stream = tcp.GetStream();
            if (settings.IsTls)
            {
                var tls = new SslStream(stream);
                stream = tls;
                await tls.AuthenticateAsClientAsync(TlsOptions(), both.Token);
            }
        }
        catch (SocketException failed)
        {
            throw new MqttException("it cannot be reached: " + failed.SocketErrorCode, failed);
        }
        catch (Exception failed) when (failed is AuthenticationException or IOException)
        {
            throw new MqttException(
                "TLS failed: its certificate is not trusted, expired, or for another name, or it speaks no TLS", failed);
        }
        catch (OperationCanceledException) when (!stopping.IsCancellationRequested)
        {
            throw new MqttException($"no connection within {DialTimeout.TotalSeconds} s");
        }
    }

    private SslClientAuthenticationOptions TlsOptions()
    {
        var options = new SslClientAuthenticationOptions { TargetHost = settings.Host, AllowRenegotiation = false };
        if (settings.Roots is { } roots)
        {
            options.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
                DisableCertificateDownloads = true,
            };
            options.CertificateChainPolicy.CustomTrustStore.AddRange(roots);
        }

        return options;
    }

    private Task SendConnectAsync(string clientId, bool isClean)
    {
        byte[] id = Encoding.UTF8.GetBytes(clientId);
        ReadOnlySpan<byte> user = settings.User is null ? default : Encoding.UTF8.GetBytes(settings.User);
        ReadOnlySpan<byte> password = settings.Password is null ? default : Encoding.UTF8.GetBytes(settings.Password);
        var packet = new ConnectPacket { ClientId = id, CleanSession = isClean, KeepAliveSeconds = settings.KeepAliveSeconds };
        if (settings.User is not null)
        {
            packet = settings.Password is null
                ? new ConnectPacket { ClientId = id, CleanSession = isClean, KeepAliveSeconds = settings.KeepAliveSeconds, UserName = user }
                : new ConnectPacket
                {
                    ClientId = id,
                    CleanSession = isClean,
                    KeepAliveSeconds = settings.KeepAliveSeconds,
                    UserName = user,
                    Password = password,
                };
        }

        byte[] bytes = new byte[MqttWriter.ConnectSize(packet)];
        MqttWriter.WriteConnect(bytes, packet);
        return SendAsync(bytes);
    }

    // Everything that lies here, taken in and then acknowledged.
    private async Task TakeTurnAsync()
    {
        bool isMore = true;
        while (isMore)
        {
            isMore = ReadPackets();
            if (wantsSubscription)
            {
                wantsSubscription = false;
                var filter = new TopicFilter(settings.Topic.Filter, qos: 1);
                byte[] bytes = new byte[MqttWriter.SubscribeSize([filter])];
                MqttWriter.WriteSubscribe(bytes, SubscribeId, [filter]);
                await SendAsync(bytes);
            }

            if (outcome.Facts.Count > 0)
            {
                if (await take(outcome) is string refusal)
                {
                    // Not acknowledged, so the broker keeps it for the next connection.
                    throw new MqttException(refusal);
                }

                counts.Taken += outcome.Facts.Count;
                counts.Problems += outcome.Problems.Count;
            }

            counts.Retained += outcome.Ignored;
            outcome.Clear();
            await AcknowledgeAsync();
        }
    }

    private async Task AcknowledgeAsync()
    {
        if (unacknowledged.Count == 0)
        {
            return;
        }

        byte[] bytes = new byte[unacknowledged.Count * MqttWriter.PacketIdSize];
        for (int i = 0; i < unacknowledged.Count; i++)
        {
            MqttWriter.WritePuback(bytes.AsSpan(i * MqttWriter.PacketIdSize), unacknowledged[i]);
        }

        unacknowledged.Clear();
        await SendAsync(bytes);
    }

    /// <summary>Reads whole packets from the buffer; false = the rest of one must come first.</summary>
    private bool ReadPackets()
    {
        while (outcome.Facts.Count + unacknowledged.Count < FactsPerTurn)
        {
            int passed = Math.Min(skip, end - start);
            skip -= passed;
            start += passed;
            ReadOnlySpan<byte> bytes = buffer.AsSpan(start, end - start);
            switch (MqttReader.ReadFrame(bytes, BodyBytesMax, out Frame frame))
            {
                case ReadStatus.NeedMore:
                    return false;
                case ReadStatus.Ok:
                    OnFrame(frame);
                    start += frame.TotalBytes;
                    break;
                case ReadStatus.TooLarge when bytes[0] >> 4 == (int)PacketType.Publish:
                    if (!TryPassLarge(bytes))
                    {
                        return false;
                    }

                    break;
                default:
                    throw new MqttException("what it sends is not MQTT 3.1.1");
            }
        }

        return true;
    }

    private void OnFrame(in Frame frame)
    {
        bool isGood = frame.Type switch
        {
            PacketType.Connack when !isAccepted => OnConnack(frame),
            _ when !isAccepted => false,
            PacketType.Suback => OnSuback(frame),
            PacketType.Publish => MqttReader.TryReadPublish(frame, out PublishPacket packet) && packet.Qos < 2 && OnPublish(packet),
            PacketType.Pingresp => true,
            _ => false,
        };
        if (!isGood)
        {
            throw new MqttException("it broke the MQTT protocol");
        }
    }

    private bool OnConnack(in Frame frame)
    {
        if (!MqttReader.TryReadConnack(frame, out byte code, out bool sessionPresent))
        {
            return false;
        }

        if (code != 0)
        {
            throw new MqttException($"it refuses us: {Refusals[code]} (CONNACK {code})");
        }

        isAccepted = true;
        wantsSubscription = true;
        counts.SessionsResumed += sessionPresent ? 1 : 0;
        return true;
    }

    private bool OnSuback(in Frame frame)
    {
        if (!MqttReader.TryReadSuback(frame, out SubackPacket packet) || packet.PacketId != SubscribeId || packet.Codes.Length != 1)
        {
            return false;
        }

        if (packet.Codes[0] == SubackPacket.Failure)
        {
            throw new MqttException("it does not grant the subscription");
        }

        OnReady();
        return true;
    }

    private bool OnPublish(in PublishPacket packet)
    {
        counts.Received++;
        long nowMs = time.GetUtcNow().ToUnixTimeMilliseconds();
        if (!reader.TryRead(packet.Topic, packet.Payload, packet.Retain, nowMs, outcome))
        {
            counts.Malformed++;
        }

        if (packet.Qos == 1)
        {
            unacknowledged.Add(packet.PacketId);
        }

        return true;
    }

    // §3.3: topic length:2 | topic | packet id:2 with QoS 1 | payload. False = its topic has not come whole yet.
    private bool TryPassLarge(ReadOnlySpan<byte> bytes)
    {
        int header = 1;
        long body = 0;
        for (int shift = 0; ; shift += 7)
        {
            body |= (long)(bytes[header] & 0x7F) << shift;
            if ((bytes[header++] & 0x80) == 0)
            {
                break;
            }
        }

        int qos = (bytes[0] >> 1) & 3;
        if (bytes.Length < header + 2)
        {
            return false;
        }

        int topicLength = BinaryPrimitives.ReadUInt16BigEndian(bytes[header..]);
        int known = header + 2 + topicLength + (qos == 1 ? 2 : 0);
        if (bytes.Length < known)
        {
            return false;
        }

        ReadOnlySpan<byte> topic = bytes.Slice(header + 2, topicLength);
        ushort packetId = qos == 1 ? BinaryPrimitives.ReadUInt16BigEndian(bytes[(known - 2)..]) : (ushort)0;
        if (!isAccepted || qos > 1 || (qos == 1 && packetId == 0) || !MqttText.IsTopicName(topic))
        {
            throw new MqttException("it broke the MQTT protocol");
        }

        counts.TooLarge++;
        OnPublish(new PublishPacket { Topic = topic, Qos = (byte)qos, PacketId = packetId, Retain = (bytes[0] & 1) != 0 });
        start += known;
        skip = (int)(header + body - known);
        return true;
    }

    private async Task FillAsync(CancellationToken stopping)
    {
        if (start == end)
        {
            (start, end) = (0, 0);
        }
        else if (end == buffer.Length)
        {
            // A packet needs no more than the bound: whatever is larger is read past.
            byte[] room = end - start > buffer.Length / 2 ? new byte[Math.Min(buffer.Length * 2, BodyBytesMax + 1024)] : buffer;
            buffer.AsSpan(start, end - start).CopyTo(room);
            (buffer, end, start) = (room, end - start, 0);
        }

        int count = await stream.ReadAsync(buffer.AsMemory(end), stopping);
        if (count == 0)
        {
            throw new MqttException("it closed the connection");
        }

        end += count;
        Volatile.Write(ref heardAt, time.GetTimestamp());
    }

    private async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        await writing.WaitAsync();
        try
        {
            await stream.WriteAsync(bytes);
        }
        finally
        {
            writing.Release();
        }
    }

    private bool IsSilent() => time.GetElapsedTime(Volatile.Read(ref heardAt)).TotalSeconds > settings.KeepAliveSeconds;

    // A ping each half of the keep-alive, and the end of a connection from which nothing came for a whole one.
    private async Task PingAsync(CancellationToken stopping)
    {
        byte[] ping = new byte[MqttWriter.EmptySize];
        MqttWriter.WritePingreq(ping);
        try
        {
            using var timer = new PeriodicTimer(TimeSpan.FromSeconds(settings.KeepAliveSeconds / 2.0), time);
            while (await timer.WaitForNextTickAsync(stopping))
            {
                if (IsSilent())
                {
                    tcp.Close();
                    return;
                }

                await SendAsync(ping);
            }
        }
        catch (Exception ended) when (ended is OperationCanceledException or IOException or SocketException or ObjectDisposedException)
        {
            // The reader meets the same end and names it.
        }
    }

    private async Task SayGoodbyeAsync()
    {
        byte[] goodbye = new byte[MqttWriter.EmptySize];
        MqttWriter.WriteDisconnect(goodbye);
        try
        {
            await SendAsync(goodbye).WaitAsync(TimeSpan.FromSeconds(1), time);
        }
        catch (Exception gone) when (gone is IOException or SocketException or ObjectDisposedException or TimeoutException)
        {
            // The connection is gone already, which says goodbye as well.
        }
    }
}
