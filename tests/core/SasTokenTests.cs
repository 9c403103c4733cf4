using System.Security.Cryptography;
using System.Text;
using Agent.Core;

namespace Agent.Tests.Core;

public sealed class SasTokenTests
{
    // KEY=$(printf 'simulated-device-key-0123456789ab' | base64)
    // printf 'myhub.azure-devices.net%%2Fdevices%%2Fdevice-1\n1500000000' | openssl dgst -sha256 -mac HMAC
    //   -macopt hexkey:$(printf %s "$KEY" | base64 -d | xxd -p -c 256) -binary | base64
    private const string Key = "c2ltdWxhdGVkLWRldmljZS1rZXktMDEyMzQ1Njc4OWFi";
    private const string OpensslSignature = "H7KaaRMhn7JtjBUiAt1RuFR2GxmH8szq3t8B3Lgt3lQ=";

    [Fact]
    public void A_device_token_equals_the_one_openssl_signs()
    {
        string token = Device("myhub.azure-devices.net", "device-1").Build(1_500_000_000);
        Assert.Equal(
            "SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdevice-1&sig="
                + Uri.EscapeDataString(OpensslSignature) + "&se=1500000000",
            token);
    }

    [Fact]
    public void The_signer_in_these_tests_is_HMAC_SHA256()
    {
        // RFC 4231, test case 2.
        byte[] signed = new SystemHmac().Sign("Jefe"u8.ToArray(), "what do ya want for nothing?"u8.ToArray());
        Assert.Equal(
            "5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843",
            Convert.ToHexString(signed));
    }

    [Fact]
    public void Tokens_of_odd_ids_and_keys_equal_an_independent_computation()
    {
        SeededRandom random = new(5);
        for (int i = 0; i < 500; i++)
        {
            const string allowed = "abcXYZ019-:.+%_#*?!(),=@;$'";
            string id = new([.. Enumerable.Range(0, 1 + random.Next(40)).Select(_ => allowed[random.Next(27)])]);
            byte[] key = [.. Enumerable.Range(0, 1 + random.Next(64)).Select(_ => (byte)random.Next(256))];
            string resource = Uri.EscapeDataString($"hub.example/devices/{id}");
            long expiry = 1_700_000_000L + random.Next(int.MaxValue);
            byte[] signature = HMACSHA256.HashData(key, Encoding.UTF8.GetBytes($"{resource}\n{expiry}"));
            Assert.Equal(
                $"SharedAccessSignature sr={resource}"
                    + $"&sig={Uri.EscapeDataString(Convert.ToBase64String(signature))}&se={expiry}",
                SasToken.ForDevice(new SystemHmac(), key, "hub.example", id).Build(expiry));
        }
    }

    [Fact]
    public void A_policy_token_ends_with_the_policy_name()
    {
        Assert.True(SasToken.TryDecodeKey(Key, out byte[] key));
        SasToken policy = new(new SystemHmac(), key, "hub.example", "iothub owner");
        Assert.EndsWith("&se=1&skn=iothub%20owner", policy.Build(1));
    }

    [Fact]
    public void Text_of_every_alphabet_is_encoded_as_its_UTF8_bytes()
    {
        const string text = "aZ09-._~ /%+=&?é€😀";
        Assert.Equal(Uri.EscapeDataString(text), PercentEncoder.Encode(text));
    }

    [Theory]
    [InlineData("")]
    [InlineData(null)]
    [InlineData("not*base64")]
    [InlineData("abc")]
    public void What_is_no_key_is_refused_without_a_word(string? text)
    {
        Assert.False(SasToken.TryDecodeKey(text, out byte[] key));
        Assert.Null(key);
    }

    [Fact]
    public void No_exception_repeats_the_key()
    {
        byte[] key = "super-secret"u8.ToArray();
        ArgumentException thrown = Assert.Throws<ArgumentException>(() => new SasToken(new SystemHmac(), key, "", null));
        Assert.DoesNotContain("secret", thrown.ToString());
    }

    private static SasToken Device(string host, string id)
    {
        Assert.True(SasToken.TryDecodeKey(Key, out byte[] key));
        return SasToken.ForDevice(new SystemHmac(), key, host, id);
    }
}
