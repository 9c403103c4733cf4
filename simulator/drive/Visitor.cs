using Agent.Wire;

namespace Agent.Drive;

/// <summary>A client that only looks whether somebody is there: it says nothing and wants nothing.</summary>
internal sealed class Visitor : IClientHandler
{
    public void OnConnack(ClientSession session, byte code, bool sessionPresent)
    {
        // Not asked for.
    }

    public void OnSuback(ClientSession session, in SubackPacket packet)
    {
        // Not asked for.
    }

    public void OnUnsuback(ClientSession session, ushort packetId)
    {
        // Not asked for.
    }

    public void OnPublish(ClientSession session, in PublishPacket packet)
    {
        // Not asked for.
    }

    public void OnPuback(ClientSession session, ushort packetId)
    {
        // Not asked for.
    }

    public void OnPingresp(ClientSession session)
    {
        // Not asked for.
    }

    public void OnClosed(ClientSession session, SessionEnd end)
    {
        // It had nothing to lose.
    }
}
