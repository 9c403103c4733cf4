namespace Agent.Hub;

/// <summary>
/// Every kind of Connections record a connection can earn: operation, level and error code (facts of the vendor's
/// monitoring reference and error-code page). A small number, so that a million devices' records are counted in an array.
/// </summary>
public enum LogKind : byte
{
    Connect,
    Disconnect,
    DisconnectClosedRemotely,
    DisconnectUnauthorized,
    DisconnectTakenOver,
    DisconnectLinkConflict,
    DisconnectQuota,
    DisconnectDisabled,
    DisconnectThrottled,
    DisconnectServerError,
    ConnectUnauthorized,
    ConnectDisabled,
    ConnectThrottled,
    ConnectServerError,
    ConnectTimeout,
}

/// <summary>One row: how a <see cref="LogKind"/> is written. Code 0 = none (Information).</summary>
public readonly record struct LogShape(string Operation, bool IsError, int Code, string Description)
{
    /// <summary>The key used in results: <c>deviceDisconnect/Error/404104</c>.</summary>
    public string Key => Code == 0
        ? Operation + (IsError ? "/Error" : "/Information")
        : Operation + "/Error/" + Code.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>The table behind <see cref="LogKind"/>.</summary>
public static class LogKinds
{
    private const string ConnectOperation = "deviceConnect";
    private const string DisconnectOperation = "deviceDisconnect";

    private static readonly LogShape[] Shapes =
    [
        new(ConnectOperation, false, 0, ""),
        new(DisconnectOperation, false, 0, ""),
        new(DisconnectOperation, true, 404104, "DeviceConnectionClosedRemotely"),
        new(DisconnectOperation, true, 401003, "IoTHubUnauthorized"),
        new(DisconnectOperation, true, 400027, "ConnectionForcefullyClosedOnNewConnection"),
        new(DisconnectOperation, true, 409002, "LinkCreationConflict"),
        new(DisconnectOperation, true, 403002, "IoTHubQuotaExceeded"),
        new(DisconnectOperation, true, 403012, "DeviceDisabled"),
        new(DisconnectOperation, true, 429002, "ThrottleBacklogLimitExceeded"),
        new(DisconnectOperation, true, 500001, "ServerError"),
        new(ConnectOperation, true, 401003, "IoTHubUnauthorized"),
        new(ConnectOperation, true, 403012, "DeviceDisabled"),
        new(ConnectOperation, true, 429002, "ThrottleBacklogLimitExceeded"),
        new(ConnectOperation, true, 500001, "ServerError"),
        new(ConnectOperation, true, 500008, "GenericTimeout"),
    ];

    /// <summary>How many kinds there are.</summary>
    public static int Count => Shapes.Length;

    /// <summary>Operation, level, code and description of a kind.</summary>
    public static LogShape Shape(this LogKind kind) => Shapes[(int)kind];
}

/// <summary>Where the machine writes its records: counted in virtual time, written to a file by <c>hub</c>.</summary>
public interface IHubLog
{
    /// <summary>One Connections record about a device, at the hub's moment <paramref name="nowMs"/>.</summary>
    void Record(long nowMs, int device, LogKind kind);
}
