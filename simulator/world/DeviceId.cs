using System.Globalization;
using System.Text;

namespace Agent.World;

/// <summary>Names of simulated devices: the fleet's name, a dash, and the index in the fleet.</summary>
public static class DeviceId
{
    private const int NameBytesMax = 100;

    /// <summary>Writes the id as UTF-8; characters a hub does not allow in an id become a dash. Returns its length.</summary>
    public static int Format(Span<byte> target, string fleet, int index)
    {
        int length = 0;
        foreach (char c in fleet.AsSpan(0, Math.Min(fleet.Length, NameBytesMax)))
        {
            target[length++] = char.IsAsciiLetterOrDigit(c) || "-:.+%_#*?!(),=@;$'".Contains(c) ? (byte)c : (byte)'-';
        }

        target[length++] = (byte)'-';
        index.TryFormat(target[length..], out int digits, "000000", CultureInfo.InvariantCulture);
        return length + digits;
    }

    /// <summary>The id as text.</summary>
    public static string Text(string fleet, int index)
    {
        Span<byte> bytes = stackalloc byte[NameBytesMax + 16];
        return Encoding.ASCII.GetString(bytes[..Format(bytes, fleet, index)]);
    }
}
