namespace Agent.Wire;

/// <summary>SUBACK (§3.9) as read.</summary>
public readonly ref struct SubackPacket
{
    /// <summary>One filter was refused.</summary>
    public const byte Failure = 0x80;

    internal SubackPacket(ushort packetId, ReadOnlySpan<byte> codes)
    {
        PacketId = packetId;
        Codes = codes;
    }

    /// <summary>The id of the SUBSCRIBE that is answered, 1 to 65535.</summary>
    public ushort PacketId { get; }

    /// <summary>One code per filter, in order: 0, 1 or 2 = QoS granted, 0x80 = refused.</summary>
    public ReadOnlySpan<byte> Codes { get; }
}
