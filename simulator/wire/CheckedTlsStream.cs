using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Agent.Wire;

/// <summary>An SslStream that remembers what was wrong with the server's certificate, so that it can be named.</summary>
internal sealed class CheckedTlsStream(Stream inner) : SslStream(inner, leaveInnerStreamOpen: true)
{
    /// <summary>What the check found; null = nothing wrong, or the handshake failed before it.</summary>
    public LinkFault? CertificateFault { get; private set; }

    /// <summary>The validation callback: the platform's verdict stands, it is only written down.</summary>
    public static bool Check(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (errors == SslPolicyErrors.None)
        {
            return true;
        }

        ((CheckedTlsStream)sender).CertificateFault = Name(chain, errors);
        return false;
    }

    private static LinkFault Name(X509Chain? chain, SslPolicyErrors errors)
    {
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateNotAvailable))
        {
            return LinkFault.TlsBadCertificate;
        }

        if (!errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors))
        {
            return LinkFault.TlsNameMismatch;
        }

        X509ChainStatusFlags flags = X509ChainStatusFlags.NoError;
        foreach (X509ChainStatus status in chain?.ChainStatus ?? [])
        {
            flags |= status.Status;
        }

        // A trusted root of the same name but another key, as after an authority was made anew, shows as a bad signature.
        const X509ChainStatusFlags untrusted = X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain
            | X509ChainStatusFlags.NotSignatureValid;
        if ((flags & untrusted) != 0)
        {
            return LinkFault.TlsUntrustedRoot;
        }

        return flags.HasFlag(X509ChainStatusFlags.NotTimeValid) ? LinkFault.TlsExpired : LinkFault.TlsBadCertificate;
    }
}
