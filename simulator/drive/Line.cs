using Agent.Fleet;
using Agent.Wire;

namespace Agent.Drive;

[Flags]
internal enum LineFlags : byte
{
    None = 0,
    /// <summary>DISCONNECT is out; the hub's FIN is awaited before anything else happens.</summary>
    Parting = 1,
    /// <summary>A dial was asked for while parting.</summary>
    DialAsked = 2,
    /// <summary>This device's dial counts among those under way.</summary>
    HoldsSlot = 4,
    /// <summary>The application is stopped: timers and reports wait until it goes on.</summary>
    Hung = 8,
}

/// <summary>What a loop knows of a device's connection beside the model's own state; moments in ms of the run, -1 = none.</summary>
internal struct Line
{
    /// <summary>The connection; null while there is none.</summary>
    public ClientSession? Session;

    /// <summary>Its rhythm.</summary>
    public Pulse Pulse;

    /// <summary>How long the client waits for the CONNACK of its newest attempt.</summary>
    public long WaitMs;

    /// <summary>Number of the connection <see cref="Session"/> is.</summary>
    public ushort Link;

    /// <summary>The attempt that holds the dial slot.</summary>
    public ushort SlotLink;

    public ushort PacketId;

    public LineFlags Flags;

    /// <summary>A line without a connection.</summary>
    public static Line Idle => new() { Pulse = Pulse.Idle };

    public readonly bool Has(LineFlags flag) => (Flags & flag) != 0;

    /// <summary>The next packet id, 1 to 65535.</summary>
    public ushort NextPacketId()
    {
        PacketId = PacketId == ushort.MaxValue ? (ushort)1 : (ushort)(PacketId + 1);
        return PacketId;
    }
}
