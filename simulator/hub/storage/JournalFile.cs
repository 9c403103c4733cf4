using System.Buffers.Binary;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace Agent.Hub;

/// <summary>What a journal file holds.</summary>
internal enum JournalFileKind : byte
{
    Log = (byte)'L',
    Snapshot = (byte)'S',
}

/// <summary>One entry as it is read: a value put under a key, or a key deleted.</summary>
internal delegate void JournalFileEntry(byte mark, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value);

/// <summary>The bytes of a journal file: a header, then frames. A frame is one commit, written once and then synchronised.</summary>
/// <remarks>
/// Header, 28 bytes: "AHJ1", kind, three zeros, generation (u64), salt (u64), CRC-32C of these. Frame: "fram", payload length
/// (u32), CRC-32C of the payload, CRC-32C of salt, the frame's offset and the three fields before; then the payload. All numbers
/// little-endian.
/// The next commit is not begun before the last one is on the disk. So a bad frame with nothing good behind it is a write that
/// was cut off, and nobody was told that it had been made; a bad frame with a good header behind it was once whole, and that is
/// damage. Salt and offset keep bytes that somebody sent, or an older copy, from looking like a frame.
/// </remarks>
internal static class JournalFile
{
    public const int HeaderLength = 28;
    public const int FrameHeaderLength = 16;

    /// <summary>Longest payload of a frame.</summary>
    public const int PayloadLengthMax = JournalBatch.LengthMax;

    private const int ScanLength = 1 << 20;

    private static ReadOnlySpan<byte> FileMark => "AHJ1"u8;

    private static ReadOnlySpan<byte> FrameMark => "fram"u8;

    /// <summary>How reading a file went.</summary>
    /// <param name="Salt">Of the file.</param>
    /// <param name="GoodLength">Where the last good frame ends; 0 = not even the header is whole.</param>
    /// <param name="Length">The file's length.</param>
    public readonly record struct ReadResult(ulong Salt, long GoodLength, long Length)
    {
        /// <summary>Whether a write was cut off.</summary>
        public bool IsTorn => GoodLength < Length || GoodLength == 0;
    }

    public static string PathOf(string directory, JournalFileKind kind, ulong generation) =>
        Path.Combine(directory, $"journal-{generation:D10}.{(kind == JournalFileKind.Log ? "log" : "snapshot")}");

    /// <summary>A header with a fresh salt.</summary>
    public static byte[] NewHeader(JournalFileKind kind, ulong generation, out ulong salt)
    {
        byte[] header = new byte[HeaderLength];
        salt = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong)));
        FileMark.CopyTo(header);
        header[4] = (byte)kind;
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(8), generation);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(16), salt);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(24), Crc32C.Of(header.AsSpan(0, 24)));
        return header;
    }

    /// <summary>Writes the header of a frame whose payload stands behind it in the same buffer.</summary>
    public static void Seal(Span<byte> frame, ulong salt, long offset)
    {
        FrameMark.CopyTo(frame);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[4..], (uint)(frame.Length - FrameHeaderLength));
        BinaryPrimitives.WriteUInt32LittleEndian(frame[8..], Crc32C.Of(frame[FrameHeaderLength..]));
        BinaryPrimitives.WriteUInt32LittleEndian(frame[12..], HeaderCrc(frame, salt, offset));
    }

    /// <summary>Reads a file to its end, or to where a write was cut off.</summary>
    /// <param name="mayBeTorn">Only the newest log may end in the middle of a write.</param>
    /// <exception cref="HubDataException">The file is damaged: named with the offset.</exception>
    public static ReadResult Read(
        string path, JournalFileKind kind, ulong generation, bool mayBeTorn, JournalFileEntry entry, CancellationToken cancel = default)
    {
        using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        long length = RandomAccess.GetLength(file);
        Span<byte> header = stackalloc byte[HeaderLength];
        if (length < HeaderLength && mayBeTorn)
        {
            return new ReadResult(0, 0, length);
        }

        if (!TryRead(file, header, 0) || !header.StartsWith(FileMark) || header[4] != (byte)kind
            || BinaryPrimitives.ReadUInt64LittleEndian(header[8..]) != generation
            || BinaryPrimitives.ReadUInt32LittleEndian(header[24..]) != Crc32C.Of(header[..24]))
        {
            throw Damaged(path, 0, "its header is not that of this file");
        }

        ulong salt = BinaryPrimitives.ReadUInt64LittleEndian(header[16..]);
        long offset = HeaderLength;
        Span<byte> frame = stackalloc byte[FrameHeaderLength];
        byte[] payload = [];
        while (offset < length)
        {
            cancel.ThrowIfCancellationRequested();
            if (!TryRead(file, frame, offset) || !IsFrame(frame, salt, offset)
                || !TryReadPayload(file, frame, offset, length, ref payload, out int payloadLength))
            {
                if (!mayBeTorn || HasFrameBehind(file, salt, offset, length))
                {
                    throw Damaged(path, offset, "a record there does not match its checksum");
                }

                return new ReadResult(salt, offset, length);
            }

            ReadOnlySpan<byte> rest = payload.AsSpan(0, payloadLength);
            while (rest.Length > 0)
            {
                if (!JournalBatch.TryTake(ref rest, out byte mark, out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value))
                {
                    throw Damaged(path, offset, "a record there has the right checksum and no meaning");
                }

                entry(mark, key, value);
            }

            offset += FrameHeaderLength + payloadLength;
        }

        return new ReadResult(salt, length, length);
    }

    public static HubDataException Damaged(string path, long offset, string what) =>
        new($"{path}: damaged at offset {offset}: {what} (restore the file from a copy, or remove the journal files to start anew)");

    private static uint HeaderCrc(ReadOnlySpan<byte> frame, ulong salt, long offset)
    {
        Span<byte> bytes = stackalloc byte[28];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, salt);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], offset);
        frame[..12].CopyTo(bytes[16..]);
        return Crc32C.Of(bytes);
    }

    private static bool IsFrame(ReadOnlySpan<byte> header, ulong salt, long offset) => header.StartsWith(FrameMark)
        && BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) is > 0 and <= PayloadLengthMax
        && BinaryPrimitives.ReadUInt32LittleEndian(header[12..]) == HeaderCrc(header, salt, offset);

    private static bool TryReadPayload(
        SafeFileHandle file, ReadOnlySpan<byte> header, long offset, long length, ref byte[] payload, out int payloadLength)
    {
        payloadLength = (int)BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        if (payloadLength > length - offset - FrameHeaderLength)
        {
            return false;
        }

        if (payload.Length < payloadLength)
        {
            payload = new byte[Math.Max(payloadLength, Math.Min(payload.Length * 2, PayloadLengthMax))];
        }

        Span<byte> bytes = payload.AsSpan(0, payloadLength);
        return TryRead(file, bytes, offset + FrameHeaderLength)
            && Crc32C.Of(bytes) == BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
    }

    // Looks for the header of any frame behind a bad one. Salt and offset are in its checksum, so 16 bytes decide.
    private static bool HasFrameBehind(SafeFileHandle file, ulong salt, long bad, long length)
    {
        byte[] window = new byte[ScanLength + FrameHeaderLength];
        for (long start = bad + 1; start + FrameHeaderLength <= length; start += ScanLength)
        {
            int read = RandomAccess.Read(file, window, start);
            Span<byte> bytes = window.AsSpan(0, read);
            for (int at = 0; at + FrameHeaderLength <= read && at < ScanLength; at++)
            {
                int next = bytes[at..].IndexOf(FrameMark);
                if (next < 0)
                {
                    break;
                }

                at += next;
                if (at + FrameHeaderLength <= read && at < ScanLength && IsFrame(bytes.Slice(at, FrameHeaderLength), salt, start + at))
                {
                    return true;
                }
            }
        }

        return false;
    }

    private static bool TryRead(SafeFileHandle file, Span<byte> bytes, long offset)
    {
        while (bytes.Length > 0)
        {
            int read = RandomAccess.Read(file, bytes, offset);
            if (read == 0)
            {
                return false;
            }

            bytes = bytes[read..];
            offset += read;
        }

        return true;
    }
}
