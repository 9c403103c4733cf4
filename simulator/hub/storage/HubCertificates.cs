using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Agent.Hub;

/// <summary>The hub's own certificate authority and the server certificate it issues.</summary>
/// <remarks>
/// <c>ca.key</c> holds the authority whole (private key and certificate in one file, so that no crash can leave half of
/// it), <c>ca.pem</c> is the public copy that clients trust, <c>server.key</c> the server's pair. Elliptic curves (P-256)
/// throughout: the handshakes of a large fleet on two cores, and an ESP32's, are far cheaper than with RSA.
/// </remarks>
public static class HubCertificates
{
    private const int AuthorityYears = 10;
    private const int ServerDays = 397;
    private const int RenewBeforeDays = 30;

    /// <summary>Reads the authority, or makes it at the first start; writes <c>ca.pem</c> where it is missing.</summary>
    public static X509Certificate2 OpenAuthority(string directory, DateTimeOffset now)
    {
        string path = Path.Combine(directory, "ca.key");
        string publicPath = Path.Combine(directory, "ca.pem");
        if (!File.Exists(path))
        {
            if (File.Exists(publicPath))
            {
                throw new HubDataException($"{path}: missing while ca.pem is there (restore it, or remove both)");
            }

            using X509Certificate2 made = MakeAuthority(now);
            WritePair(path, made);
        }

        X509Certificate2 authority = ReadPair(path);
        string publicText = authority.ExportCertificatePem() + "\n";
        if (!File.Exists(publicPath))
        {
            HubFiles.WriteAtomically(publicPath, secret: false, s => s.Write(Encoding.ASCII.GetBytes(publicText)));
        }
        else if (File.ReadAllText(publicPath) != publicText)
        {
            throw new HubDataException($"{publicPath}: not the certificate in ca.key (remove it to have it written again)");
        }

        return authority;
    }

    /// <summary>Reads the server's certificate; issues it at the first start, near expiry and for new names.</summary>
    public static X509Certificate2 OpenServer(
        string directory, X509Certificate2 authority, IReadOnlyList<string> names, DateTimeOffset now)
    {
        string path = Path.Combine(directory, "server.key");
        if (File.Exists(path))
        {
            X509Certificate2 stored = ReadPair(path);
            if (stored.NotAfter.ToUniversalTime() > now.UtcDateTime.AddDays(RenewBeforeDays)
                && stored.IssuerName.RawData.AsSpan().SequenceEqual(authority.SubjectName.RawData)
                && names.All(name => stored.MatchesHostname(name)))
            {
                return stored;
            }

            stored.Dispose();
        }

        using (X509Certificate2 issued = IssueServer(authority, names, now))
        {
            WritePair(path, issued);
        }

        return ReadPair(path);
    }

    private static X509Certificate2 MakeAuthority(DateTimeOffset now)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        string mark = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(4));
        var name = new X500DistinguishedName($"CN=Local IoT Hub CA {mark}");
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, true));
        request.CertificateExtensions.Add(
            new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        return request.CreateSelfSigned(now.AddDays(-1), now.AddYears(AuthorityYears));
    }

    private static X509Certificate2 IssueServer(
        X509Certificate2 authority, IReadOnlyList<string> names, DateTimeOffset now)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={names[0]}", key, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (string name in names)
        {
            if (IPAddress.TryParse(name, out IPAddress? address))
            {
                alternatives.AddIpAddress(address);
            }
            else
            {
                alternatives.AddDnsName(name);
            }
        }

        request.CertificateExtensions.Add(alternatives.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(
            new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1", "serverAuth")], false));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        request.CertificateExtensions.Add(
            X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, true, false));

        DateTimeOffset end = now.AddDays(ServerDays);
        DateTimeOffset authorityEnd = authority.NotAfter;
        if (authorityEnd < now)
        {
            throw new HubDataException("ca.key: the certificate authority has expired; use a new --data folder");
        }

        using X509Certificate2 certificate = request.Create(
            authority, now.AddDays(-1), end < authorityEnd ? end : authorityEnd, RandomNumberGenerator.GetBytes(12));
        return certificate.CopyWithPrivateKey(key);
    }

    private static void WritePair(string path, X509Certificate2 certificate)
    {
        using ECDsa key = certificate.GetECDsaPrivateKey()!;
        byte[] text = Encoding.ASCII.GetBytes(
            key.ExportPkcs8PrivateKeyPem() + "\n" + certificate.ExportCertificatePem() + "\n");
        HubFiles.WriteAtomically(path, secret: true, stream => stream.Write(text));
        CryptographicOperations.ZeroMemory(text);
    }

    private static X509Certificate2 ReadPair(string path) => HubFiles.Read(path, "certificate and private key", file =>
    {
        string text = File.ReadAllText(file);
        return X509Certificate2.CreateFromPem(text, text);
    });
}
