using Agent.Input;
using Agent.World;

namespace Agent.Drive;

/// <summary>Which faults of a scenario sockets can do, and what they need.</summary>
internal static class WireFaults
{
    private static readonly FaultKind[] Never = [FaultKind.DnsFail, FaultKind.TlsMemory];

    private static readonly FaultKind[] ByTheHub =
    [
        FaultKind.Refuse, FaultKind.HubDown, FaultKind.HubFailover, FaultKind.Throttle, FaultKind.QuotaExceeded,
        FaultKind.DeviceDisabled, FaultKind.KeyRotated,
    ];

    /// <summary>Refuses a scenario with a fault this run cannot have.</summary>
    /// <exception cref="BadInputException">Names the fault and what is allowed.</exception>
    public static void Check(Scenario scenario, bool ownHub)
    {
        for (int i = 0; i < scenario.Faults.Count; i++)
        {
            FaultKind kind = scenario.Faults[i].Kind;
            if (Never.Contains(kind) || (!ownHub && ByTheHub.Contains(kind)))
            {
                string why = Never.Contains(kind) ? "cannot be done on the wire" : "needs the run's own hub: leave --hub out";
                IEnumerable<string> allowed = Enum.GetValues<FaultKind>().Except(Never)
                    .Where(other => ownHub || !ByTheHub.Contains(other)).Select(Name);
                throw new BadInputException($"$.faults[{i}].kind: {Name(kind)} {why}; allowed: {string.Join(", ", allowed)}");
            }
        }
    }

    /// <summary>Whether the path must be interruptible.</summary>
    public static bool NeedRelay(Scenario scenario) =>
        scenario.Faults.Any(fault => fault.Kind is FaultKind.NetworkDown or FaultKind.SilentHub or FaultKind.Crash);

    /// <summary>Whether dials must be able to fail.</summary>
    public static bool NeedDeadPorts(Scenario scenario) =>
        scenario.Faults.Any(fault => fault.Kind is FaultKind.NetworkDown or FaultKind.SilentHub or FaultKind.PortBlocked);

    private static string Name(FaultKind kind) => char.ToLowerInvariant(kind.ToString()[0]) + kind.ToString()[1..];
}
