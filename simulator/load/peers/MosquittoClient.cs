using System.Text;

namespace Agent.Load.Peers;

/// <summary>One connection of mosquitto's own client library.</summary>
internal sealed unsafe class MosquittoClient
{
    private const int KeepAliveSeconds = 1200;

    // More than any batch; 0, which its manual gives as no limit, lets this version send nothing.
    private const int UnderWayMax = 1000;

    private readonly MosquittoFleet fleet;
    private readonly int index;
    private readonly byte[] topic;
    private nint client;
    private int batchLeft;
    private int momentMicros;

    public MosquittoClient(MosquittoFleet fleet, int index)
    {
        this.fleet = fleet;
        this.index = index;
        topic = [.. Encoding.ASCII.GetBytes($"devices/{fleet.Target.Id(index)}/messages/events/type=heartbeat&interval=60"), 0];
    }

    /// <summary>Acknowledgements so far.</summary>
    public int Acknowledged { get; private set; }

    /// <summary>Whether CONNACK 0 has come and nothing failed since.</summary>
    public bool IsOpen { get; private set; }

    /// <summary>Whether nothing is expected of it: connected, or failed.</summary>
    public bool IsSettled { get; private set; } = true;

    public int Socket => client == 0 ? -1 : LibMosquitto.Socket(client);

    public bool WantsToWrite => client != 0 && LibMosquitto.WantsToWrite(client);

    /// <summary>Begins to connect; false when that failed at once.</summary>
    public bool TryConnect(string authority)
    {
        LoadTarget target = fleet.Target;
        string id = target.Id(index);
        IsSettled = false;
        client = LibMosquitto.New(id, cleanSession: true, index + 1); // 0 would mean: none given.
        _ = LibMosquitto.SetTls(client, authority, 0, 0, 0, 0);
        _ = LibMosquitto.SetOption(client, LibMosquitto.OptionNoDelay, 1);
        _ = LibMosquitto.SetUnderWayMax(client, UnderWayMax);
        LibMosquitto.OnConnect(client, &MosquittoFleet.OnConnect);
        LibMosquitto.OnPublish(client, &MosquittoFleet.OnPublish);
        if (target.TokenOf(index, DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 3600) is { } token)
        {
            _ = LibMosquitto.SetUser(client, $"{target.HostName}/{id}/?api-version=2021-04-12", token);
        }

        if (LibMosquitto.Connect(client, "localhost", target.Remote.Port, KeepAliveSeconds) != LibMosquitto.Success)
        {
            Settle(isOpen: false);
            return false;
        }

        return true;
    }

    /// <summary>Says goodbye and gives everything back.</summary>
    public void Leave()
    {
        if (client != 0)
        {
            _ = LibMosquitto.Disconnect(client);
            LibMosquitto.Destroy(client);
            client = 0;
            IsOpen = false;
            IsSettled = true;
        }
    }

    /// <summary>The socket can be read or written.</summary>
    public void OnReady(bool canRead)
    {
        int result = canRead ? LibMosquitto.Read(client, 1000) : LibMosquitto.Success;
        if (result == LibMosquitto.Success && LibMosquitto.WantsToWrite(client))
        {
            result = LibMosquitto.Write(client, 1000);
        }

        if (result != LibMosquitto.Success)
        {
            Settle(isOpen: false);
        }
    }

    public void OnConnack(int code) => Settle(code == 0);

    public void OnAcknowledged()
    {
        Acknowledged++;
        if (batchLeft > 0 && --batchLeft > 0)
        {
            return;
        }

        fleet.Acknowledgements.Add(unchecked(fleet.NowMicros - momentMicros));
        if (fleet.IsPumping)
        {
            Pump(fleet.Batch);
        }
    }

    /// <summary>Sends a batch; the next one when it is acknowledged.</summary>
    public void Pump(int batch)
    {
        batchLeft = batch;
        momentMicros = fleet.NowMicros;
        for (int count = 0; count < batch; count++)
        {
            Publish();
        }
    }

    /// <summary>Sends one message; false while the one before waits for its acknowledgement.</summary>
    public bool TrySend(int sent)
    {
        if (!IsOpen || sent != Acknowledged)
        {
            return false;
        }

        momentMicros = fleet.NowMicros;
        Publish();
        return true;
    }

    private void Publish()
    {
        fixed (byte* name = topic)
        {
            byte* payload = stackalloc byte[2];
            (payload[0], payload[1]) = ((byte)'{', (byte)'}');
            _ = LibMosquitto.Publish(client, null, name, 2, payload, 1, retain: false);
        }
    }

    private void Settle(bool isOpen)
    {
        IsOpen = isOpen;
        IsSettled = true;
    }
}
