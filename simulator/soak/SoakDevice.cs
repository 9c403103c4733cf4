namespace Agent.Soak;

/// <summary>How a dial ended that did not succeed.</summary>
internal enum DialEnd
{
    NoName,
    Refused,
    TcpTimedOut,
    TlsTimedOut,
    TlsFailed,
}

/// <summary>A device in a soak, as network, faults and books see it; what runs on it is the agent or a model.</summary>
internal abstract class SoakDevice(SoakWorld world, int index, string id)
{
    private readonly int[] active = new int[Enum.GetValues<SoakFault>().Length];
    private readonly List<Action> heldCalls = [];

    protected SoakWorld World { get; } = world;

    public int Index { get; } = index;

    public string Id { get; } = id;

    public byte[] IdBytes { get; } = System.Text.Encoding.ASCII.GetBytes(id);

    public bool HasPower { get; protected set; }

    /// <summary>By how much its clock is off, seconds.</summary>
    public long SkewSeconds { get; set; }

    /// <summary>The last moment at which something was wrong with it or around it, world ms.</summary>
    public long TroubleMs { get; set; } = -1;

    /// <summary>The last moment at which hub and device agreed on a connection, world ms.</summary>
    public long HealthyMs { get; set; }

    /// <summary>What the books say about it.</summary>
    public DeviceBooks Books { get; } = new();

    /// <summary>When the hub wants to be asked about it; long.MaxValue = nothing is planned.</summary>
    public long HubDueMs { get; set; } = long.MaxValue;

    /// <summary>Links of which one end may still be open.</summary>
    public List<SoakLink> Links { get; } = [];

    /// <summary>The link that the device believes to be its connection.</summary>
    public abstract SoakLink? Connection { get; }

    public bool Suffers(SoakFault fault) => active[(int)fault] > 0;

    public bool IsHung => Suffers(SoakFault.Hang);

    /// <summary>Whether packets to the hub arrive.</summary>
    public bool IsUpOpen => !Suffers(SoakFault.BlackHole) && !Suffers(SoakFault.WifiLost) && !Suffers(SoakFault.UplinkHeld);

    /// <summary>Whether packets from the hub arrive.</summary>
    public bool IsDownOpen => !Suffers(SoakFault.BlackHole) && !Suffers(SoakFault.WifiLost);

    /// <summary>Any lasting fault, or a clock that the hub might not tolerate.</summary>
    public bool IsInTrouble => Array.Exists(active, count => count > 0) || Math.Abs(SkewSeconds) > 60 || !HasPower;

    /// <summary>A lasting fault begins or ends for it.</summary>
    public virtual void Change(SoakFault fault, bool begins)
    {
        active[(int)fault] += begins ? 1 : -1;
        TroubleMs = World.NowMs;
        if (fault == SoakFault.Hang && !IsHung)
        {
            GoOn();
        }
    }

    /// <summary>Runs something of the application's; a program that hangs does it when it goes on.</summary>
    protected void Run(Action call)
    {
        if (IsHung)
        {
            heldCalls.Add(call);
        }
        else
        {
            call();
        }
    }

    protected void ForgetCalls() => heldCalls.Clear();

    private void GoOn()
    {
        Action[] calls = [.. heldCalls];
        heldCalls.Clear();
        foreach (Action call in calls)
        {
            call();
        }
    }

    public abstract void PowerOn();

    public abstract void PowerOff();

    public abstract void OnUp(SoakLink link);

    public abstract void OnDialFailed(SoakLink link, DialEnd end);

    public abstract void OnConnack(SoakLink link, int code, bool sessionPresent);

    public abstract void OnPuback(SoakLink link, int packetId);

    public abstract void OnPingresp(SoakLink link);

    public abstract void OnClosed(SoakLink link, bool reset);

    /// <summary>A clock was corrected.</summary>
    public abstract void OnClock();

    /// <summary>The invariants that hold at any moment.</summary>
    public abstract void Check();

    /// <summary>Those that hold at the end, after faults stopped.</summary>
    public abstract void CheckEnd();

    /// <summary>When it must be connected again, faults having stopped and the last connection ended by a moment, world ms.</summary>
    public abstract long BackByMs(long sinceMs);
}
