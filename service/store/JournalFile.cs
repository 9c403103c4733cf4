using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace Agent.Service;

/// <summary>One file of the journal: frames of records, each with its length and checksum.</summary>
/// <remarks>
/// Only the end of the newest file can be torn, by a kill in the middle of a write. A bad frame with a good one behind it is damage, and
/// that is said and not repaired: whoever sees it has a backup or a disk to look after.
/// </remarks>
public sealed class JournalFile : IDisposable
{
    private const uint Magic = 0x314A4741; // "AGJ1"
    private const int HeaderLength = 12;
    private const int PayloadLengthMax = 64 * 1024 * 1024;

    private readonly SafeFileHandle file;

    private JournalFile(SafeFileHandle file, long length)
    {
        this.file = file;
        Length = length;
    }

    /// <summary>Bytes in the file.</summary>
    public long Length { get; private set; }

    /// <summary>Bytes that a frame needs in front of its payload.</summary>
    public static int FrameHeaderLength => HeaderLength;

    /// <summary>Opens a file to go on behind its last whole frame; a file that is not there is made.</summary>
    public static JournalFile Append(string path, long length)
    {
        SafeFileHandle file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read);
        if (RandomAccess.GetLength(file) > length)
        {
            RandomAccess.SetLength(file, length);
        }

        return new JournalFile(file, length);
    }

    /// <summary>Writes one frame; its first <see cref="FrameHeaderLength"/> bytes are filled in here.</summary>
    /// <param name="frame">Room for the header and then the records.</param>
    /// <param name="synchronise">Whether to wait for the disk.</param>
    public void Write(Span<byte> frame, bool synchronise)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(frame, Magic);
        BinaryPrimitives.WriteInt32LittleEndian(frame[4..], frame.Length - HeaderLength);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[8..], Checksum.Of(frame[HeaderLength..]));
        RandomAccess.Write(file, frame, Length);
        if (synchronise)
        {
            RandomAccess.FlushToDisk(file);
        }

        Length += frame.Length;
    }

    /// <summary>Reads every frame in order.</summary>
    /// <param name="path">The file.</param>
    /// <param name="isNewest">Whether its end may be torn.</param>
    /// <param name="records">Told the records of each frame.</param>
    /// <returns>The length up to which it is whole.</returns>
    /// <exception cref="StoreException">It is damaged.</exception>
    public static long Read(string path, bool isNewest, Action<ReadOnlyMemory<byte>> records)
    {
        using SafeFileHandle file = File.OpenHandle(path);
        long end = RandomAccess.GetLength(file);
        long at = 0;
        byte[] buffer = new byte[1 << 20];
        while (at < end)
        {
            int length = ReadFrame(file, at, end, ref buffer);
            if (length < 0)
            {
                if (!isNewest || HasFrameAfter(file, at + 1, end, ref buffer))
                {
                    throw new StoreException($"{path}: damaged at byte {at}");
                }

                return at;
            }

            try
            {
                records(buffer.AsMemory(0, length));
            }
            catch (InvalidDataException wrong)
            {
                throw new StoreException($"{path}: {wrong.Message}, in the frame at byte {at}", wrong);
            }

            at += HeaderLength + length;
        }

        return at;
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();

    // The length of the payload, which is in the buffer then; -1 = there is no whole frame at this place.
    private static int ReadFrame(SafeFileHandle file, long at, long end, ref byte[] buffer)
    {
        Span<byte> header = stackalloc byte[HeaderLength];
        if (end - at < HeaderLength || !Fill(file, header, at) || BinaryPrimitives.ReadUInt32LittleEndian(header) != Magic)
        {
            return -1;
        }

        int length = BinaryPrimitives.ReadInt32LittleEndian(header[4..]);
        if (length is <= 0 or > PayloadLengthMax || length > end - at - HeaderLength)
        {
            return -1;
        }

        if (buffer.Length < length)
        {
            buffer = new byte[Math.Min(PayloadLengthMax, Math.Max(length, buffer.Length * 2))];
        }

        Span<byte> payload = buffer.AsSpan(0, length);
        return Fill(file, payload, at + HeaderLength) && Checksum.Of(payload) == BinaryPrimitives.ReadUInt32LittleEndian(header[8..])
            ? length : -1;
    }

    private static bool HasFrameAfter(SafeFileHandle file, long from, long end, ref byte[] buffer)
    {
        byte[] window = new byte[1 << 16];
        for (long at = from; at < end; at += window.Length - sizeof(uint))
        {
            int read = RandomAccess.Read(file, window, at);
            for (int i = 0; i + sizeof(uint) <= read; i++)
            {
                if (BinaryPrimitives.ReadUInt32LittleEndian(window.AsSpan(i)) == Magic && ReadFrame(file, at + i, end, ref buffer) >= 0)
                {
                    return true;
                }
            }
        }

        return false;
    }

    private static bool Fill(SafeFileHandle file, Span<byte> to, long at)
    {
        while (!to.IsEmpty)
        {
            int read = RandomAccess.Read(file, to, at);
            if (read == 0)
            {
                return false;
            }

            to = to[read..];
            at += read;
        }

        return true;
    }
}
