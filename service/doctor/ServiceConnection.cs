using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Agent.Service.Doctor;

/// <summary>
/// A service connection string of a hub, <c>HostName=…;SharedAccessKeyName=…;SharedAccessKey=…</c>, and the tokens it makes.
/// </summary>
/// <remarks>The key never leaves this type, not in a text and not in a problem.</remarks>
public sealed class ServiceConnection
{
    private const int TextMax = 1024;
    private const int KeyBytesMax = 256;

    private readonly byte[] key;

    private ServiceConnection(string host, string policy, byte[] key)
    {
        Host = host;
        Policy = policy;
        this.key = key;
    }

    public string Host { get; }

    /// <summary>Name of the policy, such as <c>registryRead</c>; not a secret.</summary>
    public string Policy { get; }

    /// <summary>Reads a connection string.</summary>
    /// <returns>False, and a problem in one line, when it is not one.</returns>
    public static bool TryParse(string text, out ServiceConnection? connection, out string problem)
    {
        connection = null;
        var parts = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        if (text.Length > TextMax)
        {
            problem = "connection string: longer than any there is";
            return false;
        }

        foreach (string part in text.Trim().Split(';', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || !parts.TryAdd(part[..equals].Trim(), part[(equals + 1)..].Trim()))
            {
                problem = "connection string: expected name=value pairs with semicolons between, no name twice";
                return false;
            }
        }

        if (parts.ContainsKey("DeviceId"))
        {
            problem = "connection string: this is a device's; the doctor needs a service's, with SharedAccessKeyName";
            return false;
        }

        string host = parts.GetValueOrDefault("HostName", "");
        string policy = parts.GetValueOrDefault("SharedAccessKeyName", "");
        byte[] bytes = new byte[KeyBytesMax];
        if (Uri.CheckHostName(host) is UriHostNameType.Unknown || policy.Length is 0 or > 64 || policy.Any(char.IsControl)
            || !Convert.TryFromBase64String(parts.GetValueOrDefault("SharedAccessKey", ""), bytes, out int count) || count == 0)
        {
            problem = "connection string: HostName, SharedAccessKeyName and SharedAccessKey (base64) are needed";
            return false;
        }

        problem = "";
        connection = new ServiceConnection(host, policy, bytes[..count]);
        return true;
    }

    /// <summary>A service SAS token (facts/iothub.md §1.3).</summary>
    /// <param name="expiresAtSeconds">Seconds since 1970, UTC.</param>
    public string Token(long expiresAtSeconds)
    {
        string resource = Uri.EscapeDataString(Host);
        string toSign = string.Create(CultureInfo.InvariantCulture, $"{resource}\n{expiresAtSeconds}");
        string signature = Convert.ToBase64String(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(toSign)));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"SharedAccessSignature sr={resource}&sig={Uri.EscapeDataString(signature)}&se={expiresAtSeconds}")
            + "&skn=" + Uri.EscapeDataString(Policy);
    }

    public override string ToString() => $"{Host} ({Policy})";
}
