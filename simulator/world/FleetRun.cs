using Agent.Fleet;

namespace Agent.World;

/// <summary>A fleet while it runs: this shard's part of it.</summary>
public sealed class FleetRun(FleetPlan plan, SdkModel model, int firstLocal, int localCount, int firstGlobal)
{
    public FleetPlan Plan { get; } = plan;
    public SdkModel Model { get; } = model;
    public int FirstLocal { get; } = firstLocal;
    public int LocalCount { get; } = localCount;
    public int FirstGlobal { get; } = firstGlobal;
    public FleetStatistics Statistics { get; } = new();
    public List<TimelineEntry> Timeline { get; } = [];

    /// <summary>Connections of the fleet's first device, if this shard has it.</summary>
    public List<LaneStretch> Lane { get; } = [];

    /// <summary>What this fleet's CONNECT says; computed once.</summary>
    public ConnectFields Fields { get; } = model.Connect;

    /// <summary>How long this client last said it waits for an answer to its attempt, ms.</summary>
    public long ConnackWaitMs { get; set; } = 60_000;

    /// <summary>Index in the whole run of a device of this shard.</summary>
    public int GlobalIndex(int local, int shard, int shardCount) =>
        FirstGlobal + ((local - FirstLocal) * shardCount) + shard;
}
