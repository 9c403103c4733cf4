using System.Net;
using System.Text.Json;

namespace Agent.Tests.Service.Page;

internal sealed record LiveEvent(string Id, string Name, string Data)
{
    public JsonElement Json => JsonDocument.Parse(Data).RootElement;
}

/// <summary>Reads server-sent events, line by line as the standard says.</summary>
internal sealed class LiveListener(HttpResponseMessage answer, StreamReader reader, CancellationToken enough) : IAsyncDisposable
{
    public static async Task<LiveListener> OpenAsync(PageRig rig, string? lastEventId, CancellationToken enough)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/live");
        if (lastEventId is not null)
        {
            request.Headers.Add("Last-Event-ID", lastEventId);
        }

        HttpResponseMessage answer = await rig.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, enough);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("text/event-stream", answer.Content.Headers.ContentType!.MediaType);
        return new LiveListener(answer, new StreamReader(await answer.Content.ReadAsStreamAsync(enough)), enough);
    }

    public async Task<LiveEvent> NextAsync()
    {
        var found = new LiveEvent("", "", "");
        while (await reader.ReadLineAsync(enough) is string line)
        {
            found = line.Split(": ", 2) switch
            {
                ["id", string id] => found with { Id = id },
                ["event", string name] => found with { Name = name },
                ["data", string data] => found with { Data = data },
                _ => found,
            };
            if (line.Length == 0 && found.Data.Length > 0)
            {
                return found;
            }
        }

        throw new EndOfStreamException("the stream ended");
    }

    public async Task<LiveEvent> UntilAsync(Func<LiveEvent, bool> isWanted)
    {
        LiveEvent found;
        do
        {
            found = await NextAsync();
        }
        while (!isWanted(found));
        return found;
    }

    public ValueTask DisposeAsync()
    {
        answer.Dispose();
        reader.Dispose();
        return ValueTask.CompletedTask;
    }
}
