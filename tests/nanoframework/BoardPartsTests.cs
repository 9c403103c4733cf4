using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.RegularExpressions;

namespace Agent.Tests.NanoFramework;

/// <summary>Constants of the board that can be checked against somebody else's truth.</summary>
public sealed partial class BoardPartsTests
{
    // As published: https://www.digicert.com/kb/digicert-root-certificates.htm and https://www.microsoft.com/pkiops/docs/repository.htm
    private const string DigiCertGlobalRootG2 = "CB3CCBB76031E5E0138F8DD39A23F9DE47FFC35E43C1144CEA27D46A5AB1CB5F";
    private const string MicrosoftRsaRoot2017 = "C741F70F4B2A8D88BF2E71C14122EF53EF10EBA0CFA5E64CFA20F418853073E0";

    [Fact]
    public void The_roots_compiled_in_are_the_two_of_Azure()
    {
        string source = File.ReadAllText(Path.Combine(FirmwareSources.Root, "device/board/AzureRoots.cs"));
        string pem = string.Concat(Literal().Matches(source).Select(match => match.Groups[1].Value + "\n"));
        X509Certificate2Collection roots = [];
        roots.ImportFromPem(pem);
        Assert.Equal(
            [DigiCertGlobalRootG2, MicrosoftRsaRoot2017],
            roots.Select(root => Convert.ToHexString(SHA256.HashData(root.RawData))));
        Assert.All(roots, root => Assert.Equal(root.Subject, root.Issuer));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(1000)]
    public void After_a_large_message_and_only_there_a_small_one_follows_at_the_packets_end(int piece)
    {
        // PINGRESP, a PUBLISH below and one at the limit, a PUBACK, one of 32 KB, an empty body, a large body that is no PUBLISH.
        (byte First, byte[] Length, int Body, bool IsFollowed)[] packets =
        [
            (0xD0, [0], 0, false), (0x30, [255, 1], 255, false), (0x30, [128, 2], 256, true), (0x40, [2], 2, false),
            (0x3B, [128, 128, 2], 32_768, true), (0x30, [0], 0, false), (0x90, [128, 2], 256, false), (0x30, [128, 2], 256, true),
        ];
        Type type = OnHost.Type("Agent.Board.LargeMessage");
        object large = Activator.CreateInstance(type)!;
        byte[] buffer = new byte[piece];
        foreach ((byte first, byte[] length, int body, bool isFollowed) in packets)
        {
            byte[] packet = [first, .. length, .. Enumerable.Repeat((byte)0x30, body)];
            for (int at = 0; at < packet.Length; at += piece)
            {
                Assert.False((bool)type.GetProperty("IsSmallDue")!.GetValue(large)!);
                int count = Math.Min(piece, packet.Length - at);
                packet.AsSpan(at, count).CopyTo(buffer);
                type.GetMethod("Follow")!.Invoke(large, [buffer, count]);
            }

            List<byte> small = [];
            while ((bool)type.GetProperty("IsSmallDue")!.GetValue(large)!)
            {
                int count = (int)type.GetMethod("TakeSmall")!.Invoke(large, [buffer])!;
                small.AddRange(buffer.AsSpan(0, count));
            }

            Assert.Equal(isFollowed ? [0x30, 3, 0, 1, (byte)'.'] : new byte[0], small);
        }
    }

    [Fact]
    public void The_boards_signatures_are_the_hosts_for_every_length_of_key_and_text()
    {
        Type type = OnHost.Type("Agent.Board.HmacSha256");
        object signer = Activator.CreateInstance(type)!;
        byte[] text = [.. Enumerable.Range(0, 200).Select(index => (byte)(index * 7))];
        foreach (int keyLength in new[] { 1, 32, 63, 64, 65, 130 })
        {
            byte[] key = [.. Enumerable.Range(1, keyLength).Select(index => (byte)(index * 11))];
            for (int length = 0; length <= text.Length; length++)
            {
                object signature = type.GetMethod("Sign")!.Invoke(signer, [key, text[..length]])!;
                Assert.Equal(HMACSHA256.HashData(key, text[..length]), (byte[])signature);
            }
        }
    }

    [Fact]
    public void A_flash_code_can_be_counted()
    {
        System.Reflection.MethodInfo isOn = OnHost.Type("Agent.Board.FlashCode").GetMethod("IsOn")!;
        string pattern = string.Concat(Enumerable.Range(0, 26).Select(tick => (bool)isOn.Invoke(null, [2, 2, tick])! ? '#' : '.'));
        Assert.Equal("####..####..#.#...........", pattern);
    }

    [Theory]
    [InlineData("connection=HostName=h;DeviceId=d;SharedAccessKey=AAAA", null)]
    [InlineData("CONNECTION = sharedaccesskey=AAAA ; deviceid=d ; hostname=h\r\n", null)]
    [InlineData("# connection=x\nconnection=HostName=h;DeviceId=d;SharedAccessKey=AAA=", null)]
    [InlineData("provisioning=IdScope=s;RegistrationId=r;SharedAccessKey=AAAA", null)]
    [InlineData("", "I:\\identity.txt has neither connection= nor provisioning=")]
    [InlineData("connection=HostName=h;SharedAccessKey=AAAA", "connection= lacks HostName or DeviceId")]
    [InlineData("connection=HostName=h;DeviceId=d;SharedAccessKey=*", "connection= lacks a SharedAccessKey in base64")]
    [InlineData("provisioning=IdScope=s;SharedAccessKey=AAAA", "provisioning= lacks IdScope or RegistrationId")]
    public void An_identity_is_whole_or_says_what_it_lacks(string text, string? problem)
    {
        (object? identity, object? said) = Parse(text);
        Assert.Equal(problem, said);
        Assert.Equal(problem is null, identity is not null);
    }

    [Fact]
    public void No_prefix_and_no_damage_of_an_identity_makes_it_throw_or_quotes_it()
    {
        const string Good = "connection=HostName=h.example;DeviceId=d-1;SharedAccessKey=c2VjcmV0c2VjcmV0\n"
            + "wifi.ssid=n\nwifi.password=p;=#x\n";
        Agent.Core.SeededRandom random = new(5);
        for (int i = 0; i < 3000; i++)
        {
            char[] text = Good[..(i % (Good.Length + 1))].ToCharArray();
            for (int hits = random.Next(3); hits > 0 && text.Length > 0; hits--)
            {
                text[random.Next(text.Length)] = (char)random.Next(128);
            }

            (_, object? said) = Parse(new string(text));
            Assert.DoesNotContain("c2VjcmV0", (string?)said ?? "", StringComparison.Ordinal);
        }

        (object? identity, _) = Parse(Good);
        Assert.Equal("p;=#x", identity!.GetType().GetProperty("WifiPassword")!.GetValue(identity));
    }

    private static (object? Identity, object? Problem) Parse(string text)
    {
        object?[] arguments = [text, null, null];
        object? identity = OnHost.Type("Agent.Board.Identity").GetMethod("Parse")!.Invoke(null, arguments);
        return (identity, arguments[2]);
    }

    [GeneratedRegex("^ +\"([^\"\\\\]*)\\\\n\"", RegexOptions.Multiline)]
    private static partial Regex Literal();
}
