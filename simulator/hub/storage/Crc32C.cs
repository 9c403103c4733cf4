using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Agent.Hub;

/// <summary>CRC-32C (Castagnoli, RFC 3720 B.4), with the processor's instruction where there is one.</summary>
public static class Crc32C
{
    /// <summary>The checksum of some bytes, or of more bytes after those that gave <paramref name="before"/>.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes, uint before = 0)
    {
        uint crc = ~before;
        while (bytes.Length >= sizeof(ulong))
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[sizeof(ulong)..];
        }

        foreach (byte value in bytes)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return ~crc;
    }

    /// <summary>The checksum of a text's UTF-16 bytes.</summary>
    public static uint Of(string text) => Of(MemoryMarshal.AsBytes(text.AsSpan()));
}
