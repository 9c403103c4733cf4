using System.Net;
using System.Net.Sockets;

namespace Agent.Wire.Native;

// A client's start: a socket of its own, TCP without waiting, then the same handshake as a server's link takes. What fails before
// TCP is up is a SocketException, so that the next address of a name may be tried on a fresh socket of the same link.
internal sealed partial class NativeLink
{
    private NativeDial? dial;

    /// <summary>Connects to one address and secures the connection; the session is then open and being read.</summary>
    public async Task DialAsync(IPEndPoint remote, ClientOptions options, string name, CancellationToken cancellation)
    {
        var attempt = new NativeDial(
            name,
            BytesOf(remote),
            options.LocalAddress is { } local ? BytesOf(new IPEndPoint(local, 0)) : null,
            options.ContinuesInline);
        dial = attempt;
        stage = Stage.New;
        Order(OrderBegin);
        using CancellationTokenRegistration giving = cancellation.UnsafeRegister(
            static link => ((NativeLink)link!).Order(OrderGiveUp), this);
        await attempt.Ended.ConfigureAwait(false);
    }

    private static byte[] BytesOf(IPEndPoint end)
    {
        SocketAddress address = end.Serialize();
        return address.Buffer[..address.Size].ToArray();
    }

    private unsafe void StartDial()
    {
        fixed (byte* remote = dial!.Remote)
        {
            int family = *(ushort*)remote;
            socket = LibC.Socket(family, LibC.SocketStream | LibC.SocketNonBlocking | LibC.SocketCloseOnExec, 0);
            if (socket < 0 || FileLimit.IsScarce(socket))
            {
                FailConnect(SocketError.TooManyOpenSockets);
                return;
            }

            stage = Stage.Dialling;
            int on = 1;
            _ = LibC.SetOption(socket, LibC.LevelTcp, LibC.TcpNoDelay, &on, sizeof(int));
            if (!TryBind() || (LibC.Connect(socket, remote, (uint)dial.Remote.Length) < 0 && LibC.LastError != LibC.InProgress))
            {
                FailConnect(ErrorFor(LibC.LastError));
            }
            else if (!TryStartWatching(LibC.EpollOut))
            {
                FailConnect(SocketError.SocketError);
            }
        }
    }

    private unsafe bool TryBind()
    {
        if (dial!.Local is not { } address)
        {
            return true;
        }

        // The port is then chosen at connect, per destination: without it, one bind uses a port up for all.
        int on = 1;
        _ = LibC.SetOption(socket, LibC.LevelIp, LibC.IpBindAddressNoPort, &on, sizeof(int));
        fixed (byte* local = address)
        {
            return LibC.Bind(socket, local, (uint)address.Length) == 0;
        }
    }

    /// <summary>TCP is up, or has failed.</summary>
    private unsafe void OnDialled()
    {
        int error = 0;
        uint length = sizeof(int);
        _ = LibC.GetOption(socket, LibC.LevelSocket, LibC.SocketError, &error, &length);
        if (error != 0)
        {
            FailConnect(ErrorFor(error));
            return;
        }

        stage = Stage.Handshake;
        Watch(LibC.EpollIn);
        isQueued = true;
        loop.QueueHandshake(this);
    }

    private void OnDialSecured()
    {
        NativeDial done = dial!;
        dial = null;
        var client = (ClientSession)session;
        client.LocalEndPoint = LocalEndPoint();
        client.IsResumed = LibSsl.IsResumed(ssl) != 0;
        done.Succeed();
    }

    private void GiveUpDial()
    {
        if (dial is null)
        {
            return;
        }

        if (stage == Stage.Handshake)
        {
            FailDial(LinkFault.TlsTimedOut);
            return;
        }

        NativeDial late = dial;
        dial = null;
        CloseSocket(reset: true);
        stage = Stage.New;
        late.Cancel();
    }

    private void FailConnect(SocketError error)
    {
        NativeDial failed = dial!;
        dial = null;
        CloseSocket(reset: false);
        stage = Stage.New; // Another address may be tried.
        failed.Fail(new SocketException((int)error));
    }

    private void FailDial(LinkFault fault, Exception? cause = null)
    {
        NativeDial failed = dial!;
        dial = null;
        receive.Free();
        Close(reset: true);
        failed.Fail(new LinkException(fault, failed.Name, cause));
    }

    private unsafe IPEndPoint? LocalEndPoint()
    {
        byte* name = stackalloc byte[LibC.SocketAddressBytesMax];
        uint length = LibC.SocketAddressBytesMax;
        if (LibC.LocalName(socket, name, &length) != 0)
        {
            return null;
        }

        return LibC.EndPointOf(name);
    }

    /// <summary>The numbers are X509_V_ERR_ of OpenSSL's x509_vfy.h.</summary>
    private LinkFault FaultOfHandshake() => (ssl == 0 ? 0 : LibSsl.VerifyResult(ssl)) switch
    {
        0 => LinkFault.TlsFailed,
        2 or 7 or 18 or 19 or 20 or 21 or 24 => LinkFault.TlsUntrustedRoot,
        9 or 10 => LinkFault.TlsExpired,
        62 or 64 => LinkFault.TlsNameMismatch,
        _ => LinkFault.TlsBadCertificate,
    };

    private static SocketError ErrorFor(int error) => error switch
    {
        LibC.Refused => SocketError.ConnectionRefused,
        LibC.TimedOut => SocketError.TimedOut,
        LibC.HostUnreachable => SocketError.HostUnreachable,
        LibC.NetworkUnreachable => SocketError.NetworkUnreachable,
        LibC.AddressNotAvailable => SocketError.AddressNotAvailable,
        LibC.AddressInUse => SocketError.AddressAlreadyInUse,
        LibC.TooManyFiles or LibC.TooManyFilesInSystem => SocketError.TooManyOpenSockets,
        LibC.Reset => SocketError.ConnectionReset,
        _ => SocketError.SocketError,
    };
}
