using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Runtime.InteropServices;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Agent.Wire.Native;

/// <summary>What all connections of a server, or of clients of one server, have in common: an SSL_CTX.</summary>
/// <remarks>
/// Buffers go back to OpenSSL's allocator whenever they are empty (SSL_MODE_RELEASE_BUFFERS, and SSL_free_buffers where that
/// forgets one), which .NET's SslStream cannot be told; this is most of the difference between 50 and 15 KB a connection
/// (facts/limits.md A3). Reading ahead takes a record's header and body in one call of the system instead of two. A server hands
/// out one ticket, not two: a device holds one connection. Certificates and keys are copied in through DER, not by .NET's own
/// pointers, because nothing promises that .NET and this engine have loaded the same OpenSSL.
/// </remarks>
internal sealed unsafe class SslContext : SafeHandle
{
    private const uint NoPartialWildcards = 0x4;

    private static readonly ConcurrentDictionary<nint, WeakReference<SslContext>> Resuming = new();

    private readonly Lock gate = new();
    private readonly bool isServer;
    private string? host;
    private nint session;

    private SslContext(bool isServer)
        : base(0, ownsHandle: true)
    {
        this.isServer = isServer;
        SetHandle(LibSsl.ContextNew(isServer ? LibSsl.ServerMethod() : LibSsl.ClientMethod()));
        Demand(handle != 0, "no memory");
        Demand(LibSsl.ContextControl(
            handle, LibSsl.ControlMode,
            LibSsl.ModeReleaseBuffers | LibSsl.ModePartialWrite | LibSsl.ModeMovingWriteBuffer, 0) != 0, "its modes");
        Control(LibSsl.ControlReadAhead, 1);
        LibSsl.ContextSetOptions(handle, LibSsl.OptionNoRenegotiation | LibSsl.OptionNoCompression);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>A server's.</summary>
    /// <exception cref="AuthenticationException">OpenSSL does not take the certificate or its key.</exception>
    public static SslContext ForServer(SslStreamCertificateContext certificate, SslProtocols protocols, bool allowResume)
    {
        var context = new SslContext(isServer: true);
        context.SetVersions(protocols);
        context.Use(certificate);
        context.Control(LibSsl.ControlSessionCacheMode, LibSsl.CacheOff);
        if (allowResume)
        {
            ReadOnlySpan<byte> id = "agent"u8;
            fixed (byte* start = id)
            {
                _ = LibSsl.ContextSetSessionId(context.handle, start, (uint)id.Length);
            }
        }
        else
        {
            LibSsl.ContextSetOptions(context.handle, LibSsl.OptionNoTicket);
        }

        Demand(LibSsl.ContextSetTickets(context.handle, allowResume ? 1u : 0u) == 1, "its tickets");
        return context;
    }

    /// <summary>A client's, that trusts these roots (null = the system's) to name <paramref name="host"/>.</summary>
    public static SslContext ForClient(
        string host, X509Certificate2Collection? roots, SslProtocols protocols, bool allowResume)
    {
        var context = new SslContext(isServer: false) { host = host };
        context.SetVersions(protocols);
        LibSsl.ContextSetVerify(context.handle, LibSsl.VerifyPeer, 0);
        if (roots is null)
        {
            Demand(LibSsl.ContextTrustSystem(context.handle) == 1, "the system's roots");
        }
        else
        {
            nint store = LibSsl.ContextStore(context.handle);
            foreach (X509Certificate2 root in roots)
            {
                nint certificate = Read(root);
                Demand(LibSsl.StoreAdd(store, certificate) == 1, "a root");
                LibSsl.CertificateFree(certificate);
            }
        }

        if (allowResume)
        {
            Resuming[context.handle] = new WeakReference<SslContext>(context);
            context.Control(LibSsl.ControlSessionCacheMode, LibSsl.CacheClientNoStore);
            LibSsl.ContextOnSession(context.handle, &OnSession);
        }
        else
        {
            context.Control(LibSsl.ControlSessionCacheMode, LibSsl.CacheOff);
            LibSsl.ContextSetOptions(context.handle, LibSsl.OptionNoTicket);
        }

        return context;
    }

    /// <summary>An SSL object over a socket; whoever gets it frees it with <see cref="LibSsl.Free"/>.</summary>
    public nint NewSsl(int socket)
    {
        nint ssl = NewSsl();
        nint bio = SocketBio.Over(socket);
        LibSsl.SetBio(ssl, bio, bio);
        return ssl;
    }

    /// <summary>An SSL object without a way out yet.</summary>
    public nint NewSsl()
    {
        nint ssl = LibSsl.New(handle);
        if (ssl == 0)
        {
            throw new OutOfMemoryException("OpenSSL has no memory for another connection");
        }

        if (isServer)
        {
            LibSsl.SetServer(ssl);
            return ssl;
        }

        LibSsl.SetClient(ssl);
        bool isAddress = IPAddress.TryParse(host, out _);
        int isNamed = isAddress ? LibSsl.SetAddress(LibSsl.Parameters(ssl), host!) : LibSsl.SetHost(ssl, host!);
        if (isNamed != 1)
        {
            LibSsl.Free(ssl);
            Demand(false, "the name to check the certificate against");
        }

        if (!isAddress)
        {
            LibSsl.SetHostFlags(ssl, NoPartialWildcards);
            _ = LibSsl.ControlText(ssl, LibSsl.ControlServerName, 0, host!);
        }

        lock (gate)
        {
            if (session != 0)
            {
                _ = LibSsl.SetSession(ssl, session);
            }
        }

        return ssl;
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        Resuming.TryRemove(handle, out _);
        if (session != 0)
        {
            LibSsl.SessionFree(session);
        }

        LibSsl.ContextFree(handle);
        return true;
    }

    /// <summary>The newest session a server gave out is the one later connections offer.</summary>
    [UnmanagedCallersOnly]
    private static int OnSession(nint ssl, nint given)
    {
        if (!Resuming.TryGetValue(LibSsl.ContextOf(ssl), out WeakReference<SslContext>? found)
            || !found.TryGetTarget(out SslContext? context))
        {
            return 0;
        }

        nint old;
        lock (context.gate)
        {
            old = context.session;
            context.session = given;
        }

        if (old != 0)
        {
            LibSsl.SessionFree(old);
        }

        return 1; // The reference is ours now.
    }

    private void SetVersions(SslProtocols protocols)
    {
        const int tls12 = 0x0303;
        const int tls13 = 0x0304;
        bool any = protocols == SslProtocols.None;
        bool has12 = any || protocols.HasFlag(SslProtocols.Tls12);
        bool has13 = any || protocols.HasFlag(SslProtocols.Tls13);
        Demand(has12 || has13, "TLS versions other than 1.2 and 1.3");
        Demand(Control(LibSsl.ControlMinVersion, has12 ? tls12 : tls13) == 1, "its TLS versions");
        Demand(Control(LibSsl.ControlMaxVersion, has13 ? tls13 : tls12) == 1, "its TLS versions");
    }

    private void Use(SslStreamCertificateContext certificate)
    {
        nint own = Read(certificate.TargetCertificate);
        bool taken = LibSsl.ContextUseCertificate(handle, own) == 1;
        LibSsl.CertificateFree(own);
        Demand(taken, "the server's certificate");
        foreach (X509Certificate2 between in certificate.IntermediateCertificates)
        {
            nint other = Read(between);
            bool added = LibSsl.ContextControl(handle, LibSsl.ControlChainCertificate, 1, other) == 1;
            LibSsl.CertificateFree(other);
            Demand(added, "a certificate between the server's and the root");
        }

        byte[] secret = ExportKey(certificate.TargetCertificate);
        try
        {
            fixed (byte* start = secret)
            {
                byte* at = start;
                nint key = LibSsl.ReadKey(0, &at, secret.Length);
                Demand(key != 0, "the server's key");
                taken = LibSsl.ContextUseKey(handle, key) == 1;
                LibSsl.KeyFree(key);
            }
        }
        finally
        {
            CryptographicOperations.ZeroMemory(secret);
        }

        Demand(taken && LibSsl.ContextCheckKey(handle) == 1, "the server's key");
    }

    private static byte[] ExportKey(X509Certificate2 certificate)
    {
        using AsymmetricAlgorithm? key =
            (AsymmetricAlgorithm?)certificate.GetECDsaPrivateKey() ?? certificate.GetRSAPrivateKey();
        return key?.ExportPkcs8PrivateKey()
            ?? throw new AuthenticationException("The server's certificate has no ECDSA or RSA key with it.");
    }

    private static nint Read(X509Certificate2 certificate)
    {
        ReadOnlySpan<byte> bytes = certificate.RawDataMemory.Span;
        fixed (byte* start = bytes)
        {
            byte* at = start;
            nint read = LibSsl.ReadCertificate(0, &at, bytes.Length);
            Demand(read != 0, "a certificate");
            return read;
        }
    }

    private long Control(int command, long number) => LibSsl.ContextControl(handle, command, number, 0);

    private static void Demand(bool held, string what)
    {
        if (!held)
        {
            LibSsl.ClearErrors();
            throw new AuthenticationException($"OpenSSL does not take {what}.");
        }
    }
}
