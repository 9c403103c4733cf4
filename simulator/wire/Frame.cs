namespace Agent.Wire;

/// <summary>One whole packet as split off the stream: type, flags and body, not yet looked into.</summary>
public readonly ref struct Frame
{
    internal Frame(byte first, ReadOnlySpan<byte> body, int totalBytes)
    {
        First = first;
        Body = body;
        TotalBytes = totalBytes;
    }

    /// <summary>The packet's first byte: type in the high half, flags in the low half.</summary>
    public byte First { get; }

    /// <summary>The packet's type.</summary>
    public PacketType Type => (PacketType)(First >> 4);

    /// <summary>The low four bits of the first byte.</summary>
    public byte Flags => (byte)(First & 0x0F);

    /// <summary>Everything after the fixed header, bytes.</summary>
    public ReadOnlySpan<byte> Body { get; }

    /// <summary>Fixed header and body together, bytes.</summary>
    public int TotalBytes { get; }
}
