using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Agent.Tests.Service.Postgres;

/// <summary>A real PostgreSQL on a port and in a folder of its own, with fsync, a password, and the programs Debian installs.</summary>
/// <remarks>
/// A shell holds it and waits for the end of its own input, which is a pipe from here: however this process ends, the server ends with
/// it, and the folder goes. The server refuses to run as root, so root starts it as the user that the package made, or as nobody.
/// </remarks>
internal sealed class PostgresServer : IAsyncDisposable
{
    private const string User = "agent";

    private const string Keep = """
        umask 077
        $2/postgres -D "$1/data" -p $3 -c listen_addresses=127.0.0.1 -c unix_socket_directories="$1" -c fsync=on -c max_connections=200 \
            >>"$1/log" 2>&1 </dev/null &
        server=$!
        cat >/dev/null
        kill -QUIT $server
        wait $server
        [ -e "$1/keep" ] || rm -rf "$1"
        """;

    private static readonly Lazy<Task<PostgresServer>> Shared = new(StartAsync);
    private static int databases;

    private readonly string folder;
    private readonly string programs;
    private readonly string password;
    private Process? keeper;

    private PostgresServer(string folder, string programs, string password, int port)
    {
        this.folder = folder;
        this.programs = programs;
        this.password = password;
        Port = port;
    }

    public int Port { get; }

    /// <summary>A new, empty database on the server that all tests share; the test is skipped where there is no PostgreSQL.</summary>
    public static async Task<string> NewDatabaseAsync() => await (await Shared.Value).CreateDatabaseAsync();

    /// <summary>A server of the test's own.</summary>
    public static async Task<PostgresServer> StartAsync()
    {
        string? programs = FindPrograms();
        Assert.SkipWhen(programs is null, "PostgreSQL is not installed");
        string folder = Path.Combine(Path.GetTempPath(), "agent-pg-" + Guid.NewGuid().ToString("n")[..12]);
        string password = Guid.NewGuid().ToString("n");
        var server = new PostgresServer(folder, programs, password, FreePort());
        await RunAsync("mkdir", ["-m", "700", folder]);
        await File.WriteAllTextAsync(folder + "/password", password);
        await server.RunAsServerAsync(
            programs + "/initdb", "-D", folder + "/data", "-U", User, "--pwfile", folder + "/password", "-A", "scram-sha-256", "-E", "UTF8",
            "--locale", "C", "--no-sync");
        await server.BeginAsync();
        return server;
    }

    /// <summary>A new database; the connection string with its password.</summary>
    public async Task<string> CreateDatabaseAsync()
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"checker{Interlocked.Increment(ref databases)}");
        await using var connection = new NpgsqlConnection(ConnectionTo("postgres"));
        await connection.OpenAsync();
        await using var create = new NpgsqlCommand($"CREATE DATABASE {name}", connection);
        await create.ExecuteNonQueryAsync();
        return ConnectionTo(name);
    }

    /// <summary>Starts it, again.</summary>
    public async Task BeginAsync()
    {
        File.Delete(folder + "/keep");
        string[] command = [.. AsServer(), "sh", "-c", Keep, "sh", folder, programs, Port.ToString(CultureInfo.InvariantCulture)];
        keeper = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardInput = true, WorkingDirectory = "/" })!;
        var waited = Stopwatch.StartNew();
        while (true)
        {
            try
            {
                await using var connection = new NpgsqlConnection(ConnectionTo("postgres"));
                await connection.OpenAsync();
                return;
            }
            catch (NpgsqlException) when (waited.Elapsed < TimeSpan.FromSeconds(60) && !keeper.HasExited)
            {
                await Task.Delay(100);
            }
        }
    }

    /// <summary>Lets it crash: what was not on its disk is lost.</summary>
    public async Task CrashAsync()
    {
        await File.WriteAllTextAsync(folder + "/keep", "");
        keeper!.StandardInput.Close();
        await keeper.WaitForExitAsync();
        NpgsqlConnection.ClearAllPools();
    }

    public async ValueTask DisposeAsync()
    {
        File.Delete(folder + "/keep");
        keeper!.StandardInput.Close();
        await keeper.WaitForExitAsync();
        keeper.Dispose();
    }

    private static string? FindPrograms()
    {
        IEnumerable<string> debian = Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql").OrderDescending().Select(version => version + "/bin") : [];
        return debian.Concat((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':'))
            .FirstOrDefault(path => File.Exists(path + "/initdb") && File.Exists(path + "/postgres"));
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static string[] AsServer()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            return ["env"];
        }

        bool isMade = File.ReadLines("/etc/passwd").Any(line => line.StartsWith("postgres:", StringComparison.Ordinal));
        (string user, string group) = isMade ? ("postgres", "postgres") : ("nobody", "nogroup");
        return ["setpriv", "--reuid=" + user, "--regid=" + group, "--clear-groups"];
    }

    private static async Task RunAsync(string program, string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/",
        })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = await process.StandardError.ReadToEndAsync();
        await output;
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program}: {error}");
    }

    private async Task RunAsServerAsync(string program, params string[] arguments)
    {
        string[] prefix = AsServer();
        if (prefix.Length > 1)
        {
            await RunAsync("chown", ["-R", prefix[1]["--reuid=".Length..], folder]);
        }

        await RunAsync(prefix[0], [.. prefix[1..], program, .. arguments]);
    }

    private string ConnectionTo(string database) => string.Create(
        CultureInfo.InvariantCulture, $"Host=127.0.0.1;Port={Port};Database={database};Username={User};Password={password}");
}
