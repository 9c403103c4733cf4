using System.Runtime.CompilerServices;

namespace Agent.Tests.Wire;

/// <summary>A packet another implementation wrote, with its fields as a third one reads them.</summary>
public sealed record GoldenPacket(string Source, string Fields, byte[] Bytes)
{
    public override string ToString() => $"{Fields} [{Source}]";
}

/// <summary>Reads tests/golden/packets.txt; the file explains itself.</summary>
public static class GoldenPackets
{
    public static IReadOnlyList<GoldenPacket> All { get; } = Load();

    private static List<GoldenPacket> Load([CallerFilePath] string here = "")
    {
        string path = Path.Combine(Path.GetDirectoryName(here)!, "..", "golden", "packets.txt");
        string[] lines = [.. File.ReadLines(path).Where(line => line.Length > 0 && !line.StartsWith("##", StringComparison.Ordinal))];
        return [.. lines.Chunk(3).Select(three => new GoldenPacket(three[0][2..], three[1][2..], FromHex(three[2])))];
    }

    public static byte[] FromHex(string spaced) => Convert.FromHexString(spaced.Replace(" ", ""));
}
