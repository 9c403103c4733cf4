using System.Text;
using Agent.Wire;

namespace Agent.Load;

/// <summary>One device of a load test: connects, sends, counts acknowledgements, renews.</summary>
/// <remarks>
/// It is no SDK's model: load is what is wanted, and that its cost is the connection's and not the generator's. Its handler calls
/// come from the engine's threads, and what waits for an answer goes on right there: a device that is done starts the next one
/// without a switch of threads. Sends in the open loop come from the pacer's thread. The ring of moments holds as many messages as
/// one device may have under way; when it is full the pacer passes the device over and says so.
/// </remarks>
internal sealed class LoadDevice(LoadFleet fleet, int index) : IClientHandler
{
    /// <summary>Messages one device may have unacknowledged in the open loop.</summary>
    public const int UnderWayMax = 8;

    private const int KeepAliveSeconds = 1200;
    private const int LifetimeSeconds = 3600;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private TaskCompletionSource<byte>? connack;
    private TaskCompletionSource? closed;
    private ClientSession? session;
    private byte[]? topic;
    private int sent;
    private int acknowledged;
    private int batchLeft;

    /// <summary>Whether it is between two connections, or on its way there.</summary>
    public bool IsRenewing { get; private set; }

    /// <summary>Whether it is connected and nobody has closed it.</summary>
    public bool IsOpen => session is { IsOpen: true };

    /// <summary>Acknowledgements so far on this connection.</summary>
    public int Acknowledged => Volatile.Read(ref acknowledged);

    /// <summary>Dials, secures, says CONNECT and waits for the answer.</summary>
    /// <exception cref="LinkException">The dial failed.</exception>
    /// <exception cref="IOException">The server refused or said nothing.</exception>
    public async Task ConnectAsync(CancellationToken cancellation)
    {
        LoadTarget target = fleet.Target;
        var answer = new TaskCompletionSource<byte>();
        connack = answer;
        sent = 0;
        acknowledged = 0;
        batchLeft = 0;
        ClientSession dialled = await ClientSession.DialAsync(
            target.Remote, target.OptionsOf(index), this, cancellation: cancellation).ConfigureAwait(false);
        SendConnect(dialled);
        byte code = await answer.Task.WaitAsync(Patience, cancellation).ConfigureAwait(false);
        connack = null;
        session = code == 0 ? dialled : throw new IOException($"CONNACK {code}");
    }

    /// <summary>Goes away politely and waits until the connection is gone.</summary>
    public async Task LeaveAsync()
    {
        if (session is { IsOpen: true } open)
        {
            var gone = new TaskCompletionSource();
            closed = gone;
            open.SendDisconnect();
            open.Close();
            await gone.Task.WaitAsync(Patience).ConfigureAwait(false);
            closed = null;
        }

        session = null;
    }

    /// <summary>A planned reconnect: lets what is under way be acknowledged, leaves, comes back with a fresh token.</summary>
    public async Task RenewAsync(CancellationToken cancellation)
    {
        IsRenewing = true;
        try
        {
            for (int times = 0; times < 1000 && sent != Acknowledged && IsOpen; times++)
            {
                await Task.Delay(5, cancellation).ConfigureAwait(false);
            }

            await LeaveAsync().ConfigureAwait(false);
            await ConnectAsync(cancellation).ConfigureAwait(false);
        }
        finally
        {
            IsRenewing = false;
        }
    }

    /// <summary>Sends one QoS 1 message; false when there is no connection, or too much under way on it.</summary>
    public bool TrySend(int nowMicros)
    {
        if (IsRenewing || session is not { IsOpen: true } open || sent - Acknowledged >= UnderWayMax)
        {
            return false;
        }

        fleet.MomentOf(index, sent) = nowMicros;
        sent++;
        return Publish(open);
    }

    /// <summary>Sends batches of messages, each when the one before is acknowledged, until the fleet stops pumping.</summary>
    public void Pump(int batch)
    {
        if (session is { IsOpen: true } open && fleet.IsPumping)
        {
            batchLeft = batch;
            sent += batch;
            fleet.MomentOf(index, 0) = fleet.NowMicros;
            using (open.BeginBatch())
            {
                for (int count = 0; count < batch; count++)
                {
                    Publish(open);
                }
            }
        }
    }

    public void OnConnack(ClientSession session, byte code, bool sessionPresent) => connack?.TrySetResult(code);

    public void OnPuback(ClientSession session, ushort packetId)
    {
        if (batchLeft > 0)
        {
            acknowledged++;
            if (--batchLeft == 0)
            {
                fleet.Acknowledgements.Add(unchecked(fleet.NowMicros - fleet.MomentOf(index, 0)));
                Pump(fleet.Batch);
            }

            return;
        }

        fleet.Acknowledgements.Add(unchecked(fleet.NowMicros - fleet.MomentOf(index, acknowledged)));
        Volatile.Write(ref acknowledged, acknowledged + 1);
    }

    public void OnClosed(ClientSession session, SessionEnd end)
    {
        connack?.TrySetException(new IOException(end.Text()));
        if (closed is { } leaving)
        {
            leaving.TrySetResult();
        }
        else if (connack is null)
        {
            fleet.NoteLoss(end.Text());
        }
    }

    public void OnSuback(ClientSession session, in SubackPacket packet)
    {
        // Nothing is subscribed to.
    }

    public void OnUnsuback(ClientSession session, ushort packetId)
    {
        // Nothing is subscribed to.
    }

    public void OnPublish(ClientSession session, in PublishPacket packet)
    {
        // Nothing is subscribed to.
    }

    public void OnPingresp(ClientSession session)
    {
        // No test is as long as the keep-alive.
    }

    private bool Publish(ClientSession open)
    {
        topic ??= Encoding.ASCII.GetBytes($"devices/{fleet.Target.Id(index)}/messages/events/type=heartbeat&interval=60");
        return open.SendPublish(topic, "{}"u8, qos: 1, (ushort)((fleet.NextPacket() % ushort.MaxValue) + 1));
    }

    private void SendConnect(ClientSession dialled)
    {
        LoadTarget target = fleet.Target;
        string id = target.Id(index);
        long expiry = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + LifetimeSeconds;
        if (target.TokenOf(index, expiry) is not { } token)
        {
            dialled.SendConnect(new ConnectPacket
            {
                ClientId = Encoding.ASCII.GetBytes(id),
                KeepAliveSeconds = KeepAliveSeconds,
                CleanSession = true,
            });
            return;
        }

        dialled.SendConnect(new ConnectPacket
        {
            ClientId = Encoding.ASCII.GetBytes(id),
            UserName = Encoding.ASCII.GetBytes($"{target.HostName}/{id}/?api-version=2021-04-12"),
            Password = Encoding.ASCII.GetBytes(token),
            KeepAliveSeconds = KeepAliveSeconds,
            CleanSession = true,
        });
    }
}
