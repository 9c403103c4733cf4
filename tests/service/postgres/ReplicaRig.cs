using System.Globalization;
using System.Text;
using Agent.Service;
using Npgsql;

namespace Agent.Tests.Service.Postgres;

/// <summary>A replica whose turns are taken by hand.</summary>
internal sealed class ReplicaRig : IDisposable
{
    private readonly string database;
    private readonly FactBatch batch = new();

    public ReplicaRig(string database, LivenessSettings? settings = null, TimeSpan? keepJournal = null)
    {
        this.database = database;
        Options = PostgresOptions.TryParse(database)! with
        {
            FoldEvery = TimeSpan.FromDays(1),
            KeepJournal = keepJournal ?? TimeSpan.FromMinutes(2),
        };
        Loop = new CheckLoop(new ServiceOptions { Postgres = Options, Liveness = settings ?? Settings }, TimeProvider.System);
        Loop.AlarmChanged += Told.Add;
    }

    /// <summary>Facts of the past are judged at once: nothing makes up for their coming late, and nothing is on its way.</summary>
    public static LivenessSettings Settings { get; } = Tests.Service.Told.Settings with
    {
        SlowStartMs = 0,
        DeliverySlackMs = 0,
        DeliveryDelayMs = long.MaxValue / 2,
        MassLossDevices = int.MaxValue,
    };

    public PostgresOptions Options { get; }

    public CheckLoop Loop { get; }

    public PostgresStore Store => Loop.Replica!;

    public List<Alarm> Told { get; } = [];

    public long NowMs => Loop.Ask((_, nowMs) => nowMs);

    /// <summary>A heartbeat so long ago; the next one was due after a minute, if nothing else is said.</summary>
    public Task<string?> BeatAsync(string device, double agoSeconds = 0, uint number = 1, string? site = null) =>
        BeatAsync([device], agoSeconds, number, site, interval: 60);

    /// <summary>The same of several devices at once.</summary>
    public Task<string?> BeatAsync(IEnumerable<string> devices, double agoSeconds, uint number, string? site, int interval)
    {
        foreach (string device in devices)
        {
            ref Fact fact = ref batch.Add(FactKind.Heartbeat, Encoding.ASCII.GetBytes(device), At(agoSeconds));
            fact.Number = number;
            fact.IntervalSeconds = interval;
            if (site is not null)
            {
                batch.SetSite(ref fact, site);
            }
        }

        return SendAsync();
    }

    public Task<string?> LinkAsync(string device, double agoSeconds, ulong order, bool isConnected)
    {
        FactKind kind = isConnected ? FactKind.Connected : FactKind.Disconnected;
        ref Fact fact = ref batch.Add(kind, Encoding.ASCII.GetBytes(device), At(agoSeconds));
        batch.SetOrder(ref fact, new SequenceNumber(1, 2, 3, order));
        return SendAsync();
    }

    public Task<string?> LogAsync(FactKind kind, string device, double agoSeconds, int code = 0)
    {
        ref Fact fact = ref batch.Add(kind, Encoding.ASCII.GetBytes(device), At(agoSeconds));
        fact.HubCode = code == 0 ? HubCodes.Clean : HubCodes.Pack(code);
        return SendAsync();
    }

    public async Task TurnAsync(int times = 1)
    {
        for (int i = 0; i < times; i++)
        {
            await Loop.TurnAsync();
        }
    }

    /// <summary>
    /// Everything that is known of all devices, in order of their ids. Since when a status holds is kept with the rows: who
    /// has it from the journal alone dates it anew.
    /// </summary>
    public string Picture(bool withSince = false) => Loop.Ask((checker, _) =>
    {
        var lines = new List<string>();
        for (int row = 0; row < checker.Count; row++)
        {
            DeviceView view = checker.At(row, 0);
            lines.Add((withSince ? view : view with { SinceMs = null }).ToString());
        }

        return string.Join('\n', lines.Order(StringComparer.Ordinal));
    });

    public int Open() => Loop.Ask((checker, _) => checker.Alarms.Open.Count);

    /// <summary>As kill -9 leaves it, once its lease has run out: nothing is given back.</summary>
    public Task DieAsync() => RunAsync(
        $"UPDATE checker.replica SET lease_until = clock_timestamp() - interval '1 s' WHERE replica = {Store.Replica}");

    public Task RunAsync(string statement) => RunAsync(database, statement);

    public Task<T> AskAsync<T>(string query) => AskAsync<T>(database, query);

    public static async Task RunAsync(string database, string statement)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(statement, connection);
        await command.ExecuteNonQueryAsync();
    }

    public static async Task<T> AskAsync<T>(string database, string query)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(query, connection);
        return (T)Convert.ChangeType((await command.ExecuteScalarAsync())!, typeof(T), CultureInfo.InvariantCulture);
    }

    public void Dispose() => Loop.Dispose();

    private static long At(double agoSeconds) => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() - (long)(agoSeconds * 1000);

    private async Task<string?> SendAsync()
    {
        string? refusal = await Loop.TakeAsync(batch, TimeSpan.FromMinutes(10));
        batch.Clear();
        return refusal;
    }
}
