using System.Buffers.Text;
using System.Security.Cryptography;

namespace Agent.Hub;

/// <summary>Why a credential was not accepted. Expiry is not among them: only the hub knows the time.</summary>
public enum CredentialFault : byte
{
    /// <summary>The signature is right and covers this device.</summary>
    None = 0,

    /// <summary>No password was sent.</summary>
    Missing = 1,

    /// <summary>It is not a shared access signature, or one with a broken, doubled, missing or overlong field.</summary>
    Malformed = 2,

    /// <summary><c>sr</c> names another hub.</summary>
    WrongHub = 3,

    /// <summary><c>sr</c> names another device.</summary>
    WrongDevice = 4,

    /// <summary><c>skn</c> names a policy this hub does not have.</summary>
    UnknownPolicy = 5,

    /// <summary>The policy exists but does not grant what is asked.</summary>
    PolicyLacksRight = 6,

    /// <summary>Neither the primary nor the secondary key gives this signature.</summary>
    WrongSignature = 7,
}

/// <summary>What a verification found: the fault, or the moment until which the token counts.</summary>
public readonly record struct SasVerdict(CredentialFault Fault, long ExpirySeconds, bool ByPolicy)
{
    /// <summary>Whether everything but the expiry is in order.</summary>
    public bool IsAccepted => Fault == CredentialFault.None;
}

/// <summary>Checks shared access signatures the way the cloud documents them.</summary>
/// <remarks>
/// The signature is HMAC-SHA256 over <c>sr</c> as received, a newline, and <c>se</c> as received. Only after that is
/// <c>sr</c> decoded: clients disagree on the case of their escapes (<c>%2f</c>, <c>%2F</c>) and of host names, and
/// normalising before hashing would refuse half of them (facts/iothub.md §1.3). The resource is compared before the
/// signature so that the log can say "token of another device" and not merely "signature does not match"; nothing is
/// accepted without the signature. No allocation when all is well, no exception whatever the bytes.
/// </remarks>
public static class SasVerifier
{
    private const int SignatureLength = HMACSHA256.HashSizeInBytes;

    /// <summary>Longest <c>sr</c> looked at: a host name of 253, two ids of 128, all of it percent-encoded.</summary>
    private const int ResourceLengthMax = 1600;

    /// <summary>Checks a device's token: signed with its own key, or with a policy that may connect devices.</summary>
    public static SasVerdict VerifyDevice(ReadOnlySpan<byte> token, Registry registry, Device device)
    {
        if (token.IsEmpty)
        {
            return Refuse(CredentialFault.Missing);
        }

        if (!SasTokenParts.TryParse(token, out SasTokenParts parts))
        {
            return Refuse(CredentialFault.Malformed);
        }

        Span<byte> target = stackalloc byte["/devices//modules/".Length + (2 * Registry.IdLengthMax)];
        int length = Append(target, 0, "/devices/"u8, device.Utf8Id);
        length = device.ModuleId is null ? length : Append(target, length, "/modules/"u8, device.Utf8ModuleId);
        target = target[..length];
        return parts.Policy.IsEmpty
            ? VerifyOwnKey(parts, registry, device, target)
            : VerifyPolicy(parts, registry, target, AccessRights.DeviceConnect);
    }

    /// <summary>Checks a service token for a path such as <c>/devices</c>: always signed with a policy key.</summary>
    public static SasVerdict VerifyService(
        ReadOnlySpan<byte> token, Registry registry, ReadOnlySpan<byte> path, AccessRights right)
    {
        if (token.IsEmpty)
        {
            return Refuse(CredentialFault.Missing);
        }

        if (!SasTokenParts.TryParse(token, out SasTokenParts parts))
        {
            return Refuse(CredentialFault.Malformed);
        }

        return parts.Policy.IsEmpty
            ? Refuse(CredentialFault.UnknownPolicy)
            : VerifyPolicy(parts, registry, path, right);
    }

    /// <summary>One sentence for a log; never contains any part of the token.</summary>
    public static string Describe(CredentialFault fault) => fault switch
    {
        CredentialFault.None => "accepted",
        CredentialFault.Missing => "no SAS token was sent",
        CredentialFault.Malformed => "the password is not a well-formed SAS token",
        CredentialFault.WrongHub => "the token is for another hub",
        CredentialFault.WrongDevice => "the token is for another device",
        CredentialFault.UnknownPolicy => "the token names a policy this hub does not have",
        CredentialFault.PolicyLacksRight => "the policy of the token does not allow this access",
        CredentialFault.WrongSignature => "signature does not match",
        _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, null),
    };

    private static int Append(Span<byte> target, int length, ReadOnlySpan<byte> word, ReadOnlySpan<byte> id)
    {
        word.CopyTo(target[length..]);
        id.CopyTo(target[(length + word.Length)..]);
        return length + word.Length + id.Length;
    }

    private static SasVerdict VerifyOwnKey(
        in SasTokenParts parts, Registry registry, Device device, ReadOnlySpan<byte> target)
    {
        CredentialFault fault = CompareResource(parts.Resource, registry, target, mayBeBroader: false);
        if (fault == CredentialFault.None
            && !IsSignedWith(parts, device.PrimaryKey)
            && !IsSignedWith(parts, device.SecondaryKey))
        {
            fault = CredentialFault.WrongSignature;
        }

        return fault == CredentialFault.None ? new SasVerdict(fault, parts.ExpirySeconds, false) : Refuse(fault);
    }

    private static SasVerdict VerifyPolicy(
        in SasTokenParts parts, Registry registry, ReadOnlySpan<byte> target, AccessRights right)
    {
        Span<byte> name = stackalloc byte[Registry.PolicyNameLengthMax];
        if (!PercentText.TryDecode(parts.Policy, name, out int length)
            || !registry.TryFindPolicy(name[..length], out AccessPolicy? policy))
        {
            return Refuse(CredentialFault.UnknownPolicy);
        }

        CredentialFault fault = CompareResource(parts.Resource, registry, target, mayBeBroader: true);
        if (fault == CredentialFault.None && (policy.Rights & right) != right)
        {
            fault = CredentialFault.PolicyLacksRight;
        }

        if (fault == CredentialFault.None
            && !IsSignedWith(parts, policy.PrimaryKey)
            && !IsSignedWith(parts, policy.SecondaryKey))
        {
            fault = CredentialFault.WrongSignature;
        }

        return fault == CredentialFault.None ? new SasVerdict(fault, parts.ExpirySeconds, true) : Refuse(fault);
    }

    /// <summary>
    /// Compares <c>sr</c> with host and path: the host without regard to case, the path with. A broader resource
    /// covers a narrower one segment by segment: <c>/a/b</c> covers <c>/a/b/c</c> but not <c>/a/bc</c>.
    /// </summary>
    private static CredentialFault CompareResource(
        ReadOnlySpan<byte> encoded, Registry registry, ReadOnlySpan<byte> target, bool mayBeBroader)
    {
        Span<byte> buffer = stackalloc byte[ResourceLengthMax];
        if (encoded.Length > ResourceLengthMax || !PercentText.TryDecode(encoded, buffer, out int length))
        {
            return CredentialFault.Malformed;
        }

        ReadOnlySpan<byte> resource = buffer[..length];
        int slash = resource.IndexOf((byte)'/');
        ReadOnlySpan<byte> host = slash < 0 ? resource : resource[..slash];
        ReadOnlySpan<byte> path = slash < 0 ? default : resource[slash..];
        if (!registry.IsHostName(host))
        {
            return CredentialFault.WrongHub;
        }

        path = path.EndsWith("/"u8) ? path[..^1] : path;
        bool covers = path.SequenceEqual(target)
            || (mayBeBroader && target.StartsWith(path) && (target.Length == path.Length || target[path.Length] == '/'));
        return covers ? CredentialFault.None : CredentialFault.WrongDevice;
    }

    private static bool IsSignedWith(in SasTokenParts parts, ReadOnlySpan<byte> key)
    {
        if (key.IsEmpty)
        {
            return false;
        }

        // Base64 of 32 bytes is 44 characters, each of which may arrive as a three-byte escape.
        Span<byte> text = stackalloc byte[3 * 44];
        Span<byte> received = stackalloc byte[SignatureLength + 4];
        if (!PercentText.TryDecode(parts.Signature, text, out int textLength)
            || Base64.DecodeFromUtf8(text[..textLength], received, out _, out int receivedLength)
                != System.Buffers.OperationStatus.Done
            || receivedLength != SignatureLength)
        {
            return false;
        }

        Span<byte> signed = stackalloc byte[ResourceLengthMax + 1 + 20];
        parts.Resource.CopyTo(signed);
        signed[parts.Resource.Length] = (byte)'\n';
        parts.Expiry.CopyTo(signed[(parts.Resource.Length + 1)..]);
        signed = signed[..(parts.Resource.Length + 1 + parts.Expiry.Length)];

        Span<byte> expected = stackalloc byte[SignatureLength];
        HMACSHA256.HashData(key, signed, expected);
        return CryptographicOperations.FixedTimeEquals(expected, received[..SignatureLength]);
    }

    private static SasVerdict Refuse(CredentialFault fault) => new(fault, 0, false);
}
