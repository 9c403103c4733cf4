using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;
using Agent.Wire;

namespace Agent.Tests.Service.Mqtt;

/// <summary>Publishes numbered heartbeats of many devices and remembers the highest acknowledged number of each.</summary>
internal sealed class NumberedPublisher(int port) : IClientHandler
{
    private readonly TaskCompletionSource accepted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConcurrentDictionary<ushort, (string Device, uint Number)> waiting = new();
    private ClientSession session = null!;
    private uint number;

    public ConcurrentDictionary<string, uint> Acknowledged { get; } = new();

    public int Waiting => waiting.Count;

    public async Task ConnectAsync()
    {
        session = await ClientSession.DialAsync(new IPEndPoint(IPAddress.Loopback, port), new ClientOptions(), this);
        session.SendConnect(new ConnectPacket { ClientId = "publisher"u8, CleanSession = true });
        await accepted.Task.WaitAsync(TimeSpan.FromSeconds(10));
    }

    public void Send(int devices)
    {
        number++;
        string device = "d" + (number % devices).ToString(CultureInfo.InvariantCulture);
        ushort packetId = (ushort)((number % 60_000) + 1);
        waiting[packetId] = (device, number);
        byte[] topic = Encoding.ASCII.GetBytes($"devices/{device}/messages/events/type=heartbeat&seq={number}&interval=600");
        Assert.True(session.SendPublish(topic, default, 1, packetId));
    }

    public void Close() => session.Close();

    public void OnConnack(ClientSession session, byte code, bool sessionPresent) => accepted.TrySetResult();

    public void OnPuback(ClientSession session, ushort packetId)
    {
        if (waiting.TryRemove(packetId, out (string Device, uint Number) sent))
        {
            Acknowledged[sent.Device] = sent.Number;
        }
    }

    public void OnSuback(ClientSession session, in SubackPacket packet)
    {
        // It subscribes to nothing.
    }

    public void OnUnsuback(ClientSession session, ushort packetId)
    {
        // It subscribes to nothing.
    }

    public void OnPublish(ClientSession session, in PublishPacket packet)
    {
        // It subscribes to nothing.
    }

    public void OnPingresp(ClientSession session)
    {
        // It never pings.
    }

    public void OnClosed(ClientSession session, SessionEnd end)
    {
        // What was not acknowledged then does not count.
    }
}
