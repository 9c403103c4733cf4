namespace Agent.Wire;

/// <summary>
/// The seam between a session (the protocol, no I/O) and the engine that moves its bytes. An engine reads, calls
/// <see cref="Session.Feed"/> with what came, writes what <see cref="Session.TakeOutbound"/> gives, reports the
/// peer's end with <see cref="Session.OnPeerClosed"/> or <see cref="Session.OnFailed"/>, and when the session is no
/// longer open stops reading, calls <see cref="Session.Finish"/> once, and closes the connection.
/// </summary>
public interface ITransport
{
    /// <summary>
    /// Bytes wait in the session: take and write them until <see cref="Session.TakeOutbound"/> says there are none.
    /// Called on any thread, never while an earlier write loop runs, and must not block.
    /// </summary>
    void RequestWrite();

    /// <summary>
    /// The session ended outside <see cref="Session.Feed"/>: wake the reader, so that it can finish. Called on any
    /// thread, a second time when a reset hurries a close under way, and must not block.
    /// </summary>
    void RequestEnd();
}
