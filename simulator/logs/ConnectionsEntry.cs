namespace Agent.Logs;

/// <summary>One Connections record as it was read; the members are the columns of the vendor's queries.</summary>
public sealed record ConnectionsEntry
{
    /// <summary>UTC.</summary>
    public required DateTime TimeGenerated { get; init; }

    public required string DeviceId { get; init; }

    /// <summary><c>deviceConnect</c> or <c>deviceDisconnect</c>; others are kept as they are.</summary>
    public required string OperationName { get; init; }

    /// <summary><c>Information</c> or <c>Error</c>; others are kept as they are.</summary>
    public required string Level { get; init; }

    /// <summary>The error code; null on Information.</summary>
    public string? ResultType { get; init; }

    /// <summary>The error's name; null on Information.</summary>
    public string? ResultDescription { get; init; }

    public string? SdkVersion { get; init; }

    public string? Protocol { get; init; }

    /// <summary>A text of JSON, as in the cloud; null on disconnects.</summary>
    public string? AuthType { get; init; }

    public string? MaskedIpAddress { get; init; }

    /// <summary>A field of our own hub: which of the causes behind the code it was.</summary>
    public string? ErrorMessage { get; init; }

    public bool IsError => Level.Equals("Error", StringComparison.OrdinalIgnoreCase);

    public bool IsConnect => OperationName == "deviceConnect";

    public bool IsDisconnect => OperationName == "deviceDisconnect";

    /// <summary>The error code as a number; 0 = none, or not a number.</summary>
    public int Code => int.TryParse(
        ResultType, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out int code) ? code : 0;
}

/// <summary>A place in a log that could not be read.</summary>
/// <param name="Source">The file or address.</param>
/// <param name="Line">Counted from 1.</param>
/// <param name="Problem">What is wrong, without a piece of the content.</param>
public readonly record struct BadLine(string Source, long Line, string Problem)
{
    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Source}:{Line}: {Problem}");
}
