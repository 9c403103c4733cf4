using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Agent.Wire.Native;

namespace Agent.Wire;

/// <summary>A server's certificate and the TLS versions it speaks.</summary>
public sealed class TlsServer
{
    /// <param name="certificate">The server's certificate with its private key.</param>
    /// <param name="intermediates">Certificates between it and the root, sent along; may be null.</param>
    /// <param name="protocols">Versions allowed, TLS 1.2 and 1.3 by default.</param>
    /// <param name="allowResume">Whether clients may resume earlier sessions.</param>
    /// <param name="engine">Who does the work.</param>
    public TlsServer(
        X509Certificate2 certificate, X509Certificate2Collection? intermediates = null,
        SslProtocols protocols = SslProtocols.Tls12 | SslProtocols.Tls13, bool allowResume = true,
        TlsEngine engine = TlsEngine.Portable)
        : this(SslStreamCertificateContext.Create(certificate, intermediates, offline: true), protocols, allowResume, engine)
    {
    }

    /// <inheritdoc cref="TlsServer(X509Certificate2, X509Certificate2Collection?, SslProtocols, bool, TlsEngine)"/>
    public TlsServer(
        SslStreamCertificateContext certificate, SslProtocols protocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        bool allowResume = true, TlsEngine engine = TlsEngine.Portable)
    {
        if (engine == TlsEngine.Native)
        {
            TlsEngines.Demand(TlsEngine.Native);
            NativeContext = SslContext.ForServer(certificate, protocols, allowResume);
        }

        Options = new SslServerAuthenticationOptions
        {
            ServerCertificateContext = certificate,
            EnabledSslProtocols = protocols,
            AllowTlsResume = allowResume,
            AllowRenegotiation = false,
            ClientCertificateRequired = false,
        };
    }

    /// <summary>For the portable engine.</summary>
    internal SslServerAuthenticationOptions Options { get; }

    /// <summary>For the native engine; null = the portable one serves.</summary>
    internal SslContext? NativeContext { get; }
}
