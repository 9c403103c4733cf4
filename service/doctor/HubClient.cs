using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Agent.Service.Doctor;

/// <summary>An HTTPS client of one hub: no redirects, no cookies, answers of a bounded length.</summary>
internal static class HubClient
{
    private const int BodyBytesMax = 1 << 20;

    /// <param name="host">The hub.</param>
    /// <param name="port">443 in the cloud; a local hub's is another.</param>
    /// <param name="roots">Trusted instead of the system's; null = the system's.</param>
    /// <param name="within">How long an answer may take.</param>
    public static HttpClient Create(string host, int port, X509Certificate2Collection? roots, TimeSpan within)
    {
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = within };
        if (roots is not null)
        {
            var policy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
            };
            policy.CustomTrustStore.AddRange(roots);
            handler.SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = policy };
        }

        return new HttpClient(handler)
        {
            BaseAddress = new UriBuilder("https", host, port).Uri,
            Timeout = within,
            MaxResponseContentBufferSize = BodyBytesMax,
        };
    }
}
