using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Agent.Service.Alarms;
using Agent.Tests.Events;

namespace Agent.Tests.Service;

/// <summary>The real program, killed without warning while it takes heartbeats in.</summary>
[Collection(RealTime.Name)]
public sealed class KillTests : IDisposable
{
    /// <summary>How often, in the whole run; the environment variable takes it to a hundred.</summary>
    private static readonly int Kills =
        int.TryParse(Environment.GetEnvironmentVariable("AGENT_SERVICE_KILLS"), CultureInfo.InvariantCulture, out int kills) ? kills : 6;

    private readonly string folder = Path.Combine(Path.GetTempPath(), "kill-" + Guid.NewGuid().ToString("n"));

    public void Dispose()
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task No_acknowledged_heartbeat_is_lost_when_the_program_is_killed()
    {
        var draw = new Random(5);
        var acknowledged = new Dictionary<string, uint>();
        uint number = 0;
        for (int kill = 0; kill < Kills; kill++)
        {
            using Process service = Start(out int port);
            try
            {
                using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
                foreach ((string device, uint expected) in acknowledged)
                {
                    using JsonDocument kept = JsonDocument.Parse(await client.GetStringAsync("/devices/" + device));
                    Assert.InRange(kept.RootElement.GetProperty("heartbeatNumber").GetUInt32(), expected, uint.MaxValue);
                }

                var begun = new TaskCompletionSource();
                Task death = Task.Run(async () =>
                {
                    // On a busy machine the first answer may take longer than that.
                    await begun.Task.WaitAsync(TimeSpan.FromSeconds(60));
                    await Task.Delay(draw.Next(1, 400));
                    service.Kill();
                });
                number = await SendUntilDeadAsync(client, acknowledged, number, begun);
                await death;
            }
            finally
            {
                service.Kill();
                await service.WaitForExitAsync();
            }
        }

        Assert.NotEmpty(acknowledged);
    }

    [Fact]
    public async Task Every_alarm_is_told_once_and_cleared_once_by_its_id_when_the_program_is_killed()
    {
        await using Receiver receiver = await Receiver.StartAsync(new ManualTime());
        var told = new ConcurrentQueue<string>();
        int posts = 0;
        receiver.Answer = post =>
        {
            told.Enqueue(post.Headers[WebhookSecret.IdHeader]);
            // Some answers get lost: the receiver has it, and the sender cannot know.
            return Interlocked.Increment(ref posts) % 5 == 0 ? Receiver.Resets : 204;
        };
        Directory.CreateDirectory(folder);
        string file = Path.Combine(folder, "destinations.json");
        await File.WriteAllTextAsync(file, $$"""
            { "installation": "kill", "destinations": [ { "name": "ops", "url": "{{receiver.Url}}" } ] } // for this test
            """);

        var draw = new Random(6);
        int round = 0;
        for (int kill = 0; kill < Kills; kill++)
        {
            using Process service = Start(out int port, "--alarms", file);
            try
            {
                using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
                Task death = Task.Run(async () =>
                {
                    await Task.Delay(draw.Next(500, 3500));
                    service.Kill();
                });
                // A storm of renewals is announced and called off again and again: an alarm begins and ends within a second each.
                while (!death.IsCompleted && await TryPostStormAsync(client, ++round, isAhead: round % 2 == 1))
                {
                    await Task.WhenAny(death, Task.Delay(1100));
                }

                await death;
            }
            finally
            {
                service.Kill();
                await service.WaitForExitAsync();
            }
        }

        using Process last = Start(out int lastPort, "--alarms", file);
        try
        {
            using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{lastPort}") };
            Assert.True(await TryPostStormAsync(client, ++round, isAhead: true));
            await UntilAsync(async () => await CountAsync(client, "open") == 1);
            Assert.True(await TryPostStormAsync(client, ++round, isAhead: false));
            await UntilAsync(async () => await CountAsync(client, "open") == 0);
            int episodes = await CountAsync(client, "closed");
            Assert.InRange(episodes, 2, int.MaxValue);
            string[] expected =
                [.. Enumerable.Range(1, episodes).SelectMany(number => new[] { $"kill-{number}-raised", $"kill-{number}-cleared" })];
            await UntilAsync(() => Task.FromResult(told.Distinct().Count() >= expected.Length));

            string[] ids = [.. told.Distinct()];
            Assert.Equal(expected.Order(), ids.Order());
            Assert.All(Enumerable.Range(1, episodes), number =>
                Assert.True(Array.IndexOf(ids, $"kill-{number}-raised") < Array.IndexOf(ids, $"kill-{number}-cleared")));
        }
        finally
        {
            last.Kill();
            await last.WaitForExitAsync();
        }
    }

    [Fact]
    public async Task Who_acknowledged_an_alarm_is_known_after_the_program_was_killed()
    {
        for (int start = 0; start < 3; start++)
        {
            using Process service = Start(out int port);
            try
            {
                using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
                if (start == 0)
                {
                    Assert.True(await TryPostStormAsync(client, 1, isAhead: true));
                    await UntilAsync(async () => await CountAsync(client, "open") == 1);
                    using var body = new StringContent("""{"by":"kim"}""", Encoding.UTF8, "application/json");
                    using HttpResponseMessage answer = await client.PostAsync("/alarms/1/acknowledge", body);
                    Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
                }
                else
                {
                    using JsonDocument known = JsonDocument.Parse(await client.GetStringAsync("/alarms"));
                    JsonElement alarm = known.RootElement.GetProperty("alarms")[0];
                    Assert.Equal("kim", alarm.GetProperty("acknowledgedBy").GetString());
                    Assert.NotNull(alarm.GetProperty("acknowledgedAt").GetString());
                }
            }
            finally
            {
                service.Kill();
                await service.WaitForExitAsync();
            }

            // A line that a crash has torn costs itself and nothing else.
            await File.AppendAllTextAsync(Path.Combine(folder, Acknowledgements.FileName), "00000000{\"number\":2,\"by");
        }
    }

    private static async Task<int> CountAsync(HttpClient client, string state)
    {
        using JsonDocument answer = JsonDocument.Parse(await client.GetStringAsync("/alarms?state=" + state));
        return answer.RootElement.GetProperty("alarms").GetArrayLength();
    }

    private static async Task UntilAsync(Func<Task<bool>> isSo)
    {
        var waited = Stopwatch.StartNew();
        while (!await isSo())
        {
            Assert.InRange(waited.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(60));
            await Task.Delay(50);
        }
    }

    private static async Task<bool> TryPostStormAsync(HttpClient client, int round, bool isAhead)
    {
        string now = DateTimeOffset.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", CultureInfo.InvariantCulture);
        string number = round.ToString(CultureInfo.InvariantCulture);
        string body = string.Join(",", Enumerable.Range(0, 1300)
            .Select(device => HubMessages.Heartbeat("storm-" + device, 0, seq: number, interval: "600", renewal: isAhead ? "605" : null)))
            .Replace(HubMessages.Moment(0), now, StringComparison.Ordinal);
        try
        {
            using var content = new StringContent($"[{body}]", Encoding.UTF8, "application/json");
            using HttpResponseMessage answer = await client.PostAsync("/events", content);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            return true;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static async Task<uint> SendUntilDeadAsync(
        HttpClient client, Dictionary<string, uint> acknowledged, uint number, TaskCompletionSource begun)
    {
        while (true)
        {
            number++;
            string device = "device-" + (number % 50);
            string now = DateTimeOffset.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", CultureInfo.InvariantCulture);
            string body = HubMessages.Heartbeat(device, 0, seq: number.ToString(CultureInfo.InvariantCulture))
                .Replace(HubMessages.Moment(0), now, StringComparison.Ordinal);
            try
            {
                using var content = new StringContent($"[{body}]", Encoding.UTF8, "application/json");
                using HttpResponseMessage answer = await client.PostAsync("/events", content);
                Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
                acknowledged[device] = number;
                begun.TrySetResult();
            }
            catch (HttpRequestException)
            {
                return number;
            }
        }
    }

    private Process Start(out int port, params string[] more)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "agent-service.dll");
        var process = Process.Start(new ProcessStartInfo("dotnet", [program, "--port", "0", "--data", folder, .. more])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        string line = process.StandardOutput.ReadLine() ?? process.StandardError.ReadToEnd();
        Assert.StartsWith("heartbeat checker on http://127.0.0.1:", line, StringComparison.Ordinal);
        port = new Uri(line.Split(' ')[3].TrimEnd(',')).Port;
        return process;
    }
}
