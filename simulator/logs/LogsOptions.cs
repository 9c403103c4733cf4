namespace Agent.Logs;

/// <summary>The vendor's questions, and one of ours.</summary>
public enum LogQuery
{
    /// <summary>Records of level Error only.</summary>
    Errors,

    /// <summary>Everything of one device.</summary>
    Device,

    /// <summary>Distinct SDK versions with how many devices, connects and disconnects each has.</summary>
    Sdk,

    /// <summary>Every record.</summary>
    All,

    /// <summary>Per device the period between disconnects and what it suggests.</summary>
    Disconnects,
}

/// <summary>The options of <c>simulator logs</c>, checked.</summary>
public sealed record LogsOptions
{
    /// <summary>Files, <c>-</c> for standard input, or the address of a hub on this machine.</summary>
    public required IReadOnlyList<string> Sources { get; init; }

    public LogQuery Query { get; init; } = LogQuery.Errors;

    /// <summary>Only this device; ids are case-sensitive.</summary>
    public string? Device { get; init; }

    /// <summary>UTC; from this moment on.</summary>
    public DateTime? Since { get; init; }

    /// <summary>UTC; before this moment.</summary>
    public DateTime? Until { get; init; }

    /// <summary>Adds root causes, fixes, and renewals told from drops.</summary>
    public bool Explain { get; init; }

    /// <summary>The CA of a running hub, as it printed at its start; null = the system's.</summary>
    public string? CaPath { get; init; }

    /// <summary>Whether the answer is a list of records.</summary>
    public bool ListsRecords => Query is LogQuery.Errors or LogQuery.Device or LogQuery.All;

    /// <summary>Whether a record is asked about at all.</summary>
    internal bool Takes(ConnectionsEntry entry) =>
        (Device is null || entry.DeviceId == Device)
        && (Since is null || entry.TimeGenerated >= Since)
        && (Until is null || entry.TimeGenerated < Until);

    /// <summary>Whether a record taken is a row of the answer.</summary>
    internal bool Lists(ConnectionsEntry entry) => Query switch
    {
        LogQuery.Errors => entry.IsError,
        LogQuery.Device or LogQuery.All => true,
        _ => false,
    };
}
