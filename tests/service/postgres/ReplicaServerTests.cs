using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Agent.Service;
using Microsoft.AspNetCore.Builder;
using Npgsql;

namespace Agent.Tests.Service.Postgres;

/// <summary>Replicas behind HTTP, and how the program is told of the database.</summary>
[Collection(RealTime.Name)]
public sealed class ReplicaServerTests : IDisposable
{
    private const string Password = "seven-secret-sesames";

    private readonly HttpClient client = new();
    private readonly string file = Path.Combine(Path.GetTempPath(), "database-" + Guid.NewGuid().ToString("n"));

    public void Dispose()
    {
        client.Dispose();
        File.Delete(file);
    }

    [Fact]
    public async Task Every_replica_takes_facts_and_answers_for_the_whole_fleet()
    {
        string database = await PostgresServer.NewDatabaseAsync();
        await using WebApplication first = await StartAsync(database);
        await using WebApplication second = await StartAsync(database);
        Assert.Equal(HttpStatusCode.OK, await PostAsync(first, "a"));
        Assert.Equal(HttpStatusCode.OK, await PostAsync(second, "b"));

        foreach (WebApplication replica in new[] { first, second })
        {
            await UntilAsync(replica, "/devices", answer => answer.GetProperty("online").GetInt32() == 2);
            await UntilAsync(replica, "/devices/a", answer => answer.GetProperty("heartbeatNumber").GetInt32() == 1);
            await UntilAsync(replica, "/healthz", answer =>
                answer.GetProperty("status").GetString() == "ok"
                && answer.GetProperty("replica").GetProperty("slotsHeld").GetInt32() == 32
                && answer.GetProperty("replica").GetProperty("living").GetInt32() == 2);
        }
    }

    [Fact]
    public async Task While_the_database_is_away_senders_get_503_and_what_they_send_again_is_there()
    {
        await using PostgresServer server = await PostgresServer.StartAsync();
        string database = await server.CreateDatabaseAsync();
        await using WebApplication replica = await StartAsync(database);
        Assert.Equal(HttpStatusCode.OK, await PostAsync(replica, "a"));
        await UntilAsync(replica, "/devices", answer => answer.GetProperty("total").GetInt32() == 1);

        await server.CrashAsync();
        Assert.Equal(HttpStatusCode.ServiceUnavailable, await PostAsync(replica, "b"));
        await UntilAsync(replica, "/healthz", answer => answer.GetProperty("status").GetString() != "ok");
        await UntilAsync(replica, "/devices", answer => answer.GetProperty("total").GetInt32() == 1);

        await server.BeginAsync();
        var waited = Stopwatch.StartNew();
        while (await PostAsync(replica, "b") != HttpStatusCode.OK)
        {
            Assert.InRange(waited.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(30));
            await Task.Delay(100);
        }

        await UntilAsync(replica, "/devices", answer => answer.GetProperty("online").GetInt32() == 2);
        await UntilAsync(replica, "/healthz", answer => answer.GetProperty("status").GetString() == "ok");
    }

    [Fact]
    public async Task No_message_of_the_program_repeats_the_password()
    {
        string right = await PostgresServer.NewDatabaseAsync();
        await File.WriteAllTextAsync(file, new NpgsqlConnectionStringBuilder(right) { Password = Password }.ConnectionString + "\n");
        (int code, string said) = await RunAsync("--store", "postgres", "--database-file", file, "--port", "0");
        Assert.Equal(3, code);
        Assert.Contains("PostgreSQL at 127.0.0.1", said, StringComparison.Ordinal);
        Assert.DoesNotContain(Password, said, StringComparison.Ordinal);
        Assert.Single(said.Trim().Split('\n'));

        await File.WriteAllTextAsync(file, $"Host=127.0.0.1;Pasword={Password}");
        (code, said) = await RunAsync("--store", "postgres", "--database-file", file);
        Assert.Equal(2, code);
        Assert.DoesNotContain(Password, said, StringComparison.Ordinal);

        PostgresOptions options = PostgresOptions.TryParse($"Host=db.example;Database=d;Username=u;Password={Password}")!;
        Assert.Equal("PostgreSQL at db.example, database d", $"{options}");
    }

    [Theory]
    [InlineData("--store sqlite")]
    [InlineData("--store postgres")]
    [InlineData("--takeover 5")]
    [InlineData("--store postgres --data folder")]
    [InlineData("--store postgres --takeover 1")]
    [InlineData("import file --store postgres")]
    [InlineData("--store postgres --database-file nowhere/at/all")]
    public void A_command_line_that_makes_no_sense_is_refused_in_one_line(string arguments)
    {
        CommandLineException refused = Assert.Throws<CommandLineException>(() => CommandLine.Parse(arguments.Split(' '), _ => null));
        Assert.DoesNotContain("\n", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_connection_string_may_come_from_the_environment()
    {
        static string? Environment(string name) => name == CommandLine.DatabaseVariable ? $"Host=h;Password={Password}" : null;

        ServiceOptions options = CommandLine.Parse(["--store", "postgres", "--takeover", "30"], Environment).Options;
        Assert.Equal((null, TimeSpan.FromSeconds(30)), (options.Folder, options.Postgres!.TakeOverWithin));
        Assert.Null(CommandLine.Parse(["--store", "embedded"], Environment).Options.Postgres);
        Assert.Null(CommandLine.Parse([], Environment).Options.Postgres);
    }

    private static async Task<WebApplication> StartAsync(string database)
    {
        WebApplication application = Server.Build(
            new ServiceOptions { Port = 0, Postgres = PostgresOptions.TryParse(database) }, TimeProvider.System);
        await application.StartAsync();
        return application;
    }

    private static async Task<(int Code, string Said)> RunAsync(params string[] arguments)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "agent-service.dll");
        using var process = Process.Start(new ProcessStartInfo("dotnet", [program, .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output + error);
    }

    private async Task<HttpStatusCode> PostAsync(WebApplication replica, string device)
    {
        string now = DateTimeOffset.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", CultureInfo.InvariantCulture);
        string body = HubMessages.Heartbeat(device, 0).Replace(HubMessages.Moment(0), now, StringComparison.Ordinal);
        using var content = new StringContent($"[{body}]", Encoding.UTF8, "application/json");
        using HttpResponseMessage answer = await client.PostAsync(replica.Urls.First() + "/events", content);
        return answer.StatusCode;
    }

    private async Task UntilAsync(WebApplication replica, string path, Func<JsonElement, bool> isSo)
    {
        var waited = Stopwatch.StartNew();
        while (true)
        {
            using HttpResponseMessage answer = await client.GetAsync(replica.Urls.First() + path);
            string text = await answer.Content.ReadAsStringAsync();
            if (text.StartsWith('{') && isSo(JsonDocument.Parse(text).RootElement))
            {
                return;
            }

            Assert.True(waited.Elapsed < TimeSpan.FromSeconds(30), text);
            await Task.Delay(50);
        }
    }
}
