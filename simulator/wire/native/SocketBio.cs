using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Agent.Wire.Native;

// OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE where a peer has gone, and its errno is lost on the way up
// through libssl. This one sends with MSG_NOSIGNAL and keeps what the system said. It owns nothing: the socket is the link's.

/// <summary>The way from an SSL object to a socket that never blocks.</summary>
internal static unsafe class SocketBio
{
    /// <summary>In place of an error number: the peer's FIN.</summary>
    public const int EndOfStream = -1;

    private const int TypeSourceSink = 0x400;
    private const int TypeDescriptor = 0x100;
    private const int ControlFlush = 11;
    private const int FlagRead = 1;
    private const int FlagWrite = 2;
    private const int FlagRetry = 8;
    private const int FlagsOfRetry = 15;

    private static readonly nint Method = MakeMethod();

    [ThreadStatic]
    private static int lastError;

    [ThreadStatic]
    private static bool moreFollows;

    [ThreadStatic]
    private static bool hasHeldBack;

    /// <summary>What this thread's last failing read or write met: an error number, <see cref="EndOfStream"/>, or 0.</summary>
    public static int LastError
    {
        get => lastError;
        set => lastError = value;
    }

    /// <summary>
    /// Whether what this thread sends may wait in the system for what follows (MSG_MORE): the last message of a handshake and the
    /// first packet are then one segment, one wake-up of the peer and one read.
    /// </summary>
    public static bool MoreFollows
    {
        get => moreFollows;
        set => moreFollows = value;
    }

    /// <summary>
    /// Whether something sent since the last call waits in the system; it must be followed soon, or pushed with <see cref="Push"/>.
    /// </summary>
    public static bool TakeHeldBack()
    {
        bool taken = hasHeldBack;
        hasHeldBack = false;
        return taken;
    }

    /// <summary>Sends what waits in the system.</summary>
    public static void Push(int socket)
    {
        int on = 1;
        _ = LibC.SetOption(socket, LibC.LevelTcp, LibC.TcpNoDelay, &on, sizeof(int)); // Set once more, it pushes (tcp(7)).
    }

    /// <summary>A BIO over a socket; whoever gets it frees it.</summary>
    public static nint Over(int socket)
    {
        nint bio = LibSsl.BioNew(Method);
        if (bio == 0)
        {
            throw new OutOfMemoryException("OpenSSL has no memory for another connection");
        }

        LibSsl.BioSetData(bio, socket);
        LibSsl.BioSetReady(bio, 1);
        return bio;
    }

    private static nint MakeMethod()
    {
        nint method = LibSsl.BioMethodNew(LibSsl.BioNewIndex() | TypeSourceSink | TypeDescriptor, "quiet socket");
        _ = LibSsl.BioMethodRead(method, &Read);
        _ = LibSsl.BioMethodWrite(method, &Write);
        _ = LibSsl.BioMethodControl(method, &Control);
        return method;
    }

    [UnmanagedCallersOnly]
    private static int Read(nint bio, byte* buffer, int count)
    {
        LibSsl.BioClearFlags(bio, FlagsOfRetry);
        nint got = LibC.Receive((int)LibSsl.BioData(bio), buffer, (nuint)count, 0);
        if (got > 0)
        {
            return (int)got;
        }

        lastError = got == 0 ? EndOfStream : LibC.LastError;
        if (MeansLater(lastError))
        {
            LibSsl.BioSetFlags(bio, FlagRead | FlagRetry);
        }

        return (int)got;
    }

    [UnmanagedCallersOnly]
    private static int Write(nint bio, byte* buffer, int count)
    {
        LibSsl.BioClearFlags(bio, FlagsOfRetry);
        int flags = moreFollows ? LibC.MessageNoSignal | LibC.MessageMore : LibC.MessageNoSignal;
        nint sent = LibC.Send((int)LibSsl.BioData(bio), buffer, (nuint)count, flags);
        if (sent >= 0)
        {
            hasHeldBack |= moreFollows;
            return (int)sent;
        }

        lastError = LibC.LastError;
        if (MeansLater(lastError))
        {
            LibSsl.BioSetFlags(bio, FlagWrite | FlagRetry);
        }

        return -1;
    }

    [UnmanagedCallersOnly]
    private static CLong Control(nint bio, int command, CLong number, nint pointer) =>
        new(command == ControlFlush ? 1 : 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool MeansLater(int error) => error is LibC.TryAgain or LibC.Interrupted;
}
