using System.Net;
using Agent.Hub;
using Agent.Input;
using Agent.Logs;
using Agent.Tests.Hub;

namespace Agent.Tests.Logs;

/// <summary>Records of a hub that runs, over HTTPS.</summary>
public sealed class LogsHubTests
{
    [Fact]
    public async Task A_running_hub_is_asked_with_its_CA_and_only_with_it()
    {
        await using var rig = new HubRig();
        await using HubHttp http = await HubHttp.StartAsync(rig.Server, IPAddress.Loopback, 0);
        await using (TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0))
        {
        }

        await using TestDevice other = await TestDevice.ConnectAsync(rig.Server, 1);
        await rig.AssertRecordsAsync(
            "device-0001 deviceConnect", "device-0001 deviceDisconnect/404104", "device-0002 deviceConnect");
        var options = new LogsOptions
        {
            Sources = [$"https://localhost:{http.Address.Port}"],
            Query = LogQuery.All,
            CaPath = rig.Server.Data.AuthorityPath,
        };

        Assert.Equal(["device-0001", "device-0001", "device-0002"], await AskAsync(options));
        Assert.Equal(["device-0002"], await AskAsync(options with { Device = "device-0002" }));
        IOException refused = await Assert.ThrowsAsync<IOException>(() => AskAsync(options with { CaPath = null }));
        Assert.Contains("--ca FILE", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task No_hub_there_is_said_in_one_line()
    {
        IOException problem = await Assert.ThrowsAsync<IOException>(
            () => AskAsync(new LogsOptions { Sources = ["https://localhost:1"] }));

        Assert.Equal("https://localhost:1: nothing answers there; is the hub running?", problem.Message);
    }

    [Fact]
    public void A_CA_that_is_none_is_bad_input()
    {
        using var folder = new HubFolder();
        File.WriteAllText(folder["ca.pem"], "hello");
        var options = new LogsOptions { Sources = ["https://localhost"], CaPath = folder["ca.pem"] };

        Assert.Contains("--ca", Assert.Throws<BadInputException>(() => new LogsRun(options)).Message, StringComparison.Ordinal);
        Assert.Throws<BadInputException>(() => new LogsRun(options with { CaPath = folder["absent"] }));
    }

    private static Task<List<string>> AskAsync(LogsOptions options) => Task.Run(() =>
    {
        var seen = new List<string>();
        new LogsRun(options).Read(entry => seen.Add(entry.DeviceId));
        return seen;
    });
}
