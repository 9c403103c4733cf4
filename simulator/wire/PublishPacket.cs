namespace Agent.Wire;

/// <summary>PUBLISH (§3.3), read or to be written. Spans point into the caller's memory.</summary>
public readonly ref struct PublishPacket
{
    /// <summary>Topic name, UTF-8, 1 to 65535 bytes, no wildcards.</summary>
    public ReadOnlySpan<byte> Topic { get; init; }

    /// <summary>Application message, any bytes, may be empty.</summary>
    public ReadOnlySpan<byte> Payload { get; init; }

    /// <summary>Quality of service, 0 to 2.</summary>
    public byte Qos { get; init; }

    /// <summary>1 to 65535 with QoS 1 and 2; 0 (none) with QoS 0.</summary>
    public ushort PacketId { get; init; }

    /// <summary>A repeat of an earlier attempt; never with QoS 0.</summary>
    public bool Dup { get; init; }

    /// <summary>The retain flag.</summary>
    public bool Retain { get; init; }
}
