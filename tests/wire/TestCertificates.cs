using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Agent.Tests.Wire;

/// <summary>A certificate authority made for one test run, ECDSA P-256, and the server certificates it signs.</summary>
public sealed class TestCertificates
{
    private readonly X509Certificate2 _authority;

    private TestCertificates()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=wire test root", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        _authority = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-30), DateTimeOffset.UtcNow.AddDays(30));
        Roots = [X509CertificateLoader.LoadCertificate(_authority.RawData)];
        Server = Sign("localhost", DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    /// <summary>Shared by all tests: making keys is the slow part.</summary>
    public static TestCertificates Shared { get; } = new();

    /// <summary>An authority nobody else trusts.</summary>
    public static TestCertificates Stranger { get; } = new();

    public X509Certificate2Collection Roots { get; }

    /// <summary>For "localhost" and 127.0.0.1, valid now.</summary>
    public X509Certificate2 Server { get; }

    public X509Certificate2 Sign(string name, DateTimeOffset from, DateTimeOffset until)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], false));
        using X509Certificate2 bare = request.Create(_authority, from, until, RandomNumberGenerator.GetBytes(8));
        return bare.CopyWithPrivateKey(key);
    }

    /// <summary>Writes the authority where mosquitto's clients can read it; the caller deletes it.</summary>
    public string WriteAuthority()
    {
        string path = Path.Combine(Path.GetTempPath(), $"wire-test-{Guid.NewGuid():N}.crt");
        File.WriteAllText(path, _authority.ExportCertificatePem());
        return path;
    }
}
