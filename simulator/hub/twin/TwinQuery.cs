using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>One page of a query's answer.</summary>
/// <param name="Body">A JSON array.</param>
/// <param name="Count">Rows in it.</param>
/// <param name="Continuation">For the header <c>x-ms-continuation</c>; null = that was all.</param>
public readonly record struct QueryPage(byte[] Body, int Count, string? Continuation);

/// <summary>A query over twins: <c>SELECT [TOP n] *|columns|COUNT() FROM devices [WHERE …]</c> (facts/iothub.md §7).</summary>
/// <remarks>
/// The cloud promises no order; this hub answers in the order of device ids, because then a continuation need only say "after
/// this id": devices that come or go between two pages neither repeat nor hide others, and nothing is kept for a caller who
/// never returns. Each page looks at every twin once and keeps the smallest ids in a heap no larger than the page.
/// </remarks>
public sealed class TwinQuery
{
    /// <summary>Most rows a page may have (facts/iothub.md §7).</summary>
    public const int PageSizeMax = 1000;

    private const int ContinuationLengthMax = 1024;

    private static readonly JsonWriterOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly TwinQueryParser parsed;
    private readonly uint fingerprint;

    private TwinQuery(TwinQueryParser parsed, uint fingerprint)
    {
        this.parsed = parsed;
        this.fingerprint = fingerprint;
    }

    /// <summary>For the header <c>x-ms-item-type</c>: what an SDK takes the rows for.</summary>
    public string ItemType => parsed.CountName is null && parsed.Columns.Count == 0 ? "Twin" : "Raw";

    /// <summary>Reads a query.</summary>
    /// <exception cref="QueryException">It is none, or asks for what this hub does not serve.</exception>
    public static TwinQuery Parse(string query)
    {
        var parser = new TwinQueryParser(query);
        parser.Parse();
        return new TwinQuery(parser, Crc32C.Of(query));
    }

    /// <summary>Reads the body of <c>POST /devices/query</c>: <c>{"query":"…"}</c>.</summary>
    /// <exception cref="QueryException">It is not such a body, or no query.</exception>
    public static TwinQuery ParseBody(ReadOnlySpan<byte> body)
    {
        try
        {
            var reader = new Utf8JsonReader(body);
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            if (!reader.Read() && document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty("query", out JsonElement query) && query.ValueKind == JsonValueKind.String)
            {
                return Parse(query.GetString()!);
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The exception's own text quotes the input; the message below says what is wanted.
        }

        throw new QueryException(0, "the body must be {\"query\":\"SELECT …\"}");
    }

    /// <summary>Whether a twin meets the WHERE.</summary>
    public bool Matches(in TwinRow row) => parsed.Where is null || parsed.Where.On(row).Truth == true;

    /// <summary>
    /// Answers the first page, or the one after <paramref name="continuation"/>. The twins may come in any order, each id once.
    /// </summary>
    /// <exception cref="QueryException">The continuation is not one of this query, or the page size is out of range.</exception>
    public QueryPage Page(IEnumerable<TwinRow> twins, string? continuation, int pageSize)
    {
        if (pageSize is < 1 or > PageSizeMax)
        {
            throw new QueryException(0, $"x-ms-max-item-count must be 1 to {PageSizeMax}");
        }

        (string after, long left) = continuation is null ? ("", parsed.Top ?? long.MaxValue) : ReadContinuation(continuation);
        if (parsed.CountName is { } name)
        {
            return Counted(twins, name);
        }

        int size = (int)Math.Min(pageSize, left);
        List<TwinRow> rows = Smallest(twins, after, size, out bool more);
        left -= rows.Count;
        string? next = more && left > 0 ? Continuation(rows[^1].Identity.DeviceId, left) : null;
        return new QueryPage(Json(writer => rows.ForEach(row => Write(writer, row))), rows.Count, next);
    }

    private QueryPage Counted(IEnumerable<TwinRow> twins, string name)
    {
        long count = 0;
        foreach (TwinRow row in twins)
        {
            count += Matches(row) ? 1 : 0;
        }

        count = Math.Min(count, parsed.Top ?? long.MaxValue);
        byte[] body = Json(writer =>
        {
            writer.WriteStartObject();
            writer.WriteNumber(name, count);
            writer.WriteEndObject();
        });
        return new QueryPage(body, 1, null);
    }

    private List<TwinRow> Smallest(IEnumerable<TwinRow> twins, string after, int size, out bool more)
    {
        // The largest of the kept ids is on top and makes room for a smaller one.
        var kept = new PriorityQueue<TwinRow, string>(Comparer<string>.Create((a, b) => string.CompareOrdinal(b, a)));
        more = false;
        foreach (TwinRow row in twins)
        {
            string id = row.Identity.DeviceId;
            if (string.CompareOrdinal(id, after) <= 0
                || (more && string.CompareOrdinal(id, kept.Peek().Identity.DeviceId) > 0)
                || !Matches(row))
            {
                continue;
            }

            kept.Enqueue(row, id);
            if (kept.Count > size)
            {
                kept.Dequeue();
                more = true;
            }
        }

        var rows = new List<TwinRow>(kept.Count);
        while (kept.TryDequeue(out TwinRow row, out _))
        {
            rows.Add(row);
        }

        rows.Reverse();
        return rows;
    }

    private void Write(Utf8JsonWriter writer, in TwinRow row)
    {
        if (parsed.Columns.Count == 0)
        {
            row.Twin.WriteService(writer, row.Identity);
            return;
        }

        writer.WriteStartObject();
        foreach (QueryColumn column in parsed.Columns)
        {
            column.Path.TryWrite(writer, column.Name, row);
        }

        writer.WriteEndObject();
    }

    private string Continuation(string lastId, long left) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(
        string.Create(CultureInfo.InvariantCulture, $"1|{fingerprint:x8}|{left}|{lastId}")));

    private (string After, long Left) ReadContinuation(string continuation)
    {
        byte[] bytes = new byte[ContinuationLengthMax];
        if (continuation.Length <= ContinuationLengthMax
            && Base64Url.IsValid(continuation) && Base64Url.TryDecodeFromChars(continuation, bytes, out int length)
            && Encoding.UTF8.GetString(bytes, 0, length).Split('|', 4) is ["1", var print, var left, { Length: > 0 } after]
            && print == fingerprint.ToString("x8", CultureInfo.InvariantCulture)
            && long.TryParse(left, NumberStyles.None, CultureInfo.InvariantCulture, out long count) && count > 0)
        {
            return (after, count);
        }

        throw new QueryException(0, "x-ms-continuation is not one this query has given out");
    }

    private static byte[] Json(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer, Relaxed))
        {
            writer.WriteStartArray();
            write(writer);
            writer.WriteEndArray();
        }

        return buffer.WrittenSpan.ToArray();
    }
}
