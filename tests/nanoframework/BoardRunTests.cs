using System.Text;
using Agent.Hub;
using Agent.Tests.Hub;

namespace Agent.Tests.NanoFramework;

/// <summary>The firmware's own sources, Main to socket, on the simulated board.</summary>
[Collection(RealTime.Name)]
public sealed class BoardRunTests
{
    [Fact]
    public async Task From_power_on_it_joins_sets_the_clock_connects_and_renews_ten_times()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new BoardRun(hub, BoardRun.RenewsEverySecond).PowerOn();
        Assert.Equal("agent-board/1.0, last reboot: power", board.Line("agent-board"));
        board.Line("network up");
        board.Line("time known");
        Assert.Equal("device-0001 at localhost, token 10 s, start 1, renews clean", board.Line("device-0001 at"));
        board.Line("connected");
        board.Line("heartbeat 1 acknowledged");
        board.Line("renewed (10) gap ");
        board.Line("heartbeat");
        Assert.DoesNotContain(board.Printed, line => line.Contains("failed", StringComparison.Ordinal));
        Assert.DoesNotContain(hub.Records(), record => record.Contains('/', StringComparison.Ordinal)); // no error among them
        Assert.Empty(board.Errors);
    }

    [Fact]
    public async Task Key_token_and_Wi_Fi_password_are_never_printed()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new BoardRun(hub, BoardRun.RenewsEverySecond).PowerOn();
        board.Line("renewed (1)");
        hub.Server.SetEnabled(hub.Server.Registry.Devices[0], false);
        board.Line("failed: refused: server unavailable (CONNACK 3)");
        string printed = string.Join('\n', board.Printed.Concat(board.Errors));
        Assert.DoesNotContain(board.Key[..10], printed, StringComparison.Ordinal);
        Assert.DoesNotContain(BoardRun.WifiPassword, printed, StringComparison.Ordinal);
        Assert.DoesNotContain("SharedAccess", printed, StringComparison.Ordinal);
        Assert.DoesNotContain("sig=", printed, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Prewarm_renews_over_a_channel_that_was_opened_before()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new(hub, BoardRun.RenewsEverySecond + "settings.renewMode=prewarm\n");
        board.Set("NANO_HANDSHAKE_MS", "2500"); // a gap with a handshake in it would be longer, however busy this machine is
        board.PowerOn();
        Assert.EndsWith("renews prewarmed", board.Line("token 10 s"));
        board.Line("renewed (1)");
        Assert.InRange(Math.Min(GapMs(board.Line("renewed (2)")), GapMs(board.Line("renewed (3)"))), 0, 2400);
        // Goodbye and CONNECT go over two connections, and a busy hub may read them the other way round, now and then.
        Assert.InRange(hub.Records().Count(record => record.Contains("400027", StringComparison.Ordinal)), 0, 1);
        Assert.Empty(board.Errors);
    }

    [Fact]
    public async Task Without_a_place_for_a_channel_prewarm_says_so_and_renews_cleanly_with_the_librarys_own()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new(hub, BoardRun.RenewsEverySecond + "settings.renewMode=prewarm\n");
        board.Set("NANO_NO_REFLECTION", "1");
        board.Set("NANO_HANDSHAKE_MS", "300");
        board.PowerOn();
        Assert.EndsWith("prewarm is not possible", board.Line("no place for an open channel"));
        board.Line("renewed (1)");
        Assert.InRange(GapMs(board.Line("renewed (2)")), 300, 5000);
        board.Line("heartbeat");
    }

    [Fact]
    public async Task Takeover_lets_the_hub_drop_the_old_link_and_too_little_memory_makes_it_clean()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new BoardRun(hub, BoardRun.RenewsEverySecond + "settings.renewMode=takeover\n").PowerOn();
        board.Line("renewed (2)");
        await HubRig.WaitAsync(() => TakeOvers(hub) >= 2, seconds: 20);
        board.Do("memory 50000");
        await HubRig.WaitAsync(() => hub.Records().TakeLast(6).All(Informational), seconds: 40); // memory is looked at every 10 s
        Assert.All(hub.Records().TakeLast(6), record => Assert.True(Informational(record), record));
        Assert.True(TakeOvers(hub) >= 2);
        Assert.DoesNotContain(board.Printed, line => line.Contains("lost", StringComparison.Ordinal));
        Assert.Empty(board.Errors);
    }

    [Fact]
    public async Task A_wrong_clock_fails_TLS_with_the_boards_one_number_and_heals_when_the_time_server_does()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new(hub);
        board.Set("NANO_TIME_ERROR", "1000000000");
        board.PowerOn();
        Assert.Matches("^failed: TLS failed: .* \\(error -9984\\)", board.Line("failed"));
        board.Do("time 0");
        board.Line("clock changed by -");
        board.Line("connected");
        Assert.Contains("outside the certificate's dates", board.Line("black box: "), StringComparison.Ordinal);
    }

    /// <summary>On the interpreter this froze the whole board, for ever, while the firmware allowed TLS 1.3.</summary>
    [Fact]
    public async Task A_hub_that_is_silent_after_the_handshake_costs_one_attempt()
    {
        await using var hub = new HubRig();
        HubFault fault = hub.Server.OrderFault(HubFaultOrder.Parse(Encoding.UTF8.GetBytes("""{"kind":"silentHub","all":true}"""))).Value!;
        await using BoardRun board = new(hub, "settings.backoffMaxSeconds=1\n");
        board.Set("NANO_CONNACK_MS", "2000");
        board.PowerOn();
        Assert.StartsWith("failed: hub silent", board.Line("failed"), StringComparison.Ordinal);
        hub.Server.EndFault(fault.Id);
        board.Line("connected");
        Assert.Empty(board.Errors);
    }

    [Fact]
    public async Task Without_a_date_nothing_is_dialled()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new(hub);
        board.Set("NANO_TIME_ERROR", "-1500000000");
        board.PowerOn();
        board.Line("no time");
        Assert.Equal(0, hub.Server.ConnectionCount);
        board.Do("clock 1500000000");
        board.Line("connected");
    }

    [Fact]
    public async Task Wi_Fi_lost_and_back()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new(hub);
        board.Set("NANO_WIFI", "0");
        board.Set("NANO_SLEEP_DIVISOR", "20");
        board.PowerOn();
        board.Line("network: joined, but no address");
        board.Do("wifi up");
        board.Line("connected");
        board.Do("wifi down");
        board.Line("network lost");
        board.Line("no network");
        board.Do("wifi up");
        board.Line("network up");
        board.Line("connected after");
        Assert.Empty(board.Errors);
    }

    [Theory]
    [InlineData(false, "lost: closed by the hub")]
    [InlineData(true, "lost: closed by the hub (error -1)")]
    public async Task A_link_that_breaks_is_named_and_comes_back(bool reset, string expected)
    {
        await using var hub = new HubRig();
        await using BoardRun board = new BoardRun(hub).PowerOn();
        board.Line("heartbeat 1 acknowledged");
        hub.Server.Drop(hub.Server.Registry.Devices[0], reset);
        Assert.StartsWith(expected, board.Line("lost"));
        board.Line("connected after");
    }

    [Fact]
    public async Task An_outage_is_in_the_black_box_and_is_still_there_after_a_power_cut()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new BoardRun(hub).PowerOn();
        board.Line("heartbeat 1 acknowledged");
        hub.Server.Drop(hub.Server.Registry.Devices[0], reset: true);
        Assert.Contains("closed by the hub, connected, error -1", board.Line("black box: "), StringComparison.Ordinal);
        Assert.True(new FileInfo(board.PathOf("box0.bin")).Length > 0);
        board.CutPower();
        board.PowerOn();
        board.Line("start 2");
        board.Line("heartbeat");
        Assert.True(File.Exists(board.PathOf("state0.bin")) || File.Exists(board.PathOf("state1.bin")));
        Assert.Empty(board.Errors);
    }

    [Fact]
    public async Task A_refusal_is_named_and_its_client_closed_so_that_no_thread_spins()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new BoardRun(
            hub, "settings.backoffMaxSeconds=1\n", "connection=HostName=localhost;DeviceId=device-0001;SharedAccessKey=AAAA").PowerOn();
        Assert.StartsWith("failed: refused: not authorised (CONNACK 5)", board.Line("failed"));
        board.Line("failed: refused");
        await HubRig.WaitAsync(() => hub.Server.ConnectionCount == 0, seconds: 10);
        Assert.Equal(0, hub.Server.ConnectionCount);
        Assert.Empty(board.Errors);
    }

    [Fact]
    public async Task A_supervisor_that_stands_still_is_rebooted_and_the_next_start_knows_why()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new(hub);
        board.Set("NANO_SLEEP_DIVISOR", "100");
        board.PowerOn();
        board.Line("heartbeat 1 acknowledged");
        board.Do("stall");
        board.Line("rebooting: watchdog");
        board.WaitForReboot();
        board.PowerOn();
        Assert.Equal("agent-board/1.0, last reboot: watchdog (the supervisor stood still)", board.Line("agent-board"));
        Assert.Contains("start 2", board.Line("device-0001 at"), StringComparison.Ordinal);
        Assert.NotEqual("heartbeat 1 acknowledged", board.Line("heartbeat")); // numbers are set aside in flash and never reused
        board.CutPower();
        board.PowerOn();
        Assert.Equal("agent-board/1.0, last reboot: power", board.Line("agent-board"));
        Assert.Contains("start 3", board.Line("device-0001 at"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_exception_nobody_foresaw_is_written_down_and_ends_in_a_reboot_not_in_silence()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new(hub);
        string good = board.Read("roots.pem");
        board.Write("roots.pem", good + "-----BEGIN CERTIFICATE-----\ntorn");
        board.Set("NANO_SLEEP_DIVISOR", "20");
        board.PowerOn();
        board.Line("crash: ArgumentException");
        board.WaitForReboot();
        board.Write("roots.pem", good);
        board.PowerOn();
        Assert.EndsWith("last reboot: crash (ArgumentException)", board.Line("agent-board"));
        board.Line("connected");
    }

    [Fact]
    public async Task Without_an_identity_it_says_what_is_missing_and_takes_the_file_when_it_comes()
    {
        await using var hub = new HubRig();
        await using BoardRun board = new(hub, identity: "# nothing yet");
        board.Set("NANO_SLEEP_DIVISOR", "20");
        board.PowerOn();
        Assert.EndsWith("has neither connection= nor provisioning=", board.Line("no identity"));
        board.Write("identity.txt", $"connection=HostName=localhost;DeviceId=device-0001;SharedAccessKey={board.Key}\nwifi.ssid=net\n");
        board.Line("connected");
    }

    [Fact]
    public async Task Hub_and_device_id_come_from_the_provisioning_service_once()
    {
        await using var hub = new HubRig();
        string key = Convert.ToBase64String(hub.Server.Registry.Devices[0].PrimaryKey);
        await using BoardRun board = new BoardRun(
            hub, identity: $"provisioning=IdScope=0ne1;RegistrationId=device-0001;SharedAccessKey={key}").PowerOn();
        Assert.Equal("provisioned: device-0001", board.Line("provision"));
        board.Line("connected");
        Assert.Equal("hostname=localhost\ndeviceid=device-0001\n", board.Read("assigned.txt"));
        board.CutPower();
        board.PowerOn();
        board.Line("connected");
        Assert.Single(board.Printed, line => line.Contains("provision", StringComparison.Ordinal));
    }

    private static bool Informational(string record) => !record.Contains('/', StringComparison.Ordinal);

    private static int TakeOvers(HubRig hub) =>
        hub.Records().Count(record => record.Contains("400027", StringComparison.Ordinal));

    private static int GapMs(string line) => int.Parse(line.Split(' ')[^2], System.Globalization.CultureInfo.InvariantCulture);
}
