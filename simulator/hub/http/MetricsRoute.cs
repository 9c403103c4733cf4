using System.Buffers;

namespace Agent.Hub;

/// <summary><c>GET /local/metrics</c>: the hub's platform metrics as Azure Monitor's metrics interface gives them.</summary>
/// <remarks>
/// In the cloud that is another host and another credential (management.azure.com, a bearer token); here the question and the
/// answer are the same, and nobody is asked who he is, because nothing in it is secret.
/// </remarks>
internal static class MetricsRoute
{
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
