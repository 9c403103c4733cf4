using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class HubDataTests
{
    [Fact]
    public void Later_starts_read_what_the_first_one_made()
    {
        using var folder = new HubFolder();
        string[] first = Open(folder, devices: 2, out string thumbprint);
        string authority = File.ReadAllText(folder["ca.pem"]);

        Assert.Equal(first, Open(folder, devices: 1, out string again));
        Assert.Equal(thumbprint, again);
        Assert.Equal(authority, File.ReadAllText(folder["ca.pem"]));
        Assert.Equal(first, Open(folder, devices: 4, out _)[..2]);
        Assert.Equal(4, Open(folder, devices: 1, out _).Length);
    }

    [Fact]
    public void The_server_certificate_is_issued_by_the_authority_for_this_machine()
    {
        using var folder = new HubFolder();
        using HubData data = HubData.Open(folder.Path, 1);
        using X509Certificate2 authority = X509CertificateLoader.LoadCertificateFromFile(data.AuthorityPath);
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;

        Assert.True(chain.Build(data.ServerCertificate));
        Assert.All(["localhost", "127.0.0.1", "::1"], name => Assert.True(data.ServerCertificate.MatchesHostname(name)));
        Assert.Equal(256, data.ServerCertificate.GetECDsaPublicKey()!.KeySize);
        Assert.True(authority.NotAfter > DateTime.Now.AddYears(9));
    }

    [Fact]
    public void A_server_certificate_near_its_end_is_issued_anew_by_the_same_authority()
    {
        using var folder = new HubFolder();
        Open(folder, 1, out string first);
        string authority = File.ReadAllText(folder["ca.pem"]);

        using HubData later = HubData.Open(folder.Path, 1, new FixedTime(TimeProvider.System.GetUtcNow().AddDays(370)));

        Assert.NotEqual(first, later.ServerCertificate.Thumbprint);
        Assert.Equal(authority, File.ReadAllText(folder["ca.pem"]));
    }

    [Fact]
    public void Secrets_can_be_read_by_their_owner_only_and_no_private_key_has_a_pem_name()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("file modes are Unix's");
            return;
        }

        using var folder = new HubFolder();
        Open(folder, 1, out _);

        foreach (string file in Directory.EnumerateFiles(folder.Path))
        {
            string text = File.ReadAllText(file);
            bool isSecret = text.Contains("PRIVATE KEY", StringComparison.Ordinal)
                || text.Contains("primaryKey", StringComparison.Ordinal);
            Assert.True(!isSecret || File.GetUnixFileMode(file) == (UnixFileMode.UserRead | UnixFileMode.UserWrite), file);
            Assert.False(isSecret && file.EndsWith(".pem", StringComparison.Ordinal), file);
        }
    }

    [Theory]
    [InlineData("policies.json")]
    [InlineData("ca.key")]
    [InlineData("server.key")]
    [InlineData("ca.pem")]
    public void A_torn_file_is_one_line_that_names_it_and_is_left_as_it_is(string name)
    {
        using var folder = new HubFolder();
        Open(folder, 1, out _);
        byte[] whole = File.ReadAllBytes(folder[name]);
        for (int length = 0; length < whole.Length - 1; length += 1 + (whole.Length / 40))
        {
            File.WriteAllBytes(folder[name], whole[..length]);
            var problem = Assert.Throws<HubDataException>(() => HubData.Open(folder.Path, 1));
            Assert.StartsWith(folder[name] + ": ", problem.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', problem.Message);
            Assert.Equal(length, new FileInfo(folder[name]).Length);
        }
    }

    [Fact]
    public void Damage_in_the_registry_is_found_and_never_quoted()
    {
        using var folder = new HubFolder();
        Open(folder, 2, out _);
        byte[] whole = File.ReadAllBytes(folder["policies.json"]);
        foreach (byte[] damaged in Damage.MutationsOf(whole, seed: 6, count: 500))
        {
            File.WriteAllBytes(folder["policies.json"], damaged);
            Exception? exception = Record.Exception(() => HubData.Open(folder.Path, 1).Dispose());
            Assert.True(exception is null or HubDataException, exception?.ToString());
        }
    }

    [Fact]
    public void Two_hubs_do_not_share_a_folder()
    {
        using var folder = new HubFolder();
        using HubData first = HubData.Open(folder.Path, 1);

        var problem = Assert.Throws<HubDataException>(() => HubData.Open(folder.Path, 1));
        Assert.Contains("in use", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_start_that_was_cut_off_anywhere_is_completed_by_the_next_one()
    {
        using var whole = new HubFolder();
        Open(whole, 1, out _);
        foreach (string[] kept in new string[][] { ["ca.key"], ["ca.key", "ca.pem"], ["ca.key", "ca.pem", "server.key"] })
        {
            using var folder = new HubFolder();
            Array.ForEach(kept, name => File.Copy(whole[name], folder[name]));
            File.WriteAllText(folder["policies.json.tmp"], "{");
            Assert.Single(Open(folder, 1, out _));
            Assert.Equal(File.ReadAllText(whole["ca.pem"]), File.ReadAllText(folder["ca.pem"]));
        }
    }

    [Fact]
    public void Devices_are_found_by_their_bytes_and_ids_are_case_sensitive()
    {
        var registry = new Registry("localhost");
        registry.AddNumbered(3);

        Assert.True(registry.TryFind("device-0002"u8, out Device? device));
        Assert.Equal((1, "device-0002"), (device.Index, device.Id));
        Assert.False(registry.TryFind("Device-0002"u8, out _));
        Assert.False(registry.TryFind("device-\u00e4"u8, out _));
        Assert.False(registry.TryFind(RandomNumberGenerator.GetBytes(500), out _));
    }

    private static string[] Open(HubFolder folder, int devices, out string thumbprint)
    {
        using HubData data = HubData.Open(folder.Path, devices);
        thumbprint = data.ServerCertificate.Thumbprint;
        return [.. data.Registry.Devices.Select(data.Registry.ConnectionStringOf)];
    }

    private sealed class FixedTime(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now;
    }
}
