namespace Agent.Wire.Native;

/// <summary>One attempt to connect and secure: what it needs, and who waits for its end.</summary>
internal sealed class NativeDial(string name, byte[] remote, byte[]? local, bool continuesInline)
{
    private readonly TaskCompletionSource ended = new(
        continuesInline ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Host and port, for messages.</summary>
    public string Name => name;

    /// <summary>The server's address as the system has it (a sockaddr).</summary>
    public byte[] Remote => remote;

    /// <summary>The address to speak from; null = the system chooses.</summary>
    public byte[]? Local => local;

    /// <summary>Completes when the connection is secured; fails with a SocketException before TCP is up, a LinkException after.</summary>
    public Task Ended => ended.Task;

    public void Succeed() => ended.TrySetResult();

    public void Fail(Exception fault) => ended.TrySetException(fault);

    public void Cancel() => ended.TrySetCanceled(CancellationToken.None);
}
