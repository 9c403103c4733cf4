using Agent.Tests.Hub;

namespace Agent.Tests.Logs;

/// <summary>Records in the shapes the cloud writes, from facts/iothub.md §3; not from our own writer.</summary>
internal static class GoldenLogs
{
    /// <summary>The documented row, its placeholders filled: an error, authType and statusCode present.</summary>
    public static readonly string Documented = Read("logs-documented.jsonl");

    /// <summary>2019: no SDK, no result, X.509 on the connect, "statusCode":null, and authType null on the disconnect.</summary>
    public static readonly string Of2019 = Read("logs-2019.jsonl");

    /// <summary>An Event Hub message: several records in one object, one of another category, one with properties as an object.</summary>
    public static readonly string EventHub = Read("logs-eventhub.json");

    public static readonly string[] All = [Documented, Of2019, EventHub];

    private static string Read(string name) => File.ReadAllText(HubFolder.Golden(name)).ReplaceLineEndings("\n").TrimEnd();
}
