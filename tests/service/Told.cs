using System.Text;
using Agent.Service;

namespace Agent.Tests.Service;

/// <summary>A checker that was told some facts, and short ways to tell and ask it.</summary>
internal sealed class Told
{
    public const long T0 = 1_772_000_000_000;

    private readonly FactBatch batch = new();

    public Told(LivenessSettings? settings = null, long startMs = T0)
    {
        // Tests jump in time without sweeping in between, which in life means that the checker stood still.
        Checker = new Checker(settings ?? Settings, seed: 7);
        Checker.Start(startMs);
    }

    public static LivenessSettings Settings { get; } = new() { SelfDoubtMs = long.MaxValue / 2 };

    public Checker Checker { get; }

    public Told Sign(string device, long atMs) => Tell(FactKind.SignOfLife, device, atMs);

    public Told Heartbeat(
        string device,
        long atMs,
        uint number = 1,
        int interval = 60,
        int renewal = Hot.NoRenewal,
        int gap = 0,
        string? site = null)
    {
        ref Fact fact = ref batch.Add(FactKind.Heartbeat, Encoding.ASCII.GetBytes(device), atMs);
        fact.Number = number;
        fact.IntervalSeconds = interval;
        fact.RenewalSeconds = renewal;
        fact.GapSeconds = (ushort)gap;
        if (site is not null)
        {
            batch.SetSite(ref fact, site);
        }

        return Apply(atMs);
    }

    public Told Connection(string device, long atMs, ulong order, bool connected)
    {
        ref Fact fact = ref batch.Add(connected ? FactKind.Connected : FactKind.Disconnected, Encoding.ASCII.GetBytes(device), atMs);
        batch.SetOrder(ref fact, new SequenceNumber(0, 0, 0, order));
        return Apply(atMs);
    }

    public Told Log(FactKind kind, string device, long atMs, int code = 0)
    {
        ref Fact fact = ref batch.Add(kind, Encoding.ASCII.GetBytes(device), atMs);
        fact.HubCode = code == 0 ? HubCodes.Clean : HubCodes.Pack(code);
        return Apply(atMs);
    }

    public Told Tell(FactKind kind, string device, long atMs)
    {
        batch.Add(kind, Encoding.ASCII.GetBytes(device), atMs);
        return Apply(atMs);
    }

    /// <summary>Lets time pass and says what a device is then.</summary>
    public Status StatusAt(string device, long nowMs)
    {
        Checker.Sweep(nowMs);
        return Checker.StatusOf(Checker.Find(device));
    }

    public DeviceView View(string device, long nowMs)
    {
        Checker.Sweep(nowMs);
        return Checker.At(Checker.Find(device), nowMs);
    }

    /// <summary>Sweeps as the service does, four times a second.</summary>
    public void RunTo(long fromMs, long untilMs)
    {
        for (long now = fromMs; now <= untilMs; now += TimingWheel.TickMs)
        {
            Checker.Sweep(now);
        }
    }

    private Told Apply(long nowMs)
    {
        Checker.Sweep(nowMs);
        Checker.Apply(batch, nowMs);
        batch.Clear();
        return this;
    }
}
