using System.Text.Json;
using Agent.Tests.Hub;

namespace Agent.Tests.NanoFramework;

/// <summary>What a service can have the firmware do, on the simulated board against the local hub: twin and direct methods.</summary>
[Collection(RealTime.Name)]
public sealed class BoardOrdersTests
{
    private const string RetriesSoon = "settings.backoffMaxSeconds=1\n";

    [Fact]
    public async Task A_bad_change_is_refused_a_good_one_is_in_force_for_ten_renewals_and_after_a_power_cut()
    {
        await using var hub = new HubRig();
        var service = new ServiceSide(hub);
        await using BoardRun board = new BoardRun(hub, RetriesSoon).PowerOn();
        Assert.Contains("token 3600 s, start 1", board.Line("device-0001 at"), StringComparison.Ordinal);
        await service.AcknowledgedAsync(203, 0);

        long version = await service.ChangeAsync("""{"token":{"lifetimeSeconds":5,"renewMode":"x"},"keepAliveSeconds":"a lot"}""");
        string refused = (await service.AcknowledgedAsync(400, version)).GetProperty("ad").GetString()!;
        Assert.Contains("token.lifetimeSeconds: 5 is below 10", refused, StringComparison.Ordinal);
        Assert.Contains("token.renewMode: no such word", refused, StringComparison.Ordinal);
        Assert.Contains("keepAliveSeconds: not a whole number", refused, StringComparison.Ordinal);
        Assert.EndsWith(", token 3600 s", board.Line($"settings version {version}: 400: "));

        version = await service.ChangeAsync(
            """
            {"token":{"lifetimeSeconds":10,"renewAtPercent":10,"spreadPercent":0,"renewMode":null},
             "keepAliveSeconds":null,"heartbeat":{"intervalSeconds":1}}
            """);
        Assert.Equal($"settings version {version}: 202, token 10 s", board.Line("settings version"));
        Assert.Equal($"settings version {version}: 200, token 10 s", board.Line("settings version"));
        board.Line("renewed (1)");
        JsonElement told = await service.AcknowledgedAsync(200, version);
        Assert.Equal(1, told.GetProperty("value").GetProperty("heartbeat").GetProperty("intervalSeconds").GetInt32());
        board.Line("renewed (10) gap ");
        board.Line("heartbeat");
        Assert.DoesNotContain(hub.Records(), record => record.Contains('/', StringComparison.Ordinal));
        board.CutPower();
        board.PowerOn();
        Assert.Contains("token 10 s, start 2", board.Line("device-0001 at"), StringComparison.Ordinal);
        board.Line("renewed (1)");
        Assert.Empty(board.Errors);
    }

    /// <summary>Ten minutes behind: a token of an hour is good, one of twenty seconds has run out before it arrives.</summary>
    [Fact]
    public async Task A_change_that_loses_the_link_is_rolled_back_and_the_black_box_knows_it_after_a_reboot()
    {
        await using var hub = new HubRig();
        var service = new ServiceSide(hub);
        await using BoardRun board = new(hub, RetriesSoon);
        board.Set("NANO_TIME_ERROR", "-600");
        board.PowerOn();
        await service.AcknowledgedAsync(203, 0);

        long version = await service.ChangeAsync("""{"token":{"lifetimeSeconds":20,"spreadPercent":0}}""");
        board.Line("failed: refused: not authorised (CONNACK 5)");
        Assert.Equal($"settings version {version}: 500, token 3600 s", board.Line($"settings version {version}: 500"));
        JsonElement told = await service.AcknowledgedAsync(500, version);
        Assert.StartsWith("rolled back to the last good settings: refused", told.GetProperty("ad").GetString(), StringComparison.Ordinal);
        Assert.Equal(3600, told.GetProperty("value").GetProperty("token").GetProperty("lifetimeSeconds").GetInt32());
        string[] before = await TextsAsync(service);
        Assert.NotEmpty(before);

        Assert.Equal(200, (await service.CallAsync("reboot")).Status);
        board.WaitForReboot();
        board.PowerOn();
        Assert.Contains("token 3600 s, start 2", board.Line("start 2"), StringComparison.Ordinal);
        board.Line("connected");
        string[] after = await TextsAsync(service);
        Assert.Equal(["reboot", .. before], after);
        await service.AcknowledgedAsync(500, version); // asked for still, refused still
        Assert.Empty(board.Errors);
    }

    [Fact]
    public async Task A_change_made_while_a_renewal_has_the_line_down_is_in_force_right_after_it()
    {
        await using var hub = new HubRig();
        var service = new ServiceSide(hub);
        await using BoardRun board = new(hub, RetriesSoon);
        board.PowerOn();
        await service.AcknowledgedAsync(203, 0);
        board.Do("handshakes wait");
        Assert.Equal(200, (await service.CallAsync("renewNow")).Status);
        board.Line("renewing");
        board.Line("connecting");
        await HubRig.WaitAsync(() => hub.Server.ConnectedCount == 0, seconds: 20);
        long version = await service.ChangeAsync("""{"heartbeat":{"intervalSeconds":1}}""");
        Assert.DoesNotContain(board.Printed, line => line.Contains("renewed", StringComparison.Ordinal)); // nobody was told
        board.Do("handshakes pass");
        board.Line("renewed (1)");
        await service.AcknowledgedAsync(200, version);
        Assert.Empty(board.Errors);
    }

    [Fact]
    public async Task Measurements_reach_the_hub_and_none_are_made_unless_asked_for()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new BoardRun(hub, "measurement.everySeconds=1\n").PowerOn();
        await HubRig.WaitAsync(() => Measured(hub).Count >= 3, seconds: 40);
        JsonElement body = JsonDocument.Parse(Measured(hub)[2].GetProperty("body").GetBytesFromBase64()).RootElement;
        Assert.InRange(body.GetProperty("freeBytes").GetInt32(), 1, 128 * 1024);
        board.CutPower();
        int before = Measured(hub).Count;
        board.Write("board.txt", board.Read("board.txt").Replace("measurement", "#", StringComparison.Ordinal));
        board.PowerOn();
        board.Line("connected");
        board.Line("heartbeat");
        Assert.InRange(Measured(hub).Count, before, before + 4); // what waited at the power cut may come once more, or not at all
        Assert.Empty(board.Errors);
    }

    [Fact]
    public async Task Settings_renewal_diagnostics_and_reboot_are_had_by_method()
    {
        await using var hub = new HubRig();
        var service = new ServiceSide(hub);
        await using BoardRun board = new BoardRun(hub, RetriesSoon).PowerOn();
        (int status, JsonElement body) = await service.CallAsync("getSettings");
        Assert.Equal((200, "clean"), (status, body.GetProperty("renewModeInUse").GetString()));
        (status, body) = await service.CallAsync("setSettings", """{"heartbeat":{"intervalSeconds":1}}""");
        Assert.Equal((200, 1), (status, body.GetProperty("value").GetProperty("heartbeat").GetProperty("intervalSeconds").GetInt32()));
        board.Line("heartbeat 2 acknowledged");
        (status, body) = await service.CallAsync("setSettings", """{"keepAliveSeconds":1}""");
        Assert.Equal((400, "keepAliveSeconds: 1 is below 5"), (status, body.GetProperty("error").GetString()));
        Assert.Equal(404, (await service.CallAsync("selfDestruct")).Status);

        hub.Server.Drop(hub.Server.Registry.Devices[0], reset: true);
        board.Line("connected after");
        Assert.Equal(["closed by the hub"], await TextsAsync(service));
        Assert.Equal(200, (await service.CallAsync("renewNow")).Status);
        board.Line("renewed (1)");
        Assert.Equal(200, (await service.CallAsync("clearDiagnostics")).Status);
        Assert.Empty(await TextsAsync(service));
        Assert.Equal(200, (await service.CallAsync("reboot")).Status);
        board.WaitForReboot();
        board.PowerOn();
        board.Line("connected");
        Assert.Equal(["reboot"], await TextsAsync(service)); // what was cleared stays cleared
        Assert.Empty(board.Errors);
    }

    private static List<JsonElement> Measured(HubRig hub)
    {
        using MemoryStream text = new();
        hub.Server.Telemetry.WriteJson(text);
        return [.. JsonDocument.Parse(text.ToArray()).RootElement.EnumerateArray().Where(message =>
            message.GetProperty("properties").TryGetProperty("type", out JsonElement type) && type.GetString() == "measurement")];
    }

    /// <summary>Every entry, newest first, a page at a time as the board's small buffer allows.</summary>
    private static async Task<string[]> TextsAsync(ServiceSide service)
    {
        List<string> texts = [];
        for (int below = int.MaxValue - 1; ;)
        {
            (int status, JsonElement body) = await service.CallAsync("getDiagnostics", $$"""{"below":{{below}}}""");
            Assert.Equal(200, status);
            JsonElement[] entries = [.. body.GetProperty("entries").EnumerateArray()];
            if (entries.Length == 0)
            {
                return [.. texts];
            }

            texts.AddRange(entries.Select(entry => entry.GetProperty("text").GetString()!));
            below = entries[^1].GetProperty("n").GetInt32();
        }
    }
}
