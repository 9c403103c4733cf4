using Agent.Core;

namespace Agent.Soak;

/// <summary>
/// Flash as the data sheet has it: bits only go from 1 to 0, only an erase brings them back, and power may go at any byte.
/// </summary>
internal sealed class FlashArea(int blockCount, int blockSize) : IStorage
{
    private readonly byte[] bytes = NewBytes(blockCount * blockSize);

    public int BlockSize => blockSize;

    public int BlockCount => blockCount;

    /// <summary>Bytes that may still be written or erased before the power goes; reset by <see cref="PowerUp"/>.</summary>
    public int BytesLeft { get; set; } = int.MaxValue;

    /// <summary>Bits of the byte under way that still change.</summary>
    public byte TornMask { get; set; }

    public bool IsDead => BytesLeft <= 0;

    public void PowerUp() => BytesLeft = int.MaxValue;

    public bool Read(int block, int offset, byte[] buffer, int index, int count)
    {
        Array.Copy(bytes, (block * blockSize) + offset, buffer, index, count);
        return true;
    }

    public bool Write(int block, int offset, byte[] buffer, int index, int count)
    {
        for (int i = 0; i < count; i++)
        {
            ref byte cell = ref bytes[(block * blockSize) + offset + i];
            byte wanted = buffer[index + i];
            if ((cell & wanted) != wanted)
            {
                throw new InvalidOperationException("a bit of flash that is 0 was to become 1 without an erase");
            }

            if (!Spend(ref cell, wanted))
            {
                return false;
            }
        }

        return true;
    }

    public bool Erase(int block)
    {
        for (int i = 0; i < blockSize; i++)
        {
            if (!Spend(ref bytes[(block * blockSize) + i], 0xFF))
            {
                return false;
            }
        }

        return true;
    }

    private bool Spend(ref byte cell, byte wanted)
    {
        if (BytesLeft <= 0)
        {
            return false;
        }

        if (--BytesLeft == 0)
        {
            cell = (byte)((wanted & TornMask) | (cell & ~TornMask));
            return false;
        }

        cell = wanted;
        return true;
    }

    private static byte[] NewBytes(int count)
    {
        byte[] erased = new byte[count];
        Array.Fill(erased, (byte)0xFF);
        return erased;
    }
}
