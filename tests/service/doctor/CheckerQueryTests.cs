using System.Net;
using System.Net.Sockets;
using System.Text;
using Agent.Service;
using Agent.Service.Doctor;
using Microsoft.AspNetCore.Builder;

namespace Agent.Tests.Service.Doctor;

/// <summary>The doctor at the bedside of a real checker.</summary>
[Collection(RealTime.Name)]
public sealed class CheckerQueryTests : IAsyncLifetime
{
    private const string Key = "a key of more than sixteen characters";
    private readonly string keyFile = Path.GetTempFileName();
    private WebApplication application = null!;
    private string url = "";

    public async ValueTask InitializeAsync()
    {
        await File.WriteAllTextAsync(keyFile, Key + "\n");
        application = Server.Build(new ServiceOptions { Port = 0, Key = AccessKey.Of(Key) }, TimeProvider.System);
        await application.StartAsync();
        url = application.Urls.First();
    }

    public async ValueTask DisposeAsync()
    {
        File.Delete(keyFile);
        await application.DisposeAsync();
    }

    [Fact]
    public async Task It_says_of_a_device_what_the_checker_knows()
    {
        await TellAsync(HubMessages.Telemetry(
            "a?#%2b", 0, """{ "type": "heartbeat", "seq": "1", "interval": "60", "renewal": "3000", "reason": "128", "lastGap": "9" }"""));

        CheckerWord word = await AskAsync("a?#%2b", keyFile);

        Assert.Null(word.Problem);
        Assert.Equal(("online", 60, 0x80), (word.Device!.Status, word.Device.IntervalSeconds, word.Device.BlackBox.Single().Reason));
        Assert.InRange(word.Device.LastSignMs!.Value, DateTimeOffset.UtcNow.AddMinutes(-1).ToUnixTimeMilliseconds(), long.MaxValue);
        Assert.Equal((1, 0, false, false), (word.Fleet!.Devices, word.Fleet.Overdue, word.Fleet.IsLost, word.Fleet.IsSiteLost));
    }

    [Fact]
    public async Task A_device_the_checker_never_heard_of_is_no_problem_of_the_checker()
    {
        CheckerWord word = await AskAsync("nobody", keyFile);

        Assert.Equal((null, null), (word.Device, word.Problem));
        Assert.NotNull(word.Fleet);
    }

    [Fact]
    public async Task Without_the_key_that_is_the_finding_and_the_key_never_shows()
    {
        CheckerWord word = await AskAsync("a", null);

        Assert.Equal($"{new Uri(url).Authority} answers 401, so it needs --key-file", word.Problem);
    }

    [Fact]
    public async Task A_checker_that_does_not_run_is_a_finding_and_not_a_failure()
    {
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0)); // Bound and not listening: nobody else gets the port, and nobody answers.
        using var output = new StringWriter();
        using var error = new StringWriter();

        int exitCode = await CheckerQuery.ExamineAsync(
            ["a", "--checker", $"http://{taken.LocalEndPoint}"], _ => null, output, error, TimeProvider.System, CancellationToken.None);

        Assert.Equal((3, ""), (exitCode, error.ToString()));
        Assert.Contains(
            $"The checker could not be asked: nobody answers at {taken.LocalEndPoint}.", output.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--checker needs a value", "a", "--checker")]
    [InlineData("--key-file: nowhere.key cannot be read", "a", "--key-file", "nowhere.key")]
    [InlineData("--checker takes an address with https://, or with http:// on this machine", "a", "--checker", "http://checker.example")]
    [InlineData("--checker takes an address with https://, or with http:// on this machine", "a", "--checker", "5080")]
    [InlineData("needs a DEVICE", "--checker", "http://127.0.0.1:1")]
    public async Task Bad_input_is_one_line_and_exit_code_2(string problem, params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();

        int exitCode = await CheckerQuery.ExamineAsync(
            arguments, _ => null, output, error, TimeProvider.System, CancellationToken.None);

        Assert.Equal((2, "", $"doctor: {problem}{Environment.NewLine}"), (exitCode, output.ToString(), error.ToString()));
    }

    [Fact]
    public void The_command_line_leaves_the_doctor_its_own_arguments()
    {
        CommandLine line = CommandLine.Parse(["doctor", "a", "--json", "--port", "1"], _ => null);

        Assert.Equal("doctor", line.Verb);
        Assert.Equal(["a", "--json", "--port", "1"], line.Rest);
    }

    private async Task<CheckerWord> AskAsync(string device, string? key)
    {
        string[] arguments = key is null ? ["--checker", url] : ["--checker", url, "--key-file", key];
        Assert.True(CheckerQuery.TryRead(arguments, _ => null, out CheckerQuery? query, out _, out string problem), problem);
        return await query!.AskAsync(device, CancellationToken.None);
    }

    private async Task TellAsync(string message)
    {
        string now = DateTimeOffset.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);
        using var client = new HttpClient { BaseAddress = new Uri(url) };
        client.DefaultRequestHeaders.Add("x-agent-key", Key);
        using var content = new StringContent(
            $"[{message.Replace(HubMessages.Moment(0), now, StringComparison.Ordinal)}]", Encoding.UTF8, "application/json");
        using HttpResponseMessage answer = await client.PostAsync("/events", content);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }
}
