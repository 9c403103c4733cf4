using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>What a route answers: an error, or a status with a body and headers.</summary>
internal sealed record HttpAnswer
{
    /// <summary>The route has written the response itself.</summary>
    public static readonly HttpAnswer Written = new();

    /// <summary>204.</summary>
    public static readonly HttpAnswer NoContent = new() { Status = 204 };

    // Etags and keys are base64: a plus sign must not become \u002B, which some clients do not undo.
    private static readonly JsonWriterOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public int Status { get; init; } = 200;

    public ReadOnlyMemory<byte> Body { get; init; }

    public string ContentType { get; init; } = "application/json; charset=utf-8";

    public IReadOnlyList<(string Name, string Value)> Headers { get; init; } = [];

    /// <summary>Not null = this is the answer, and the other members do not count.</summary>
    public HubError? Error { get; init; }

    public static implicit operator HttpAnswer(HubError error) => new() { Error = error };

    /// <summary>200 with JSON, and with an <c>ETag</c> header where there is an etag.</summary>
    public static HttpAnswer Json(Action<Utf8JsonWriter> write, string? eTag = null)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        using (var writer = new Utf8JsonWriter(buffer, Relaxed))
        {
            write(writer);
        }

        return Json(buffer.WrittenMemory, eTag);
    }

    /// <summary>200 with JSON that is already written.</summary>
    public static HttpAnswer Json(ReadOnlyMemory<byte> body, string? eTag = null) =>
        new() { Body = body, Headers = eTag is null ? [] : [("ETag", $"\"{eTag}\"")] };
}
