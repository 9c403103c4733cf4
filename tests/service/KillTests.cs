using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;

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

                Task death = Task.Run(async () =>
                {
                    await Task.Delay(draw.Next(50, 400));
                    service.Kill();
                });
                number = await SendUntilDeadAsync(client, acknowledged, number);
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

    private static async Task<uint> SendUntilDeadAsync(HttpClient client, Dictionary<string, uint> acknowledged, uint number)
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
            }
            catch (HttpRequestException)
            {
                return number;
            }
        }
    }

    private Process Start(out int port)
    {
        var process = Process.Start(new ProcessStartInfo("dotnet")
        {
            ArgumentList = { Path.Combine(AppContext.BaseDirectory, "agent-service.dll"), "--port", "0", "--data", folder },
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        string line = process.StandardOutput.ReadLine() ?? process.StandardError.ReadToEnd();
        Assert.StartsWith("heartbeat checker on http://127.0.0.1:", line, StringComparison.Ordinal);
        port = new Uri(line.Split(' ')[3].TrimEnd(',')).Port;
        return process;
    }
}
