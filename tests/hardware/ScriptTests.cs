using Agent.Tests.Hub;
using Agent.Tests.Repo;

namespace Agent.Tests.Hardware;

/// <summary>The scripts of hardware/, as far as they go without a board.</summary>
public sealed class ScriptTests
{
    private const string Good = """
        junk before the start
        12 agent-board/1.0, last reboot: power
        20 network up
        21 time known
        30 device-0001 at localhost, token 60 s, start 1, renews clean
        31 connecting
        90 connected
        90 heap 100000, native 120000, largest block 60000
        95 heartbeat 1 acknowledged
        100 renewed (1) gap 51 ms
        100 heap 99000, native 120000, largest block 60000
        200 renewed (2) gap 60 ms
        200 heap 98000, native 120000, largest block 60000
        300 renewed (3) gap 49 ms
        300 heap 98000, native 120000, largest block 60000
        400 renewed (4) gap 48 ms
        400 heap 97900, native 120000, largest block 60000
        """;

    [Theory]
    [InlineData("wroom", "ESP32_REV3")]
    [InlineData("wrover", "ESP32_PSRAM_REV3")]
    [InlineData("s3-quad", "ESP32_S3_QUAD")]
    [InlineData("s3-octal", "ESP32_S3_OCTAL")]
    [InlineData("c3", "ESP32_C3")]
    [InlineData("c6", "ESP32_C6_THREAD")]
    public async Task Dry_run_shows_the_commands_with_the_boards_target_and_no_secret(string board, string target)
    {
        using var folder = new HubFolder();
        await File.WriteAllTextAsync(folder["identity.txt"], "connection=HostName=h;DeviceId=d;SharedAccessKey=c2VjcmV0");
        (int code, string output, string error) = await FlashAsync(
            "--board", board, "--port", "COM3", "--firmware", "1.2.3", "--files", folder.Path, "--image", "Agent.bin", "--dry-run");
        Assert.Equal((0, ""), (code, error));
        Assert.Contains($"nanoff --update --target {target} --serialport COM3 --fwversion 1.2.3\n", output, StringComparison.Ordinal);
        Assert.Contains($"nanoff --target {target} --serialport COM3 --filedeployment ", output, StringComparison.Ordinal);
        Assert.Contains("identity.txt -> I:\\identity.txt\n", output, StringComparison.Ordinal);
        Assert.Contains($"nanoff --target {target} --serialport COM3 --deploy --image Agent.bin\n", output, StringComparison.Ordinal);
        Assert.DoesNotContain("c2VjcmV0", output, StringComparison.Ordinal);
        Assert.Contains($"`{board}` | `{target}`", Repository.Read("hardware/README.md"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--board must be one of", "--board", "uno", "--port", "COM3", "--image", "x")]
    [InlineData("--port is missing", "--board", "c3", "--image", "x")]
    [InlineData("nothing to do", "--board", "c3", "--port", "COM3")]
    [InlineData("--image: x is not there", "--board", "c3", "--port", "COM3", "--image", "x")]
    [InlineData("--speed is not understood", "--speed", "9")]
    [InlineData("--port needs a value", "--board", "c3", "--port")]
    public async Task A_wrong_call_is_exit_2_and_one_line(string expected, params string[] arguments)
    {
        (int code, string output, string error) = await FlashAsync(arguments);
        Assert.Equal((2, ""), (code, output));
        Assert.Contains(expected, error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    [Fact]
    public async Task A_good_console_passes_the_bench() =>
        Assert.Contains("passed:   4 renewals, longest gap 60 ms, 1 heartbeats", await BenchAsync(Good, 0), StringComparison.Ordinal);

    [Fact]
    public async Task Frames_of_the_debugger_around_the_lines_do_not_matter()
    {
        string framed = Good.Replace("\n", "\n\u0001NFPKTV1\u0002\u0003", StringComparison.Ordinal);
        Assert.Contains("passed:", await BenchAsync(framed, 0), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("95 heartbeat 1 acknowledged", "95 lost: closed by the hub; next attempt in 500 ms", "a connection was lost")]
    [InlineData("90 connected\n", "90 failed: TLS failed: certificate not trusted (error -9984); next attempt in 5 ms\n", "look at the clock")]
    [InlineData("90 connected\n", "90 failed: refused: not authorised (CONNACK 5); next attempt in 5 ms\n", "the hub refuses")]
    [InlineData("90 connected\n", "90 connecting\n", "a heartbeat without a connection")]
    [InlineData("400 heap 97900", "400 heap 90000", "the managed heap shrinks")]
    [InlineData("agent-board/1.0", "something else", "the board said nothing")]
    [InlineData("400 renewed (4) gap 48 ms", "400 renewing", "ended after 3 of 4")]
    [InlineData("300 renewed", "300 crash: NullReferenceException\n300 renewed", "the firmware crashed")]
    public async Task A_bad_console_fails_it_and_says_what_is_wrong(string line, string instead, string expected)
    {
        Assert.Contains(line, Good, StringComparison.Ordinal);
        Assert.Contains(expected, await BenchAsync(Good.Replace(line, instead, StringComparison.Ordinal), 1), StringComparison.Ordinal);
    }

    private static Task<(int ExitCode, string Output, string Error)> FlashAsync(params string[] arguments) =>
        Tool.RunAsync(Tool.Find("bash"), [Path.Combine(Repository.Root, "hardware/flash.sh"), .. arguments]);

    private static async Task<string> BenchAsync(string console, int expectedCode)
    {
        using var folder = new HubFolder();
        await File.WriteAllTextAsync(folder["console"], console + "\n");
        (int code, string output, _) = await Tool.RunAsync(
            Tool.Find("bash"), "-c", "bash \"$0\" 4 <\"$1\"", Path.Combine(Repository.Root, "hardware/bench.sh"), folder["console"]);
        Assert.True(code == expectedCode, output);
        return output;
    }
}
