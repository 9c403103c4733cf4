using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Agent.Hub;

/// <summary>Makes shared access signatures: what <c>simulator token</c> prints.</summary>
public static class SasTokenWriter
{
    /// <summary>
    /// A token for a connection string. A device's resource is <c>{host}/devices/{id}</c>, a service's the whole hub.
    /// </summary>
    public static string Write(ConnectionString source, long expiryUtcSeconds)
    {
        string resource = source.HostName;
        if (source.DeviceId is not null)
        {
            resource += "/devices/" + source.DeviceId;
            resource += source.ModuleId is null ? "" : "/modules/" + source.ModuleId;
        }

        return Write(resource, source.SharedAccessKey, expiryUtcSeconds, source.SharedAccessKeyName);
    }

    /// <summary>A token for a resource that is not yet encoded.</summary>
    public static string Write(
        string resource, ReadOnlySpan<byte> key, long expiryUtcSeconds, string? policy = null)
    {
        string encodedResource = Uri.EscapeDataString(resource);
        string expiry = expiryUtcSeconds.ToString(CultureInfo.InvariantCulture);
        byte[] hash = HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(encodedResource + "\n" + expiry));
        string signature = Uri.EscapeDataString(Convert.ToBase64String(hash));
        return $"SharedAccessSignature sr={encodedResource}&sig={signature}&se={expiry}"
            + (policy is null ? "" : "&skn=" + Uri.EscapeDataString(policy));
    }
}
