namespace Agent.Logs;

/// <summary>What one SDK version did.</summary>
public sealed class SdkRow(string sdkVersion)
{
    internal HashSet<string> Ids { get; } = [];

    public string SdkVersion { get; } = sdkVersion;

    public long Devices => Ids.Count;

    /// <summary>Successful ones.</summary>
    public long Connects { get; internal set; }

    /// <summary>Records of deviceDisconnect, of either level.</summary>
    public long Disconnects { get; internal set; }

    /// <summary>Records of level Error.</summary>
    public long Errors { get; internal set; }
}

/// <summary>All records of one kind of error.</summary>
public sealed class ErrorRow(string operation, string? resultType, string? resultDescription, int code)
{
    internal HashSet<string> Ids { get; } = [];

    public string OperationName { get; } = operation;

    public string? ResultType { get; } = resultType;

    public string? ResultDescription { get; } = resultDescription;

    public int Code { get; } = code;

    public long Records { get; internal set; }

    public long Devices => Ids.Count;

    /// <summary>Of the records, those that belong to healthy renewals; known at the end.</summary>
    public long InHealthyRenewals { get; internal set; }

    public ErrorAdvice Advice => ErrorGuide.Of(OperationName, Code);
}

/// <summary>Gathers, record by record, what the answers need that are not lists of records.</summary>
/// <remarks>Memory grows with the devices and SDKs in a log, up to a hub's own limit of devices, never with its length.</remarks>
public sealed class LogAnalysis
{
    /// <summary>Most devices followed: what one hub can have (facts/iothub.md §6).</summary>
    public const int DevicesMax = 1_000_000;

    /// <summary>Most kinds of errors, and most SDK versions, told apart.</summary>
    public const int GroupsMax = 2000;

    private const string Others = "(others)";

    private readonly bool followsSdks;
    private readonly bool followsDevices;
    private readonly bool followsErrors;
    private readonly Dictionary<string, SdkRow> sdks = [];
    private readonly Dictionary<string, DeviceHistory> devices = [];
    private readonly Dictionary<(string Operation, string? Type, string? Description), ErrorRow> errors = [];
    private DateTime last = DateTime.MinValue;

    internal LogAnalysis(LogsOptions options)
    {
        followsSdks = options.Query == LogQuery.Sdk;
        followsDevices = options.Explain || options.Query == LogQuery.Disconnects;
        followsErrors = options.Explain;
    }

    /// <summary>SDK versions by name.</summary>
    public IEnumerable<SdkRow> Sdks => sdks.Values.OrderBy(row => row.SdkVersion, StringComparer.Ordinal);

    /// <summary>Kinds of errors, the most frequent first.</summary>
    public IEnumerable<ErrorRow> Errors => errors.Values
        .OrderByDescending(row => row.Records).ThenBy(row => row.OperationName, StringComparer.Ordinal).ThenBy(row => row.Code);

    /// <summary>Devices by id.</summary>
    public IEnumerable<DeviceHistory> Devices => devices.Values.OrderBy(device => device.DeviceId, StringComparer.Ordinal);

    public int DeviceCount => devices.Count;

    /// <summary>Records of devices beyond <see cref="DevicesMax"/>.</summary>
    public long RecordsNotFollowed { get; private set; }

    /// <summary>All devices together; complete after <see cref="Finish"/>.</summary>
    public EndCounts Totals { get; private set; }

    internal void Add(ConnectionsEntry entry)
    {
        last = entry.TimeGenerated > last ? entry.TimeGenerated : last;
        if (followsSdks)
        {
            AddToSdk(entry);
        }

        if (followsDevices)
        {
            if (devices.TryGetValue(entry.DeviceId, out DeviceHistory? device))
            {
                device.Add(entry);
            }
            else if (devices.Count < DevicesMax)
            {
                devices[entry.DeviceId] = device = new DeviceHistory(entry.DeviceId);
                device.Add(entry);
            }
            else
            {
                RecordsNotFollowed++;
            }
        }

        if (followsErrors && entry.IsError)
        {
            AddToErrors(entry);
        }
    }

    internal void Finish()
    {
        EndCounts totals = default;
        foreach (DeviceHistory device in devices.Values)
        {
            device.Finish(last);
            totals.Add(device.Counts);
        }

        Totals = totals;
        foreach (ErrorRow row in errors.Values.Where(row => row.OperationName == "deviceDisconnect"))
        {
            row.InHealthyRenewals = row.Code switch
            {
                401003 => totals.Harmless401003,
                401002 => totals.Harmless401002,
                404104 => totals.Harmless404104,
                _ => 0,
            };
        }
    }

    private void AddToSdk(ConnectionsEntry entry)
    {
        string name = entry.SdkVersion ?? "";
        if (!sdks.TryGetValue(name, out SdkRow? row))
        {
            name = sdks.Count < GroupsMax ? name : Others;
            row = sdks.GetValueOrDefault(name) ?? (sdks[name] = new SdkRow(name));
        }

        if (row.Ids.Count < DevicesMax)
        {
            row.Ids.Add(entry.DeviceId);
        }

        row.Connects += entry.IsConnect && !entry.IsError ? 1 : 0;
        row.Disconnects += entry.IsDisconnect ? 1 : 0;
        row.Errors += entry.IsError ? 1 : 0;
    }

    private void AddToErrors(ConnectionsEntry entry)
    {
        var key = (entry.OperationName, entry.ResultType, entry.ResultDescription);
        if (!errors.TryGetValue(key, out ErrorRow? row))
        {
            key = errors.Count < GroupsMax ? key : (Others, null, null);
            row = errors.GetValueOrDefault(key)
                ?? (errors[key] = new ErrorRow(
                    key.OperationName, key.ResultType, key.ResultDescription, key.ResultType is null ? 0 : entry.Code));
        }

        row.Records++;
        if (row.Ids.Count < DevicesMax)
        {
            row.Ids.Add(entry.DeviceId);
        }
    }
}
