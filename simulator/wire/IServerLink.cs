namespace Agent.Wire;

/// <summary>What a server asks of an accepted connection, whichever engine carries it.</summary>
internal interface IServerLink : ITransport
{
    /// <summary>Whether we wait for the peer and nothing of its is in the kernel either. Asked from any thread.</summary>
    bool PeerOwesUs { get; }

    /// <summary>Whether to keep up <see cref="PeerOwesUs"/>, which costs a little.</summary>
    bool WatchesPeer { set; }

    /// <summary>Secures, reads and feeds until the session has ended and the socket is closed. Returns at once, never throws.</summary>
    /// <param name="whenOver">Called once, at the end, from any thread.</param>
    void Serve(Action<ServerSession> whenOver);
}
