namespace Agent.Hub;

/// <summary>Why a CONNECT's user name or client id is no good.</summary>
public enum UserFault : byte
{
    None = 0,

    /// <summary>No user name was sent.</summary>
    Missing = 1,

    /// <summary>It is not <c>{host}/{device}[/{module}]/?…</c>.</summary>
    Malformed = 2,

    /// <summary>It names another hub.</summary>
    WrongHub = 3,

    /// <summary>It lacks <c>api-version</c>.</summary>
    NoApiVersion = 4,

    /// <summary>The client id is not <c>{device}</c> or <c>{device}/{module}</c>.</summary>
    WrongClientId = 5,
}

/// <summary>
/// The MQTT user name taken apart: <c>{host}/{device}[/{module}]/?api-version=…&amp;DeviceClientType=…&amp;model-id=…</c>.
/// </summary>
/// <remarks>
/// Ids are never percent-encoded here (facts/iothub.md §1.2), and the question mark may be missing: a 2016 client sent
/// none and the vendor's edge parser still takes both. Unknown properties are ignored. The parts are slices of the packet.
/// </remarks>
public readonly ref struct ConnectUser
{
    /// <summary>Longer user names are refused unread.</summary>
    public const int LengthMax = 2048;

    public ReadOnlySpan<byte> Host { get; private init; }

    public ReadOnlySpan<byte> DeviceId { get; private init; }

    /// <summary>Empty for a device.</summary>
    public ReadOnlySpan<byte> ModuleId { get; private init; }

    /// <summary>Still percent-encoded; empty when the client did not say.</summary>
    public ReadOnlySpan<byte> DeviceClientType { get; private init; }

    /// <summary>Still percent-encoded; empty when the client did not say.</summary>
    public ReadOnlySpan<byte> ModelId { get; private init; }

    /// <summary>
    /// Parses and compares with the client id. On a fault the parts read so far are still there, for the log.
    /// </summary>
    public static UserFault Parse(
        ReadOnlySpan<byte> userName, ReadOnlySpan<byte> clientId, Registry registry, out ConnectUser user)
    {
        user = default;
        if (userName.IsEmpty)
        {
            return UserFault.Missing;
        }

        if (userName.Length > LengthMax || !TrySplit(userName, out user, out ReadOnlySpan<byte> properties))
        {
            return UserFault.Malformed;
        }

        user = ReadProperties(user, properties, out bool hasVersion);
        if (!registry.IsHostName(user.Host))
        {
            return UserFault.WrongHub;
        }

        if (!hasVersion)
        {
            return UserFault.NoApiVersion;
        }

        return user.IsClientId(clientId) ? UserFault.None : UserFault.WrongClientId;
    }

    /// <summary>One sentence for a log.</summary>
    public static string Describe(UserFault fault) => fault switch
    {
        UserFault.None => "accepted",
        UserFault.Missing => "no user name was sent",
        UserFault.Malformed => "the user name is not {host}/{deviceId}/?api-version=…",
        UserFault.WrongHub => "the user name names another hub",
        UserFault.NoApiVersion => "the user name lacks api-version",
        UserFault.WrongClientId => "the client id is not the device id of the user name",
        _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, null),
    };

    private static bool TrySplit(ReadOnlySpan<byte> text, out ConnectUser user, out ReadOnlySpan<byte> properties)
    {
        user = default;
        properties = default;
        if (!TryTake(ref text, out ReadOnlySpan<byte> host) || !TryTake(ref text, out ReadOnlySpan<byte> device))
        {
            return false;
        }

        // A segment is a module only if something follows it and it is not itself the properties, which may hold a
        // slash when a client did not encode its DeviceClientType.
        ReadOnlySpan<byte> module = default;
        if (!text.StartsWith("?"u8) && !text.StartsWith("api-version="u8) && !text.StartsWith("DeviceClientType="u8)
            && text.Contains((byte)'/') && !TryTake(ref text, out module))
        {
            return false;
        }

        user = new ConnectUser { Host = host, DeviceId = device, ModuleId = module };
        properties = text.StartsWith("?"u8) ? text[1..] : text;
        return true;
    }

    private static bool TryTake(scoped ref ReadOnlySpan<byte> text, out ReadOnlySpan<byte> segment)
    {
        int slash = text.IndexOf((byte)'/');
        segment = slash < 0 ? default : text[..slash];
        text = slash < 0 ? text : text[(slash + 1)..];
        return segment.Length > 0 && segment.Length <= 253;
    }

    private static ConnectUser ReadProperties(
        ConnectUser user, ReadOnlySpan<byte> properties, out bool hasVersion)
    {
        hasVersion = false;
        ReadOnlySpan<byte> client = default, model = default;
        foreach (Range range in properties.Split((byte)'&'))
        {
            ReadOnlySpan<byte> property = properties[range];
            if (property.StartsWith("api-version="u8))
            {
                hasVersion = property.Length > "api-version=".Length;
            }
            else if (property.StartsWith("DeviceClientType="u8))
            {
                client = property["DeviceClientType=".Length..];
            }
            else if (property.StartsWith("model-id="u8))
            {
                model = property["model-id=".Length..];
            }
        }

        return new ConnectUser
        {
            Host = user.Host,
            DeviceId = user.DeviceId,
            ModuleId = user.ModuleId,
            DeviceClientType = client,
            ModelId = model,
        };
    }

    private bool IsClientId(ReadOnlySpan<byte> clientId) => ModuleId.IsEmpty
        ? clientId.SequenceEqual(DeviceId)
        : clientId.Length == DeviceId.Length + 1 + ModuleId.Length
            && clientId.StartsWith(DeviceId)
            && clientId[DeviceId.Length] == '/'
            && clientId.EndsWith(ModuleId);
}
