using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Agent.Service.Alarms;

/// <summary>A key shared with a receiver, and the signatures it makes.</summary>
/// <remarks>
/// <para>
/// Signed as Standard Webhooks 1.0 says (symmetric scheme), because receivers in every language have a library for it: HMAC-SHA256 of
/// <c>{webhook-id}.{webhook-timestamp}.{body}</c>, base64, in the header <c>webhook-signature: v1,…</c>. The timestamp is the attempt's,
/// in seconds; a receiver refuses what is more than five minutes off, so a recorded request cannot be replayed later. A home-made
/// header would have been as safe and would have to be explained to everyone.
/// </para>
/// <para>The key never leaves this type: it prints as <c>(secret)</c>.</para>
/// </remarks>
public sealed class WebhookSecret
{
    public const string IdHeader = "webhook-id";
    public const string TimestampHeader = "webhook-timestamp";
    public const string SignatureHeader = "webhook-signature";

    /// <summary>How far a receiver lets a timestamp be off.</summary>
    public static readonly TimeSpan Tolerance = TimeSpan.FromMinutes(5);

    private const string Prefix = "whsec_";
    private const string Version = "v1,";
    private const int KeyBytesMin = 24;
    private const int KeyBytesMax = 64;
    private const int SignaturesMax = 8;

    private readonly byte[] key;

    private WebhookSecret(byte[] key)
    {
        this.key = key;
    }

    /// <summary>A new random one of 32 bytes, as text to be given to the receiver.</summary>
    public static string Generate() => Prefix + Convert.ToBase64String(RandomNumberGenerator.GetBytes(32));

    /// <summary>Reads <c>whsec_</c> and base64 of 24 to 64 bytes; the prefix may be left out.</summary>
    /// <returns>False, and a problem that does not repeat the text, when it is not one.</returns>
    public static bool TryParse(string text, out WebhookSecret? secret, out string problem)
    {
        string base64 = text.StartsWith(Prefix, StringComparison.Ordinal) ? text[Prefix.Length..] : text;
        byte[] bytes = new byte[KeyBytesMax + 3];
        secret = null;
        if (base64.Length > 4 * KeyBytesMax || !Convert.TryFromBase64String(base64, bytes, out int count))
        {
            problem = "the secret is not whsec_ and base64";
            return false;
        }

        if (count is < KeyBytesMin or > KeyBytesMax)
        {
            problem = string.Create(
                CultureInfo.InvariantCulture, $"the secret has {count} bytes: allowed are {KeyBytesMin} to {KeyBytesMax}");
            return false;
        }

        problem = "";
        secret = new WebhookSecret(bytes[..count]);
        return true;
    }

    /// <summary>The value of the signature header.</summary>
    public string Sign(string id, long timestampSeconds, ReadOnlySpan<byte> body) =>
        Version + Convert.ToBase64String(Mac(id, timestampSeconds, body));

    /// <summary>What a receiver does: false when the signature is not ours, or the timestamp is too far from its clock.</summary>
    /// <param name="id">Value of <c>webhook-id</c>.</param>
    /// <param name="timestamp">Value of <c>webhook-timestamp</c>.</param>
    /// <param name="signatures">Value of <c>webhook-signature</c>: one or more, a space between; more than one while a key is
    /// changed.</param>
    /// <param name="body">The bytes as they came, before any parsing.</param>
    /// <param name="now">The receiver's clock.</param>
    public bool Verify(string id, string timestamp, string signatures, ReadOnlySpan<byte> body, DateTimeOffset now)
    {
        if (!long.TryParse(timestamp, NumberStyles.None, CultureInfo.InvariantCulture, out long seconds)
            || Math.Abs((decimal)seconds - now.ToUnixTimeSeconds()) > (decimal)Tolerance.TotalSeconds)
        {
            return false;
        }

        Span<byte> claimed = stackalloc byte[HMACSHA256.HashSizeInBytes + 3];
        byte[] mac = Mac(id, seconds, body);
        int looked = 0;
        foreach (Range part in signatures.AsSpan().Split(' '))
        {
            ReadOnlySpan<char> signature = signatures.AsSpan()[part];
            if (++looked > SignaturesMax)
            {
                return false;
            }

            if (signature.StartsWith(Version, StringComparison.Ordinal)
                && Convert.TryFromBase64Chars(signature[Version.Length..], claimed, out int count)
                && CryptographicOperations.FixedTimeEquals(claimed[..count], mac))
            {
                return true;
            }
        }

        return false;
    }

    public override string ToString() => "(secret)";

    private byte[] Mac(string id, long timestampSeconds, ReadOnlySpan<byte> body)
    {
        using var hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key);
        hash.AppendData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{id}.{timestampSeconds}.")));
        hash.AppendData(body);
        return hash.GetHashAndReset();
    }
}
