using System.Diagnostics.CodeAnalysis;

namespace Agent.Hub;

/// <summary>A device's or a service's connection string, in any order and any case of the names.</summary>
/// <remarks>
/// <c>HostName=…;DeviceId=…[;ModuleId=…];SharedAccessKey=…[;GatewayHostName=…]</c> or
/// <c>HostName=…;SharedAccessKeyName=…;SharedAccessKey=…</c>. Problems are told by field name only: the text holds a key,
/// and a message that quotes its input would carry the key into logs.
/// </remarks>
public sealed class ConnectionString
{
    /// <summary>Longer text is no connection string.</summary>
    private const int LengthMax = 4096;

    private const string NoId = " is empty, too long or has a character that ids cannot have";

    private ConnectionString()
    {
    }

    /// <summary>The hub.</summary>
    public string HostName { get; private set; } = "";

    /// <summary>The device; null for a service.</summary>
    public string? DeviceId { get; private set; }

    /// <summary>The module of the device, if any.</summary>
    public string? ModuleId { get; private set; }

    /// <summary>The policy; null for a device's own key.</summary>
    public string? SharedAccessKeyName { get; private set; }

    /// <summary>The key, decoded. Never write it anywhere.</summary>
    public byte[] SharedAccessKey { get; private set; } = [];

    /// <summary>What to dial instead of <see cref="HostName"/>, if any.</summary>
    public string? GatewayHostName { get; private set; }

    /// <summary>Parses; on failure <paramref name="problem"/> is one line that names the field and never its value.</summary>
    public static bool TryParse(
        string? text,
        [NotNullWhen(true)] out ConnectionString? result,
        [NotNullWhen(false)] out string? problem)
    {
        var parsed = new ConnectionString();
        problem = parsed.Read(text);
        result = problem is null ? parsed : null;
        return problem is null;
    }

    private string? Read(string? text)
    {
        if (string.IsNullOrWhiteSpace(text))
        {
            return "connection string: it is empty";
        }

        if (text.Length > LengthMax)
        {
            return $"connection string: longer than {LengthMax} characters";
        }

        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (string field in text.Trim().Split(';', StringSplitOptions.RemoveEmptyEntries))
        {
            // Values may contain '=' (base64 ends with it), names may not.
            int equals = field.IndexOf('=');
            if (equals <= 0)
            {
                return "connection string: a part without NAME=VALUE; parts are separated by ';'";
            }

            string name = field[..equals].Trim();
            string? problem = Store(name, field[(equals + 1)..].Trim());
            if (problem is not null)
            {
                return problem;
            }

            if (!seen.Add(name))
            {
                return $"connection string: {name} is given twice";
            }
        }

        return FindGap();
    }

    private string? Store(string name, string value)
    {
        switch (name.ToUpperInvariant())
        {
            case "HOSTNAME":
                HostName = value;
                return IsHostName(value) ? null : "connection string: HostName is not a host name";
            case "DEVICEID":
                DeviceId = value;
                return Registry.IsId(value) ? null : "connection string: DeviceId" + NoId;
            case "MODULEID":
                ModuleId = value;
                return Registry.IsId(value) ? null : "connection string: ModuleId" + NoId;
            case "SHAREDACCESSKEYNAME":
                SharedAccessKeyName = value;
                return value.Length is > 0 and <= Registry.PolicyNameLengthMax
                    ? null
                    : "connection string: SharedAccessKeyName is empty or too long";
            case "SHAREDACCESSKEY":
                return StoreKey(value);
            case "GATEWAYHOSTNAME":
                GatewayHostName = value;
                return value.Length > 0 ? null : "connection string: GatewayHostName is empty";
            default:
                // Later SDKs add fields (x509, UseProvisioning…); what we do not know we do not need.
                return null;
        }
    }

    private string? StoreKey(string value)
    {
        byte[] key = new byte[value.Length];
        if (!Convert.TryFromBase64String(value, key, out int length) || length == 0)
        {
            return "connection string: SharedAccessKey is not base64";
        }

        SharedAccessKey = key[..length];
        return null;
    }

    private string? FindGap()
    {
        if (HostName.Length == 0)
        {
            return "connection string: HostName is missing";
        }

        if (SharedAccessKey.Length == 0)
        {
            return "connection string: SharedAccessKey is missing";
        }

        if (DeviceId is null && SharedAccessKeyName is null)
        {
            return "connection string: DeviceId (a device) or SharedAccessKeyName (a service) is missing";
        }

        return ModuleId is not null && DeviceId is null ? "connection string: ModuleId without DeviceId" : null;
    }

    // A name, an IPv4 address or an IPv6 address in brackets or bare; anything that could end the host part is out.
    private static bool IsHostName(string text)
    {
        foreach (char c in text)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '-' or '_' or ':' or '[' or ']'))
            {
                return false;
            }
        }

        return text.Length is > 0 and <= 253;
    }
}
