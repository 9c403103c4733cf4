using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Agent.Tests.Hub;
using Agent.Wire;

namespace Agent.Tests.Service;

/// <summary>
/// The checker, a hundred honest devices and ten thousand callers who mean no good, in three processes: the honest are heard, nobody of
/// them is called late, and what the others cost is bounded.
/// </summary>
[Collection(RealTime.Name)]
public sealed partial class FloodTests(ITestOutputHelper output) : IDisposable
{
    private const string Key = "a key of more than sixteen characters";
    private const int Callers = 10_000;
    private const int FloodSeconds = 20;
    private const int SecondsMax = 300;
    private const int Devices = 100;

    // Ten thousand connections at a few kilobytes, what the runtime needs to serve them, and, where strangers are listened to, 128 KB
    // unread of each body that pours, the 64 MiB of bodies in flight, and two thousand halves of requests.
    private const long MemoryBytesMax = 400L << 20;
    private const long MemoryBytesMaxWithoutKey = 800L << 20;

    private readonly string folder = Directory.CreateTempSubdirectory("service-flood-").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Ten_thousand_hostile_callers_make_nobody_late_and_cost_little_memory(bool isKeyAsked)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
        Assert.SkipUnless(FileLimit.OpenFilesMax > Callers + 500, $"only {FileLimit.OpenFilesMax} open files are allowed");
        string keyFile = Path.Combine(folder, "key");
        await File.WriteAllTextAsync(keyFile, Key);
        string[] withKey = isKeyAsked ? ["--key-file", keyFile] : [];
        await using ChildProcess service = ChildProcess.Start(
            "agent-service.dll", ["--port", "0", "--data", Path.Combine(folder, "data"), .. withKey]);
        await HubRig.WaitAsync(() => service.HasExited || service.Output.Contains('\n', StringComparison.Ordinal), 60);
        Assert.False(service.HasExited, service.Error);
        var address = new Uri(Address().Match(service.Output).Value);
        using var client = new HttpClient { BaseAddress = address, Timeout = TimeSpan.FromSeconds(30) };
        client.DefaultRequestHeaders.Add("x-agent-key", Key);
        var honest = new Honest(client);
        await honest.BeatAsync();
        long before = MemoryOf(service.Id);

        await using ChildProcess flood = ChildProcess.Start(
            "agent-flood.dll", "http", Text(address.Port), Text(Callers), Text(FloodSeconds));
        long peak = before;
        int overdue = 0;
        var watch = Stopwatch.StartNew();
        while (!flood.HasExited && watch.Elapsed < TimeSpan.FromSeconds(SecondsMax))
        {
            await honest.BeatAsync();
            peak = Math.Max(peak, MemoryOf(service.Id));
            JsonElement? totals = await honest.TryAskAsync("/devices?limit=1");
            overdue = Math.Max(overdue, totals is not { } seen ? 0
                : seen.GetProperty("late").GetInt32() + seen.GetProperty("silent").GetInt32());
            await Task.Delay(500);
        }

        await HubRig.WaitAsync(() => flood.Output.Contains("Garbage", StringComparison.Ordinal), 10);
        output.WriteLine(
            $"memory before {before >> 20} MB, at most {peak >> 20} MB; {honest.Sent} batches, {honest.Again} sent again, "
            + $"slowest {honest.SlowestMs} ms");
        output.WriteLine(flood.Output);
        Assert.False(service.HasExited, service.Error);
        Assert.Equal(0, overdue);
        JsonElement last = await honest.AskAsync("/devices/honest-99");
        Assert.Equal(honest.Number, last.GetProperty("heartbeatNumber").GetUInt32());
        Assert.Equal(Devices, (await honest.AskAsync("/devices?limit=1")).GetProperty("total").GetInt32());
        Assert.InRange(peak - before, 0, isKeyAsked ? MemoryBytesMax : MemoryBytesMaxWithoutKey);
        var answers = flood.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')).ToArray();
        Assert.InRange(long.Parse(answers.Single(line => line[0] == "dialled")[1], CultureInfo.InvariantCulture), Callers, long.MaxValue);
        Assert.All(
            answers.Where(line => line.Length == 3),
            line => Assert.True(line[1] == "-" || line[1][0] is '4' or '5', string.Join(' ', line)));
        string[] refusals = isKeyAsked ? ["401", "401", "401"] : ["413", "400", "400"];
        foreach ((string way, string status) in new[] { "GigabyteBody", "BadUtf8", "WrongSchema" }.Zip(refusals))
        {
            Assert.Contains(answers, line => line.Length == 3 && line[0] == way && line[1] == status);
        }

        if (isKeyAsked)
        {
            Assert.Equal(0, honest.Again);
        }
    }

    private static long MemoryOf(int process)
    {
        const string Title = "VmRSS:";
        string line = File.ReadLines($"/proc/{process}/status").First(one => one.StartsWith(Title, StringComparison.Ordinal));
        return long.Parse(line[Title.Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture) << 10;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    [GeneratedRegex(@"http://[0-9.:]+")]
    private static partial Regex Address();

    /// <summary>Sends what the hub would, and sends it again as Event Grid does when it is told to come back.</summary>
    private sealed class Honest(HttpClient client)
    {
        public uint Number { get; private set; }

        public int Sent { get; private set; }

        public int Again { get; private set; }

        public long SlowestMs { get; private set; }

        public async Task BeatAsync()
        {
            Number++;
            string now = DateTimeOffset.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", CultureInfo.InvariantCulture);
            string body = string.Join(",", Enumerable.Range(0, Devices)
                .Select(device => HubMessages.Heartbeat($"honest-{device}", 0, seq: $"{Number}", interval: "30", renewal: null)))
                .Replace(HubMessages.Moment(0), now, StringComparison.Ordinal);
            var watch = Stopwatch.StartNew();
            for (int attempt = 0; !await TrySendAsync(body); attempt++)
            {
                Again++;
                Assert.InRange(attempt, 0, 50);
                await Task.Delay(100);
            }

            Sent++;
            SlowestMs = Math.Max(SlowestMs, watch.ElapsedMilliseconds);
        }

        public async Task<JsonElement> AskAsync(string path)
        {
            for (int attempt = 0; ; attempt++)
            {
                if (await TryAskAsync(path) is { } answer)
                {
                    return answer;
                }

                Assert.InRange(attempt, 0, 50);
                await Task.Delay(100);
            }
        }

        public async Task<JsonElement?> TryAskAsync(string path)
        {
            using HttpResponseMessage answer = await client.GetAsync(new Uri(path, UriKind.Relative));
            return answer.IsSuccessStatusCode
                ? JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsStringAsync()) : null;
        }

        private async Task<bool> TrySendAsync(string body)
        {
            using var content = new StringContent($"[{body}]", Encoding.UTF8, "application/json");
            using HttpResponseMessage answer = await client.PostAsync(new Uri("/events", UriKind.Relative), content);
            Assert.True(
                answer.StatusCode is HttpStatusCode.OK or HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable,
                await answer.Content.ReadAsStringAsync());
            return answer.StatusCode == HttpStatusCode.OK;
        }
    }
}
