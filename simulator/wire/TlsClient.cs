using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Agent.Wire.Native;

namespace Agent.Wire;

// With a given root, a chain policy of custom trust, no revocation check and no downloads is handed to the TLS layer:
// against a bare validation callback this saves 250 to 600 us of CPU a connection, because otherwise a chain against
// the system's store is built first (facts/limits.md A2). One instance is shared by all connections to a server, which
// is also what lets sessions resume.

/// <summary>How a client checks its server. Share one instance among connections.</summary>
public sealed class TlsClient
{
    /// <param name="targetHost">The name the certificate must carry.</param>
    /// <param name="roots">Roots to trust instead of the system's; null = the system's.</param>
    /// <param name="protocols">Versions allowed, TLS 1.2 and 1.3 by default.</param>
    /// <param name="allowResume">Whether a later connection may resume an earlier session, saving most of the work.</param>
    /// <param name="engine">Who does the work.</param>
    /// <exception cref="TlsEngineException">The engine is not to be had here.</exception>
    public TlsClient(
        string targetHost, X509Certificate2Collection? roots = null,
        SslProtocols protocols = SslProtocols.Tls12 | SslProtocols.Tls13, bool allowResume = false,
        TlsEngine engine = TlsEngine.Portable)
    {
        TargetHost = targetHost;
        if (engine == TlsEngine.Native)
        {
            TlsEngines.Demand(TlsEngine.Native);
            NativeContext = SslContext.ForClient(targetHost, roots, protocols, allowResume);
        }

        Options = new SslClientAuthenticationOptions
        {
            TargetHost = targetHost,
            EnabledSslProtocols = protocols,
            AllowTlsResume = allowResume,
            AllowRenegotiation = false,
            RemoteCertificateValidationCallback = CheckedTlsStream.Check,
            CertificateChainPolicy = roots is null ? null : PolicyFor(roots),
        };
    }

    /// <summary>The name the certificate must carry.</summary>
    public string TargetHost { get; }

    /// <summary>For the portable engine.</summary>
    internal SslClientAuthenticationOptions Options { get; }

    /// <summary>For the native engine; null = the portable one dials.</summary>
    internal SslContext? NativeContext { get; }

    private static X509ChainPolicy PolicyFor(X509Certificate2Collection roots)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(roots);
        return policy;
    }
}
