namespace Agent.Wire;

/// <summary>Sessions that have not said CONNECT yet, oldest first: the time allowed is the same for all.</summary>
internal sealed class Waiting
{
    private readonly LinkedList<ServerSession> sessions = new();

    public void Add(ServerSession session)
    {
        lock (sessions)
        {
            session.Wait = sessions.AddLast(session);
        }
    }

    /// <summary>Forgets a session that is over, whatever became of it.</summary>
    public void Remove(ServerSession session)
    {
        lock (sessions)
        {
            if (session.Wait is { List: not null } node)
            {
                sessions.Remove(node);
            }
        }
    }

    /// <summary>
    /// Ends sessions opened at or before <paramref name="openedMsMax"/> that still wait, and forgets on the way those that no
    /// longer do.
    /// </summary>
    public void EndLate(long openedMsMax)
    {
        List<ServerSession>? late = null;
        lock (sessions)
        {
            for (LinkedListNode<ServerSession>? node = sessions.First; node is not null;)
            {
                ServerSession session = node.Value;
                LinkedListNode<ServerSession>? next = node.Next;
                bool settled = session.ConnectSeen || !session.IsOpen;
                if (!settled && session.OpenedMs > openedMsMax)
                {
                    break;
                }

                sessions.Remove(node);
                if (!settled)
                {
                    (late ??= []).Add(session);
                }

                node = next;
            }
        }

        foreach (ServerSession session in late ?? [])
        {
            session.Close(SessionEnd.ConnectTimeout);
        }
    }
}
