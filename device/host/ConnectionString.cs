using System.Diagnostics.CodeAnalysis;
using Agent.Core;

namespace Agent.Host;

// A device's connection string as the portal shows it: NAME=VALUE parts separated by ';', names in any case and
// order. The text holds a key, so problems name the field and never quote what was given.

/// <summary>Who the device is, where its hub is, and its key.</summary>
internal sealed record ConnectionString(string HostName, string DeviceId, byte[] Key, string? GatewayHostName)
{
    private const int LengthMax = 4096;
    private const int DeviceIdLengthMax = 128;
    private const string DeviceIdMarks = "-:.+%_#*?!(),=@;$'";

    /// <summary>What is dialled; the hub's own name stays in token and user name.</summary>
    public string DialHost => GatewayHostName ?? HostName;

    /// <summary>False with one line that says what is wrong.</summary>
    public static bool TryParse(
        string text, [NotNullWhen(true)] out ConnectionString? result, [NotNullWhen(false)] out string? problem)
    {
        result = null;
        if (text.Length > LengthMax)
        {
            problem = $"longer than {LengthMax} characters";
            return false;
        }

        if (!TrySplit(text, out Dictionary<string, string> fields, out problem))
        {
            return false;
        }

        string host = fields.GetValueOrDefault("HostName", "");
        string device = fields.GetValueOrDefault("DeviceId", "");
        string? gateway = fields.GetValueOrDefault("GatewayHostName");
        problem = FirstProblem(fields, host, device, gateway);
        if (problem is not null)
        {
            return false;
        }

        if (!SasToken.TryDecodeKey(fields.GetValueOrDefault("SharedAccessKey", ""), out byte[] key))
        {
            problem = "SharedAccessKey is missing or not base64";
            return false;
        }

        result = new ConnectionString(host, device, key, gateway);
        return true;
    }

    /// <summary>The record's own text would hold the key.</summary>
    public override string ToString() => $"{DeviceId} at {HostName}";

    private static bool TrySplit(
        string text, out Dictionary<string, string> fields, [NotNullWhen(false)] out string? problem)
    {
        fields = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (string part in text.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            int equals = part.IndexOf('='); // the first: base64 ends with more of them
            if (equals <= 0)
            {
                problem = "a part is not NAME=VALUE";
                return false;
            }

            if (!fields.TryAdd(part[..equals].Trim(), part[(equals + 1)..].Trim()))
            {
                problem = "a field is given twice";
                return false;
            }
        }

        problem = null;
        return true;
    }

    private static string? FirstProblem(Dictionary<string, string> fields, string host, string device, string? gateway)
    {
        if (!IsHostName(host))
        {
            return "HostName is missing or not a host name";
        }

        if (!IsDeviceId(device))
        {
            return "DeviceId is missing, longer than 128 characters or has a character that ids cannot have";
        }

        if (gateway is not null && !IsHostName(gateway))
        {
            return "GatewayHostName is not a host name";
        }

        return fields.ContainsKey("ModuleId") ? "ModuleId: this agent is a device, not a module" : null;
    }

    private static bool IsHostName(string text) =>
        text.Length is > 0 and <= 253 && Uri.CheckHostName(text) != UriHostNameType.Unknown;

    private static bool IsDeviceId(string text) =>
        text.Length is > 0 and <= DeviceIdLengthMax
        && text.All(character => char.IsAsciiLetterOrDigit(character) || DeviceIdMarks.Contains(character));
}
