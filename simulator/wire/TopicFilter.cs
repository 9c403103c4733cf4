using System.Text;

namespace Agent.Wire;

/// <summary>A topic filter and the quality of service asked for, to be sent in SUBSCRIBE or UNSUBSCRIBE.</summary>
public readonly struct TopicFilter
{
    /// <summary>Holds on to <paramref name="filter"/> (UTF-8, 1 to 65535 bytes); encode once, send often.</summary>
    /// <param name="filter">The filter, wildcards allowed.</param>
    /// <param name="qos">0 to 2; ignored by UNSUBSCRIBE.</param>
    public TopicFilter(ReadOnlyMemory<byte> filter, byte qos = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(qos, (byte)2);
        Filter = filter;
        Qos = qos;
    }

    /// <summary>Encodes <paramref name="filter"/>; allocates.</summary>
    public TopicFilter(string filter, byte qos = 0)
        : this(Encoding.UTF8.GetBytes(filter), qos)
    {
    }

    /// <summary>The filter, UTF-8.</summary>
    public ReadOnlyMemory<byte> Filter { get; }

    /// <summary>Quality of service asked for, 0 to 2.</summary>
    public byte Qos { get; }
}
