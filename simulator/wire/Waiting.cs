namespace Agent.Wire;

/// <summary>Sessions that have not said CONNECT yet, oldest first.</summary>
internal sealed class Waiting
{
    private readonly LinkedList<ServerSession> sessions = new();

    public void Add(ServerSession session)
    {
        lock (sessions)
        {
            sessions.AddLast(session);
        }
    }

    /// <summary>
    /// Ends sessions opened at or before <paramref name="openedMsMax"/> that still wait, and forgets on the way
    /// those that no longer do. With <paramref name="anyStage"/> false only those in their handshake are ended.
    /// </summary>
    public void EndLate(long openedMsMax, SessionEnd end, bool anyStage)
    {
        List<ServerSession>? late = null;
        lock (sessions)
        {
            for (LinkedListNode<ServerSession>? node = sessions.First; node is not null;)
            {
                ServerSession session = node.Value;
                LinkedListNode<ServerSession>? next = node.Next;
                bool settled = session.ConnectSeen || !session.IsOpen;
                bool isLate = session.OpenedMs <= openedMsMax;
                if (!settled && !isLate)
                {
                    break;
                }

                if (settled)
                {
                    sessions.Remove(node);
                }
                else if (anyStage || !session.IsSecured)
                {
                    sessions.Remove(node);
                    (late ??= []).Add(session);
                }

                node = next;
            }
        }

        foreach (ServerSession session in late ?? [])
        {
            session.Close(end);
        }
    }
}
