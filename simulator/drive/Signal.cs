using Agent.Wire;

namespace Agent.Drive;

/// <summary>What a socket reports to the loop that owns its device.</summary>
internal enum SignalKind : byte
{
    TransportUp,
    DialFailed,
    Connack,
    Puback,
    Pingresp,
    Received,
    Closed,
}

/// <summary>One report: whose, about which of its connections, what.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Local">The device.</param>
/// <param name="Link">Low 16 bits of the connection's number.</param>
/// <param name="Code">CONNACK code, <see cref="SessionEnd"/> or <see cref="LinkFault"/>.</param>
/// <param name="SessionPresent">As in CONNACK.</param>
/// <param name="Session">The connection, where the loop does not have it yet.</param>
internal readonly record struct Signal(
    SignalKind Kind, int Local, ushort Link, byte Code = 0, bool SessionPresent = false, ClientSession? Session = null);

/// <summary>The callbacks of one connection: each becomes a signal, nothing is decided here.</summary>
internal sealed class LineHandler(DriveLoop loop, int local, ushort link) : IClientHandler
{
    public void OnConnack(ClientSession session, byte code, bool sessionPresent) =>
        loop.Post(new Signal(SignalKind.Connack, local, link, code, sessionPresent));

    public void OnSuback(ClientSession session, in SubackPacket packet) => Received();

    public void OnUnsuback(ClientSession session, ushort packetId) => Received();

    public void OnPublish(ClientSession session, in PublishPacket packet)
    {
        if (packet.Qos == 1)
        {
            session.SendPuback(packet.PacketId);
        }

        Received();
    }

    public void OnPuback(ClientSession session, ushort packetId) => loop.Post(new Signal(SignalKind.Puback, local, link));

    public void OnPingresp(ClientSession session) => loop.Post(new Signal(SignalKind.Pingresp, local, link));

    public void OnClosed(ClientSession session, SessionEnd end) =>
        loop.Post(new Signal(SignalKind.Closed, local, link, (byte)end));

    private void Received() => loop.Post(new Signal(SignalKind.Received, local, link));
}
