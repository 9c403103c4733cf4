// M2Mqtt 5.1's client, quirks included, each from facts/nanoframework.md section 6:
//   Publish only queues, and does so when nothing is connected, too; Close empties the queue.
//   After a refusal the receive thread asks on until Close.
//   A message is sent again after 1 s, three times in all, and then reported as not published.
//   A ping goes out one period after the last packet sent, and its answer is waited for one period.
//   The end carries no reason; ConnectionClosed comes about 0.2 s later, on the thread that dispatches events, after Close;
//   Close alone raises nothing. Disconnect throws when the link is already gone.
using System;
using System.Collections.Generic;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading;
using Agent.NanoMachine;
using nanoFramework.M2Mqtt.Exceptions;
using nanoFramework.M2Mqtt.Messages;

namespace nanoFramework.M2Mqtt;

public class MqttClient : IMqttClient, IDisposable
{
    private const int RetryMs = 1000;
    private const int TriesMax = 3;

    private static int lastId;

    // The board's firmware puts its own channel here by reflection; the name is the library's.
    private IMqttNetworkChannel _channel;

    private readonly Queue<Action> events = new();
    private readonly AutoResetEvent eventWaits = new(false);
    private readonly AutoResetEvent answered = new(false);
    private readonly AutoResetEvent pinged = new(false);
    private readonly AutoResetEvent queued = new(false);
    private readonly List<Waiting> queue = new();
    private MqttMsgConnack connack;
    private volatile bool running;
    private volatile bool closing;
    private int keepAliveMs;
    private long lastSentMs;

    public MqttClient(string brokerHostName)
        : this(brokerHostName, 1883, false, null, null, MqttSslProtocols.None)
    {
        if (Machine.LacksReflection)
        {
            throw new NotImplementedException(); // the firmware makes such a client only to try reflection on it
        }
    }

    public MqttClient(
        string brokerHostName, int brokerPort, bool secure, X509Certificate caCert, X509Certificate clientCert,
        MqttSslProtocols sslProtocol) =>
        _channel = new MqttNetworkChannel(brokerHostName, brokerPort, secure, caCert, clientCert, sslProtocol);

    public delegate void ConnectionOpenedEventHandler(object sender, ConnectionOpenedEventArgs e);

    public event ConnectionOpenedEventHandler ConnectionOpened;

    public event IMqttClient.ConnectionClosedEventHandler ConnectionClosed;

    public event IMqttClient.MqttMsgPublishEventHandler MqttMsgPublishReceived;

    public event IMqttClient.MqttMsgPublishedEventHandler MqttMsgPublished;

    public event IMqttClient.MqttMsgSubscribedEventHandler MqttMsgSubscribed;

    public bool IsConnected { get; private set; }

    public MqttReasonCode Connect(string clientId, string username, string password, bool cleanSession, ushort keepAlivePeriod)
    {
        try
        {
            _channel.ValidateServerCertificate = true;
            _channel.Connect();
        }
        catch (SocketException fault)
        {
            throw new MqttConnectionException($"Socket exception connecting to the broker: {fault.ErrorCode}", fault);
        }
        catch (Exception fault)
        {
            throw new MqttConnectionException("Exception connecting to the broker", fault);
        }

        running = true;
        Run(ReceiveThread);
        Send(ConnectPacket(clientId, username, password, cleanSession, keepAlivePeriod));
        if (!answered.WaitOne(Machine.ConnackPatienceMs, false) || connack == null || closing)
        {
            throw new MqttCommunicationException();
        }

        if (connack.ReturnCode == MqttReasonCode.Success)
        {
            keepAliveMs = keepAlivePeriod * 1000;
            Run(KeepAliveThread);
            Run(DispatchThread);
            Run(SendThread);
            IsConnected = true;
        }

        return connack.ReturnCode;
    }

    public ushort Publish(
        string topic, byte[] message, string contentType, System.Collections.ArrayList userProperties, MqttQoSLevel qosLevel,
        bool retain)
    {
        ushort id = NextId();
        List<byte> body = new();
        AddText(body, topic);
        if (qosLevel == MqttQoSLevel.AtLeastOnce)
        {
            body.AddRange(new[] { (byte)(id >> 8), (byte)id });
        }

        body.AddRange(message ?? Array.Empty<byte>());
        Enqueue(new Waiting { Id = id, Packet = Packet((byte)(0x30 | ((int)qosLevel << 1)), body), Tries = 0 });
        return id;
    }

    public ushort Subscribe(string[] topics, MqttQoSLevel[] qosLevels)
    {
        ushort id = NextId();
        List<byte> body = new() { (byte)(id >> 8), (byte)id };
        for (int i = 0; i < topics.Length; i++)
        {
            AddText(body, topics[i]);
            body.Add((byte)qosLevels[i]);
        }

        Enqueue(new Waiting { Id = id, Packet = Packet(0x82, body), Tries = 0 });
        return id;
    }

    public void Disconnect()
    {
        Send(new byte[] { 0xE0, 0 });
        BeginClosing();
    }

    public void Close()
    {
        running = false;
        eventWaits.Set();
        BoardThread.Sleep(200);
        queued.Set();
        pinged.Set();
        lock (queue)
        {
            queue.Clear();
        }

        _channel.Close();
        IsConnected = false;
    }

    public void Dispose() => Close();

    private static ushort NextId() => (ushort)(Interlocked.Increment(ref lastId) % 65535 + 1);

    private static void Run(Action body) => new BoardThread(body, "M2Mqtt").Start();

    private void Send(byte[] packet)
    {
        try
        {
            lock (this)
            {
                _channel.Send(packet);
                lastSentMs = Environment.TickCount64;
            }
        }
        catch (Exception fault)
        {
            throw new MqttCommunicationException(fault);
        }
    }

    private void Enqueue(Waiting message)
    {
        lock (queue)
        {
            queue.Add(message);
        }

        queued.Set();
    }

    private void BeginClosing()
    {
        closing = true;
        eventWaits.Set();
    }

    private void Tell(Action news)
    {
        lock (events)
        {
            events.Enqueue(news);
        }

        eventWaits.Set();
    }

    private void ReceiveThread()
    {
        byte[] first = new byte[1];
        while (running)
        {
            try
            {
                if (_channel.Receive(first) > 0)
                {
                    Take(first[0], Body());
                }
                else
                {
                    BeginClosing();
                    answered.Set();
                }
            }
            catch (Exception)
            {
                BeginClosing();
                answered.Set();
            }
        }
    }

    private byte[] Body()
    {
        byte[] one = new byte[1];
        int length = 0;
        int shift = 0;
        do
        {
            _channel.Receive(one);
            length |= (one[0] & 127) << shift;
            shift += 7;
        }
        while ((one[0] & 128) != 0);

        byte[] body = new byte[length];
        if (length > 0)
        {
            _channel.Receive(body);
        }

        return body;
    }

    private void Take(byte first, byte[] body)
    {
        switch (first >> 4)
        {
            case 2:
                connack = new MqttMsgConnack { SessionPresent = (body[0] & 1) != 0, ReturnCode = (MqttReasonCode)body[1] };
                ConnectionOpened?.Invoke(this, new ConnectionOpenedEventArgs(connack));
                if (connack.ReturnCode == MqttReasonCode.Success)
                {
                    answered.Set(); // a refusal is followed by the hub's close, which this thread reads before Connect wakes up
                }

                break;
            case 3:
                TakePublish(first, body);
                break;
            case 4:
                ushort id = (ushort)((body[0] << 8) | body[1]);
                Forget(id);
                Tell(() => MqttMsgPublished?.Invoke(this, new MqttMsgPublishedEventArgs(id, true)));
                break;
            case 9:
                ushort subscription = (ushort)((body[0] << 8) | body[1]);
                Forget(subscription);
                MqttQoSLevel[] granted = new MqttQoSLevel[body.Length - 2];
                for (int i = 0; i < granted.Length; i++)
                {
                    granted[i] = (MqttQoSLevel)body[i + 2];
                }

                Tell(() => MqttMsgSubscribed?.Invoke(this, new MqttMsgSubscribedEventArgs(subscription, granted)));
                break;
            case 13:
                pinged.Set();
                break;
        }
    }

    private void TakePublish(byte first, byte[] body)
    {
        int length = (body[0] << 8) | body[1];
        string topic = Encoding.UTF8.GetString(body, 2, length);
        int at = 2 + length;
        MqttQoSLevel qos = (MqttQoSLevel)((first >> 1) & 3);
        if (qos != MqttQoSLevel.AtMostOnce)
        {
            Send(new byte[] { 0x40, 2, body[at], body[at + 1] });
            at += 2;
        }

        byte[] message = new byte[body.Length - at];
        Array.Copy(body, at, message, 0, message.Length);
        Tell(() => MqttMsgPublishReceived?.Invoke(
            this, new MqttMsgPublishEventArgs(topic, message, (first & 8) != 0, qos, (first & 1) != 0)));
    }

    private void Forget(ushort id)
    {
        lock (queue)
        {
            queue.RemoveAll(waiting => waiting.Id == id && waiting.Tries > 0);
        }
    }

    private void SendThread()
    {
        while (running)
        {
            queued.WaitOne(100, false);
            Waiting[] now;
            lock (queue)
            {
                now = queue.ToArray();
            }

            foreach (Waiting waiting in now)
            {
                Send(waiting);
            }
        }
    }

    private void Send(Waiting waiting)
    {
        if (!running || (waiting.Tries > 0 && Environment.TickCount64 - waiting.SentMs < RetryMs))
        {
            return;
        }

        if (waiting.Tries > TriesMax)
        {
            Forget(waiting.Id);
            Tell(() => MqttMsgPublished?.Invoke(this, new MqttMsgPublishedEventArgs(waiting.Id, false)));
            return;
        }

        bool acknowledged = (waiting.Packet[0] & 6) != 0;
        waiting.Packet[0] |= (byte)(waiting.Tries > 0 && waiting.Packet[0] >> 4 == 3 ? 8 : 0);
        waiting.Tries++;
        waiting.SentMs = Environment.TickCount64;
        try
        {
            Send(waiting.Packet);
        }
        catch (MqttCommunicationException)
        {
            BeginClosing();
        }

        if (!acknowledged)
        {
            Forget(waiting.Id);
        }
    }

    private void KeepAliveThread()
    {
        while (running)
        {
            long silentMs = Environment.TickCount64 - lastSentMs;
            if (silentMs < keepAliveMs)
            {
                BoardThread.Sleep(100);
                continue;
            }

            try
            {
                Send(new byte[] { 0xC0, 0 });
            }
            catch (MqttCommunicationException)
            {
                BeginClosing();
                return;
            }

            if (!pinged.WaitOne(keepAliveMs, false))
            {
                BeginClosing();
                return;
            }
        }
    }

    private void DispatchThread()
    {
        while (running)
        {
            Action news = null;
            lock (events)
            {
                if (events.Count > 0)
                {
                    news = events.Dequeue();
                }
            }

            if (news != null)
            {
                news();
            }
            else if (closing)
            {
                Close();
                ConnectionClosed?.Invoke(this, EventArgs.Empty);
                return;
            }
            else
            {
                eventWaits.WaitOne();
            }
        }
    }

    private static byte[] ConnectPacket(string id, string user, string password, bool clean, ushort keepAlive)
    {
        List<byte> body = new();
        AddText(body, "MQTT");
        body.AddRange(new byte[] { 4, (byte)(0xC0 | (clean ? 2 : 0)), (byte)(keepAlive >> 8), (byte)keepAlive });
        AddText(body, id);
        AddText(body, user);
        AddText(body, password);
        return Packet(0x10, body);
    }

    private static void AddText(List<byte> body, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        body.AddRange(new[] { (byte)(bytes.Length >> 8), (byte)bytes.Length });
        body.AddRange(bytes);
    }

    private static byte[] Packet(byte first, List<byte> body)
    {
        List<byte> packet = new() { first };
        int rest = body.Count;
        do
        {
            packet.Add((byte)((rest & 127) | (rest > 127 ? 128 : 0)));
            rest >>= 7;
        }
        while (rest > 0);

        packet.AddRange(body);
        return packet.ToArray();
    }

    private sealed class Waiting
    {
        public ushort Id;
        public byte[] Packet;
        public int Tries;
        public long SentMs;
    }
}
