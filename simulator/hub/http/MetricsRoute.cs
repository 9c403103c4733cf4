using System.Buffers;
using Microsoft.AspNetCore.Http;

namespace Agent.Hub;

/// <summary><c>GET /local/metrics</c>: the hub's platform metrics as Azure Monitor's metrics interface gives them.</summary>
/// <remarks>
/// In the cloud that is another host and another credential (management.azure.com, a bearer token); here the question and the
/// answer are the same, and nobody is asked who he is, because nothing in it is secret.
/// </remarks>
internal static class MetricsRoute
{
    public static IReadOnlyList<HttpRoute> All { get; } =
    [
        new("GET", "/local/metrics", "Platform metrics: ?metricnames=&timespan=FROM/TO&interval=PT1M&aggregation=", call =>
        {
            IQueryCollection query = call.Context.Request.Query;
            HubAnswer<byte[]> answer = Get(
                call.Hub, query["metricnames"].FirstOrDefault(), query["timespan"].FirstOrDefault(), query["interval"].FirstOrDefault(),
                query["aggregation"].FirstOrDefault());
            return Task.FromResult(answer.Error is { } error ? (HttpAnswer)error : HttpAnswer.Json(answer.Value!));
        }),
    ];

    /// <summary>Answers; each parameter may be null (<see cref="MetricsQuery.TryRead"/>). 400004 names the first that is wrong.</summary>
    public static HubAnswer<byte[]> Get(HubServer hub, string? names, string? timespan, string? interval, string? aggregation)
    {
        if (!MetricsQuery.TryRead(names, timespan, interval, aggregation, hub.UtcNowMs, out MetricsQuery query, out string? problem))
        {
            return HubError.ArgumentInvalid(problem!);
        }

        hub.AdvanceMetrics();
        var output = new ArrayBufferWriter<byte>(4096);
        query.Write(output, hub.Metrics, ConnectionsWriter.ResourceIdOf(hub.Registry.HostName), ConnectionsWriter.LocationDefault);
        return output.WrittenSpan.ToArray();
    }
}
