using Npgsql;

namespace Agent.Service;

/// <summary>Which database, and how patient the replicas are with each other.</summary>
public sealed record PostgresOptions
{
    private const int PoolMax = 10;

    private PostgresOptions(NpgsqlConnectionStringBuilder connection)
    {
        Connection = connection;
    }

    /// <summary>A dead replica's share is taken over within this time, counted from its death; 2 s to 10 min.</summary>
    public TimeSpan TakeOverWithin { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How often the devices of a replica's share are written to their rows.</summary>
    public TimeSpan FoldEvery { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long the journal keeps what is in the devices' rows: a replica that stood still for longer has to start anew.</summary>
    public TimeSpan KeepJournal { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How long alarms are kept after they were cleared.</summary>
    public TimeSpan KeepAlarms { get; init; } = TimeSpan.FromDays(90);

    /// <summary>For people who look into the table of replicas.</summary>
    public string Name { get; init; } = $"{Environment.MachineName}:{Environment.ProcessId}";

    /// <summary>Where, for messages: never with a password.</summary>
    public string Place => $"PostgreSQL at {Connection.Host}, database {Connection.Database}";

    // How long a renewal holds. The rest of the interval is for noticing and for claiming.
    internal TimeSpan Lease => TakeOverWithin * 0.8;

    internal NpgsqlConnectionStringBuilder Connection { get; }

    /// <summary>Reads a connection string: <c>Host=…;Database=…;Username=…;Password=…</c>, every keyword of Npgsql.</summary>
    /// <returns>Null = it is not one. The text is nowhere repeated: it holds a password.</returns>
    public static PostgresOptions? TryParse(string text)
    {
        try
        {
            var connection = new NpgsqlConnectionStringBuilder(text);
            connection.ApplicationName ??= "agent-service";
            connection.Timeout = connection.ContainsKey("Timeout") ? connection.Timeout : 5;
            connection.CommandTimeout = connection.ContainsKey("Command Timeout") ? connection.CommandTimeout : 10;
            connection.MaxPoolSize = connection.ContainsKey("Maximum Pool Size") ? connection.MaxPoolSize : PoolMax;
            connection.PersistSecurityInfo = false;
            connection.IncludeErrorDetail = false;
            return string.IsNullOrEmpty(connection.Host) ? null : new PostgresOptions(connection);
        }
        catch (Exception wrong) when (wrong is ArgumentException or FormatException or InvalidCastException or OverflowException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Place;
}
