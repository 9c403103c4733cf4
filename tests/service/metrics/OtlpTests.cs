using System.Net;
using System.Text;
using Agent.Service;
using Agent.Service.Alarms;
using Agent.Service.Metrics;
using Agent.Tests.Events;
using Agent.Tests.Service.Alarms;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Agent.Tests.Service.Metrics;

/// <summary>The whole service beside a collector on a real socket.</summary>
[Collection(RealTime.Name)]
public sealed class OtlpTests
{
    [Fact]
    public async Task Every_metric_of_the_catalogue_reaches_the_collector()
    {
        var time = new ManualTime();
        string folder = Path.Combine(Path.GetTempPath(), $"otlp-{Guid.NewGuid():N}");
        var received = new TaskCompletionSource<(string Path, byte[] Body)>();
        await using Receiver receiver = await Receiver.StartAsync(time);
        receiver.Answer = _ => 410; // Refused, and in the end given up.
        await using WebApplication collector = await StartCollectorAsync(received);
        Assert.True(OtlpExport.TryReadUrl(collector.Urls.First(), out Uri? otlp));
        var options = new ServiceOptions
        {
            Port = 0,
            Folder = folder,
            Otlp = otlp,
            Liveness = Told.Settings,
            Alarms = new AlarmSettings { Installation = "plant-7", Destinations = [Notices.To(receiver.Url)] },
        };

        WebApplication application = Server.Build(options, time);
        await using (application)
        {
            await application.StartAsync();
            using var client = new HttpClient { BaseAddress = new Uri(application.Urls.First()) };
            Assert.Equal(HttpStatusCode.OK, await PostAsync(client, HubMessages.Heartbeat("a", 0)));
            Assert.Equal(HttpStatusCode.OK, await PostAsync(client, HubMessages.Heartbeat("b", 0, interval: "nonsense")));
            Assert.Equal(HttpStatusCode.BadRequest, await PostAsync(client, "{"));
            time.Advance(TimeSpan.FromSeconds(130));
            await client.GetStringAsync("/alarms");
            AlarmDispatch dispatch = application.Services.GetRequiredService<AlarmDispatch>();
            await receiver.NextAsync();
            for (int turn = 0; turn < 1000 && dispatch.Waiting("ops") > 0; turn++)
            {
                // Each wait begins when its answer was recorded, so the clock moves in small steps until all three attempts are made.
                time.Advance(TimeSpan.FromMilliseconds(100));
                await Task.Delay(5);
            }

            Assert.Equal(0, dispatch.Waiting("ops"));
            Assert.Equal(HttpStatusCode.OK, await PostAsync(client, HubMessages.Heartbeat("a", 300, seq: "2")));
        }

        (string path, byte[] body) = await received.Task.WaitAsync(TimeSpan.FromSeconds(20));
        Directory.Delete(folder, recursive: true);
        Assert.Equal("/v1/metrics", path);
        var metrics = OtlpMetric.Read(body).ToDictionary(metric => metric.Name);
        Assert.Equal(MetricCatalog.All.Select(entry => entry.Name).Order(), metrics.Keys.Order());
        Assert.All(MetricCatalog.All, entry =>
        {
            // The dashboard is held against the catalogue, so what is sent must be what the catalogue says.
            OtlpMetric sent = metrics[entry.Name];
            Assert.Equal((entry.Unit, entry.Kind), (sent.Unit, sent.Kind));
            Assert.Equal(entry.Labels.Order(), sent.Labels.Order());
        });
        Assert.Equal(2, metrics["agent.facts.applied"].Points["kind=heartbeat"]);
        Assert.Equal(1, metrics["agent.facts.applied"].Points["kind=signOfLife"]);
        Assert.Equal(1, metrics["agent.facts.refused"].Points["reason=senseless"]);
        Assert.Equal(1, metrics["agent.requests.refused"].Points["status=400"]);
        Assert.Equal(1, metrics["agent.alarms.raised"].Points["kind=deviceSilent"]);
        Assert.Equal(1, metrics["agent.alarms.cleared"].Points["kind=deviceSilent"]);
        Assert.Equal(1, metrics["agent.notices.given_up"].Points["destination=ops"]);
        Assert.Equal((1, 1), (
            metrics["agent.devices"].Points["status=online"],
            metrics["agent.devices"].Points["status=unknown"]));
        Assert.DoesNotContain("hidden", Encoding.Latin1.GetString(body), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("http://127.0.0.1:4318", true)]
    [InlineData("https://collector.example/otlp/v1/metrics", true)]
    [InlineData("127.0.0.1:4318", false)]
    [InlineData("ftp://x", false)]
    [InlineData("http://user:secret@x", false)]
    [InlineData("", false)]
    public void An_address_is_checked_before_anything_is_sent(string url, bool isGood)
    {
        if (isGood)
        {
            Assert.Equal(new Uri(url), CommandLine.Parse(["--otlp", url], _ => null).Options.Otlp);
            return;
        }

        var wrong = Assert.Throws<CommandLineException>(() => CommandLine.Parse(["--otlp", url], _ => null));
        Assert.DoesNotContain("secret", wrong.Message, StringComparison.Ordinal);
    }

    private static async Task<HttpStatusCode> PostAsync(HttpClient client, string message)
    {
        using var content = new StringContent($"[{message}]", Encoding.UTF8, "application/json");
        using HttpResponseMessage answer = await client.PostAsync("/events", content);
        return answer.StatusCode;
    }

    private static async Task<WebApplication> StartCollectorAsync(TaskCompletionSource<(string Path, byte[] Body)> received)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        WebApplication collector = builder.Build();
        collector.Run(async context =>
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            received.TrySetResult((context.Request.Path, body.ToArray()));
        });
        await collector.StartAsync();
        return collector;
    }
}
