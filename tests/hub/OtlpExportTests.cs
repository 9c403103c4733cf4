using System.Buffers.Binary;
using System.Text;
using Agent.Hub;
using Agent.Tests.Events;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;

namespace Agent.Tests.Hub;

/// <summary>The metrics as an OpenTelemetry collector sees them: a receiver of OTLP/HTTP that reads the protobuf by hand.</summary>
[Collection(RealTime.Name)]
public sealed class OtlpExportTests
{
    [Fact]
    public async Task Counts_and_standing_figures_arrive_under_the_vendor_s_names()
    {
        var time = new ManualTime();
        var received = new TaskCompletionSource<(string Path, string Type, byte[] Body)>();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using WebApplication collector = builder.Build();
        collector.Run(async context =>
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            received.TrySetResult((context.Request.Path, context.Request.ContentType ?? "", body.ToArray()));
        });
        await collector.StartAsync();

        await using var rig = new HubRig(time: time);
        await using TestDevice device = await TestDevice.ConnectAsync(rig.Server, 0);
        OtlpExport export = OtlpExport.Start(rig.Server, collector.Urls.First());
        Assert.True(await device.PublishAsync("devices/device-0001/messages/events/", "12345"));
        time.Advance(TimeSpan.FromSeconds(1));
        export.Dispose();

        (string path, string type, byte[] request) = await received.Task.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(("/v1/metrics", "application/x-protobuf"), (path, type));
        Dictionary<string, long> values = Values(request);
        Assert.Equal(1, values["d2c.telemetry.ingress.success"]);
        Assert.Equal(5, values["deviceDataUsage"]);
        Assert.Equal(1, values["connectedDeviceCount"]);
        Assert.Equal(2, values["totalDeviceCount"]);
        Assert.Equal(HubMetricTable.Count, values.Count);
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
        Assert.Equal(isGood, OtlpExport.TryReadUrl(url, out string why));
        Assert.Equal(isGood, why.Length == 0);
        Assert.DoesNotContain("secret", why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_collector_s_address_that_is_none_is_exit_2_and_one_line()
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        int exitCode = await HubVerb.RunAsync(new HubVerbOptions { Otlp = "127.0.0.1:4318" }, output, error, CancellationToken.None);
        Assert.Equal((2, ""), (exitCode, output.ToString()));
        Assert.StartsWith("--otlp: expected the address", Assert.Single(error.ToString().TrimEnd().Split('\n')), StringComparison.Ordinal);
    }

    // opentelemetry-proto metrics.proto: ExportMetricsServiceRequest.resource_metrics = 1, ResourceMetrics.scope_metrics = 2,
    // ScopeMetrics.metrics = 2, Metric.name = 1, Metric.gauge = 5, Metric.sum = 7, data_points = 1, NumberDataPoint.as_int = 6.
    private static Dictionary<string, long> Values(byte[] request)
    {
        var values = new Dictionary<string, long>();
        foreach (byte[] metric in Protobuf.Fields(request, 1)
            .SelectMany(resource => Protobuf.Fields(resource, 2))
            .SelectMany(scope => Protobuf.Fields(scope, 2)))
        {
            byte[] data = Protobuf.Fields(metric, 7).Concat(Protobuf.Fields(metric, 5)).Single();
            byte[] number = Protobuf.Fields(Protobuf.Fields(data, 1).Single(), 6).Single();
            values.Add(Encoding.UTF8.GetString(Protobuf.Fields(metric, 1).Single()), BinaryPrimitives.ReadInt64LittleEndian(number));
        }

        return values;
    }
}
