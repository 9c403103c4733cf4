using System.Globalization;

namespace Agent.Hub;

/// <summary>
/// A shared access signature taken apart: <c>SharedAccessSignature sr=…&amp;sig=…&amp;se=…[&amp;skn=…]</c>, fields in
/// any order (facts/iothub.md §1.3). Nothing is decoded here, because the signature covers the text as received.
/// </summary>
public readonly ref struct SasTokenParts
{
    /// <summary>Longest token looked at. Real ones stay below 400 bytes; more is refused unread.</summary>
    public const int LengthMax = 2048;

    /// <summary>The year 9999: later moments cannot be written down by anything that reads our logs.</summary>
    private const long ExpirySecondsMax = 253_402_300_799;

    private SasTokenParts(
        ReadOnlySpan<byte> resource,
        ReadOnlySpan<byte> signature,
        ReadOnlySpan<byte> expiry,
        long expirySeconds,
        ReadOnlySpan<byte> policy)
    {
        Resource = resource;
        Signature = signature;
        Expiry = expiry;
        ExpirySeconds = expirySeconds;
        Policy = policy;
    }

    /// <summary><c>sr</c> as received, still percent-encoded.</summary>
    public ReadOnlySpan<byte> Resource { get; }

    /// <summary><c>sig</c> as received: percent-encoded base64.</summary>
    public ReadOnlySpan<byte> Signature { get; }

    /// <summary><c>se</c> as received, decimal digits.</summary>
    public ReadOnlySpan<byte> Expiry { get; }

    /// <summary><c>se</c> as a number: UTC seconds since 1970.</summary>
    public long ExpirySeconds { get; }

    /// <summary><c>skn</c> as received; empty when the token is signed with a device's own key.</summary>
    public ReadOnlySpan<byte> Policy { get; }

    /// <summary>
    /// Splits a token. False when it is too long, lacks a field, has one twice, or <c>se</c> is no usable number.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> token, out SasTokenParts parts)
    {
        parts = default;
        ReadOnlySpan<byte> scheme = "SharedAccessSignature "u8;
        if (token.Length > LengthMax || !token.StartsWith(scheme))
        {
            return false;
        }

        ReadOnlySpan<byte> resource = default, signature = default, expiry = default, policy = default;
        ReadOnlySpan<byte> rest = token[scheme.Length..];
        bool policySeen = false;
        while (rest.Length > 0)
        {
            int end = rest.IndexOf((byte)'&');
            ReadOnlySpan<byte> field = end < 0 ? rest : rest[..end];
            rest = end < 0 ? default : rest[(end + 1)..];
            bool stored = true;
            if (field.StartsWith("sr="u8))
            {
                stored = TryStore(ref resource, field[3..]);
            }
            else if (field.StartsWith("sig="u8))
            {
                stored = TryStore(ref signature, field[4..]);
            }
            else if (field.StartsWith("se="u8))
            {
                stored = TryStore(ref expiry, field[3..]);
            }
            else if (field.StartsWith("skn="u8))
            {
                // Some clients write an empty skn for a device key.
                stored = !policySeen;
                policySeen = true;
                policy = field[4..];
            }

            if (!stored)
            {
                return false;
            }
        }

        if (resource.IsEmpty || signature.IsEmpty || !TryReadSeconds(expiry, out long seconds))
        {
            return false;
        }

        parts = new SasTokenParts(resource, signature, expiry, seconds, policy);
        return true;
    }

    private static bool TryStore(ref ReadOnlySpan<byte> slot, ReadOnlySpan<byte> value)
    {
        if (!slot.IsEmpty)
        {
            return false;
        }

        slot = value;
        return !value.IsEmpty;
    }

    private static bool TryReadSeconds(ReadOnlySpan<byte> digits, out long seconds)
    {
        seconds = 0;
        return digits.Length <= 19
            && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out seconds)
            && seconds <= ExpirySecondsMax;
    }
}
