using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using Agent.Wire.Native;

namespace Agent.Wire;

/// <summary>Opens client connections on either engine and gives every failure a name.</summary>
internal static class Dialer
{
    private const int IpBindAddressNoPort = 24;

    public static async Task<ClientSession> DialAsync(
        EndPoint remote, ClientOptions options, ClientSession session, CancellationToken cancellation)
    {
        using var deadline = new CancellationTokenSource(options.DialTimeout, options.Time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellation);
        if (options.Tls is { NativeContext: { } context })
        {
            var native = new NativeLink(-1, session, context, options.Limits.CloseLinger, options.Time);
            await DialNativeAsync(native, remote, options, both.Token, cancellation).ConfigureAwait(false);
            return session;
        }

        Socket socket = await ConnectAsync(
            remote, options, candidate => ConnectOneAsync(candidate, options, both.Token), both.Token, cancellation)
            .ConfigureAwait(false);
        var link = new PortableLink(socket, session, options.Limits.CloseLinger, options.Time);
        if (options.Tls is { } tls)
        {
            await SecureAsync(link, tls, Name(remote), both.Token, cancellation).ConfigureAwait(false);
        }

        session.LocalEndPoint = socket.LocalEndPoint as IPEndPoint;
        _ = link.RunAsync();
        return session;
    }

    private static async Task DialNativeAsync(
        NativeLink link, EndPoint remote, ClientOptions options, CancellationToken deadline, CancellationToken cancellation)
    {
        try
        {
            await ConnectAsync(
                remote,
                options,
                async candidate =>
                {
                    await link.DialAsync(candidate, options, Name(remote), deadline).ConfigureAwait(false);
                    return link;
                },
                deadline,
                cancellation).ConfigureAwait(false);
        }
        catch (LinkException late) when (late.Fault == LinkFault.TlsTimedOut && cancellation.IsCancellationRequested)
        {
            throw new OperationCanceledException(late.Message, late, cancellation);
        }
    }

    /// <summary>
    /// Resolves and tries each address on a fresh socket: one socket cannot be tried twice once raw options are set.
    /// </summary>
    private static async Task<T> ConnectAsync<T>(
        EndPoint remote, ClientOptions options, Func<IPEndPoint, Task<T>> connect, CancellationToken deadline,
        CancellationToken cancellation)
    {
        LinkFault late = remote is DnsEndPoint ? LinkFault.DnsFailed : LinkFault.TcpTimedOut;
        try
        {
            IPEndPoint[] candidates = await ResolveAsync(remote, options, deadline).ConfigureAwait(false);
            late = LinkFault.TcpTimedOut;
            for (int last = candidates.Length - 1, at = 0; ; at++)
            {
                try
                {
                    return await connect(candidates[at]).ConfigureAwait(false);
                }
                catch (SocketException) when (at < last)
                {
                    // The next address may answer; the last one's failure is the one reported.
                }
            }
        }
        catch (SocketException failed)
        {
            throw new LinkException(FaultFor(failed.SocketErrorCode), Name(remote), failed);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new LinkException(late, Name(remote));
        }
    }

    private static async Task<IPEndPoint[]> ResolveAsync(
        EndPoint remote, ClientOptions options, CancellationToken deadline)
    {
        if (remote is not DnsEndPoint name)
        {
            return [(IPEndPoint)remote];
        }

        AddressFamily family = options.LocalAddress?.AddressFamily ?? AddressFamily.Unspecified;
        IPAddress[] addresses = await Dns.GetHostAddressesAsync(name.Host, family, deadline).ConfigureAwait(false);
        return addresses.Length > 0
            ? [.. addresses.Select(address => new IPEndPoint(address, name.Port))]
            : throw new SocketException((int)SocketError.NoData);
    }

    private static async Task<Socket> ConnectOneAsync(
        IPEndPoint remote, ClientOptions options, CancellationToken deadline)
    {
        var socket = new Socket(remote.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (FileLimit.IsScarce(socket))
            {
                throw new SocketException((int)SocketError.TooManyOpenSockets);
            }

            socket.NoDelay = true;
            if (options.LocalAddress is { } local)
            {
                BindTo(socket, local);
            }

            await socket.ConnectAsync(remote, deadline).ConfigureAwait(false);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static void BindTo(Socket socket, IPAddress local)
    {
        if (OperatingSystem.IsLinux() && local.AddressFamily == AddressFamily.InterNetwork)
        {
            // The port is then chosen at connect, per destination: without it, one bind uses a port up for all.
            socket.SetRawSocketOption(0, IpBindAddressNoPort, BitConverter.GetBytes(1));
        }

        socket.Bind(new IPEndPoint(local, 0));
    }

    private static async Task SecureAsync(
        PortableLink link, TlsClient tls, string remote, CancellationToken deadline, CancellationToken cancellation)
    {
        CheckedTlsStream stream = link.NewClientTls();
        try
        {
            await link.SecureAsClientAsync(stream, tls.Options, deadline).ConfigureAwait(false);
        }
        catch (Exception failed)
        {
            link.Drop();
            await stream.DisposeAsync().ConfigureAwait(false);
            if (failed is OperationCanceledException && cancellation.IsCancellationRequested)
            {
                throw;
            }

            bool expected = failed is AuthenticationException or IOException or SocketException
                or OperationCanceledException;
            LinkFault fault = stream.CertificateFault
                ?? (failed is OperationCanceledException ? LinkFault.TlsTimedOut : LinkFault.TlsFailed);
            throw expected ? new LinkException(fault, remote, failed) : new LinkException(LinkFault.TlsFailed, remote, failed);
        }
    }

    private static LinkFault FaultFor(SocketError error) => error switch
    {
        SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain or SocketError.NoRecovery
            => LinkFault.DnsFailed,
        SocketError.ConnectionRefused => LinkFault.TcpRefused,
        SocketError.TimedOut => LinkFault.TcpTimedOut,
        SocketError.HostUnreachable or SocketError.NetworkUnreachable or SocketError.NetworkDown
            or SocketError.HostDown => LinkFault.TcpUnreachable,
        SocketError.AddressNotAvailable or SocketError.AddressAlreadyInUse => LinkFault.LocalAddressUnavailable,
        SocketError.TooManyOpenSockets => LinkFault.TooManyOpenFiles,
        _ => LinkFault.TcpFailed,
    };

    private static string Name(EndPoint remote) =>
        remote is DnsEndPoint name ? $"{name.Host}:{name.Port}" : remote.ToString()!;
}
