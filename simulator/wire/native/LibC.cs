using System.Net;
using System.Runtime.InteropServices;

namespace Agent.Wire.Native;

/// <summary>What is used of Linux's C library: sockets that never block, and waiting for many of them at once.</summary>
internal static unsafe partial class LibC
{
    public const int SocketStream = 1;
    public const int SocketNonBlocking = 0x800;
    public const int SocketCloseOnExec = 0x80000;
    public const int FamilyIp4 = 2;
    public const int FamilyIp6 = 10;

    public const int LevelIp = 0;
    public const int IpBindAddressNoPort = 24;
    public const int LevelSocket = 1;
    public const int SocketError = 4;
    public const int SocketLinger = 13;
    public const int LevelTcp = 6;
    public const int TcpNoDelay = 1;

    public const int MessageNoSignal = 0x4000;
    public const int MessageMore = 0x8000;
    public const int ShutSend = 1;
    public const nuint BytesToRead = 0x541B;
    public const nuint NonBlocking = 0x5421;

    public const int TryAgain = 11;
    public const int Interrupted = 4;
    public const int BrokenPipe = 32;
    public const int AddressInUse = 98;
    public const int AddressNotAvailable = 99;
    public const int NetworkUnreachable = 101;
    public const int Aborted = 103;
    public const int Reset = 104;
    public const int TimedOut = 110;
    public const int Refused = 111;
    public const int HostUnreachable = 113;
    public const int InProgress = 115;
    public const int TooManyFiles = 24;
    public const int TooManyFilesInSystem = 23;

    /// <summary>Of a sockaddr_in6, the longer one.</summary>
    public const int SocketAddressBytesMax = 28;

    public const int EpollAdd = 1;
    public const int EpollModify = 3;
    public const uint EpollIn = 0x1;
    public const uint EpollOut = 0x4;
    public const uint EpollHangUp = 0x10;
    public const uint EpollEdge = 1u << 31;

    private const string C = "libc";

    /// <summary>An epoll_event: 4 bytes of flags and 8 of data, packed on x86-64 and only there.</summary>
    public static int EventBytes { get; } = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    /// <summary>Where the data begins in it.</summary>
    public static int EventDataAt => EventBytes - 8;

    /// <summary>Has the next close of the socket send a reset: nothing of it lingers here.</summary>
    public static void CloseWillReset(int socket)
    {
        int* linger = stackalloc int[] { 1, 0 }; // on, and no seconds of it
        _ = SetOption(socket, LevelSocket, SocketLinger, linger, 2 * sizeof(int));
    }

    /// <summary>The address in a sockaddr_in or sockaddr_in6.</summary>
    public static IPEndPoint EndPointOf(byte* name)
    {
        int port = (name[2] << 8) | name[3];
        return *(ushort*)name == FamilyIp4
            ? new IPEndPoint(new IPAddress(new ReadOnlySpan<byte>(name + 4, 4)), port)
            : new IPEndPoint(new IPAddress(new ReadOnlySpan<byte>(name + 8, 16)), port);
    }

    [LibraryImport(C, EntryPoint = "accept4", SetLastError = true)]
    public static partial int Accept(SafeHandle listener, byte* address, uint* length, int flags);

    [LibraryImport(C, EntryPoint = "socket", SetLastError = true)]
    public static partial int Socket(int family, int type, int protocol);

    [LibraryImport(C, EntryPoint = "bind", SetLastError = true)]
    public static partial int Bind(int socket, byte* address, uint length);

    [LibraryImport(C, EntryPoint = "connect", SetLastError = true)]
    public static partial int Connect(int socket, byte* address, uint length);

    [LibraryImport(C, EntryPoint = "getsockname", SetLastError = true)]
    public static partial int LocalName(int socket, byte* address, uint* length);

    [LibraryImport(C, EntryPoint = "setsockopt", SetLastError = true)]
    public static partial int SetOption(int socket, int level, int option, int* value, uint length);

    [LibraryImport(C, EntryPoint = "getsockopt", SetLastError = true)]
    public static partial int GetOption(int socket, int level, int option, int* value, uint* length);

    [LibraryImport(C, EntryPoint = "ioctl", SetLastError = true)]
    public static partial int Control(int socket, nuint request, int* value);

    [LibraryImport(C, EntryPoint = "recv", SetLastError = true)]
    public static partial nint Receive(int socket, byte* buffer, nuint count, int flags);

    [LibraryImport(C, EntryPoint = "send", SetLastError = true)]
    public static partial nint Send(int socket, byte* buffer, nuint count, int flags);

    [LibraryImport(C, EntryPoint = "shutdown", SetLastError = true)]
    public static partial int Shutdown(int socket, int how);

    [LibraryImport(C, EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int file);

    [LibraryImport(C, EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(int file, byte* buffer, nuint count);

    [LibraryImport(C, EntryPoint = "eventfd", SetLastError = true)]
    public static partial int EventFile(uint initial, int flags);

    [LibraryImport(C, EntryPoint = "epoll_create1", SetLastError = true)]
    public static partial int EpollCreate(int flags);

    [LibraryImport(C, EntryPoint = "epoll_ctl", SetLastError = true)]
    public static partial int EpollControl(int epoll, int operation, int file, byte* change);

    [LibraryImport(C, EntryPoint = "epoll_wait", SetLastError = true)]
    public static partial int EpollWait(int epoll, byte* events, int countMax, int timeoutMs);

    /// <summary>The error of this thread's last call.</summary>
    public static int LastError => Marshal.GetLastPInvokeError();
}
