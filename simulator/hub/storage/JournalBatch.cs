using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Agent.Hub;

/// <summary>Changes that are kept together or not at all: values put under keys, keys deleted.</summary>
public sealed class JournalBatch
{
    /// <summary>Longest key in bytes.</summary>
    public const int KeyLengthMax = 1024;

    /// <summary>Longest batch in bytes.</summary>
    public const int LengthMax = 8 * 1024 * 1024;

    internal const byte PutMark = 1;
    internal const byte DeleteMark = 2;
    internal const byte EndMark = 3;

    private readonly ArrayBufferWriter<byte> buffer = new();

    /// <summary>Bytes it will take.</summary>
    public int Length => buffer.WrittenCount;

    internal ReadOnlySpan<byte> Bytes => buffer.WrittenSpan;

    public JournalBatch Put(string key, ReadOnlySpan<byte> value) => Add(PutMark, key, value);

    public JournalBatch Delete(string key) => Add(DeleteMark, key, default);

    /// <summary>Starts anew.</summary>
    internal void Clear() => buffer.ResetWrittenCount();

    internal JournalBatch Add(byte mark, string key, ReadOnlySpan<byte> value)
    {
        int keyLength = Encoding.UTF8.GetByteCount(key);
        long length = 1L + sizeof(ushort) + keyLength + sizeof(int) + value.Length;
        if (keyLength > KeyLengthMax || buffer.WrittenCount + length > LengthMax)
        {
            throw new ArgumentException($"a journal key has at most {KeyLengthMax} bytes and a batch {LengthMax}", nameof(key));
        }

        Span<byte> at = buffer.GetSpan((int)length);
        at[0] = mark;
        BinaryPrimitives.WriteUInt16LittleEndian(at[1..], (ushort)keyLength);
        Encoding.UTF8.GetBytes(key, at[3..]);
        at = at[(3 + keyLength)..];
        BinaryPrimitives.WriteInt32LittleEndian(at, value.Length);
        value.CopyTo(at[sizeof(int)..]);
        buffer.Advance((int)length);
        return this;
    }

    /// <summary>Takes the next entry off a frame's payload; false when what is there is none.</summary>
    internal static bool TryTake(ref ReadOnlySpan<byte> from, out byte mark, out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value)
    {
        mark = 0;
        key = value = default;
        if (from.Length < 3 || from[0] is < PutMark or > EndMark)
        {
            return false;
        }

        int keyLength = BinaryPrimitives.ReadUInt16LittleEndian(from[1..]);
        if (keyLength > KeyLengthMax || from.Length < 3 + keyLength + sizeof(int))
        {
            return false;
        }

        int valueLength = BinaryPrimitives.ReadInt32LittleEndian(from[(3 + keyLength)..]);
        int end = 3 + keyLength + sizeof(int);
        if (valueLength < 0 || valueLength > from.Length - end)
        {
            return false;
        }

        mark = from[0];
        key = from.Slice(3, keyLength);
        value = from.Slice(end, valueLength);
        from = from[(end + valueLength)..];
        return true;
    }
}
