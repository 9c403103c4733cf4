using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>
/// Flash as the data sheet has it: writing only turns bits from 1 to 0, only an erase turns them back, and after a set
/// number of bytes the power is gone, in the middle of a byte if need be.
/// </summary>
internal sealed class CuttableFlash(int blockCount, int blockSize) : IStorage
{
    private byte[] _bytes = [.. Enumerable.Repeat((byte)0xFF, blockCount * blockSize)];

    public int BlockSize => blockSize;

    public int BlockCount => blockCount;

    /// <summary>Bytes that may still be written or erased; after that the power is gone.</summary>
    public int BytesLeft { get; set; } = int.MaxValue;

    /// <summary>What becomes of the byte under way: the bits in this mask still change.</summary>
    public byte TornMask { get; set; }

    public int BytesUsed { get; private set; }

    public bool IsDead => BytesLeft <= 0;

    public byte[] Snapshot() => [.. _bytes];

    /// <summary>The same medium after the power has come back.</summary>
    public CuttableFlash PowerUp() => new(blockCount, blockSize) { _bytes = [.. _bytes] };

    public bool Read(int block, int offset, byte[] buffer, int index, int count)
    {
        Assert.InRange(offset + count, 0, blockSize);
        Array.Copy(_bytes, (block * blockSize) + offset, buffer, index, count);
        return true;
    }

    public bool Write(int block, int offset, byte[] buffer, int index, int count)
    {
        Assert.InRange(offset + count, 0, blockSize);
        for (int i = 0; i < count; i++)
        {
            byte wanted = buffer[index + i];
            ref byte cell = ref _bytes[(block * blockSize) + offset + i];
            Assert.True((cell & wanted) == wanted, "a bit that is 0 was to become 1 without an erase");
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
            if (!Spend(ref _bytes[(block * blockSize) + i], 0xFF))
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

        BytesUsed++;
        if (--BytesLeft == 0)
        {
            cell = (byte)((wanted & TornMask) | (cell & ~TornMask));
            return false;
        }

        cell = wanted;
        return true;
    }
}
