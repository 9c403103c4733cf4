using System.Buffers.Binary;
using System.Numerics;

namespace Agent.Service;

/// <summary>CRC-32C (Castagnoli, RFC 3720 B.4) over what is written to disk; the processor has an instruction for it.</summary>
public static class Checksum
{
    /// <summary>The checksum of some bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }

        foreach (byte value in bytes)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return ~crc;
    }
}

/// <summary>The folder cannot be used: one line that names the file and, where there is one, the place in it.</summary>
public sealed class StoreException(string message, Exception? inner = null) : Exception(message, inner);
