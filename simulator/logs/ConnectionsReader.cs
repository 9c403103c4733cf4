using System.Diagnostics.CodeAnalysis;

namespace Agent.Logs;

/// <summary>Reads Connections records from a stream of any length in constant memory.</summary>
/// <remarks>
/// Takes our hub's file and answer, the cloud's Storage form (one object a line), the Event Hub form (<c>{"records":[…]}</c>)
/// and a plain list. What cannot be read is counted, the first few places are kept, and reading goes on: a log "may be lost,
/// late or unordered" by its maker's own words (facts/iothub.md §3), and a torn line must not hide the rest.
/// </remarks>
public sealed class ConnectionsReader : IDisposable
{
    /// <summary>Bad places kept; the others are only counted.</summary>
    public const int BadLinesKept = 5;

    private readonly Stream stream;
    private readonly string source;
    private readonly RecordScanner scanner;
    private readonly RecordParser parser = new();
    private readonly List<BadLine> bad = [];

    /// <param name="stream">Read from where it is, and disposed of with the reader.</param>
    /// <param name="source">The name in reports.</param>
    public ConnectionsReader(Stream stream, string source)
    {
        this.stream = stream;
        this.source = source;
        scanner = new RecordScanner(stream);
    }

    /// <summary>Connections records read.</summary>
    public long Records { get; private set; }

    /// <summary>Records of other categories, passed over.</summary>
    public long OtherRecords { get; private set; }

    /// <summary>Places that could not be read.</summary>
    public long BadLines { get; private set; }

    /// <summary>The first of them.</summary>
    public IReadOnlyList<BadLine> FirstBadLines => bad;

    /// <summary>Bytes taken from the stream so far.</summary>
    public long BytesRead => scanner.BytesRead;

    /// <summary>The next record; false at the end.</summary>
    /// <exception cref="IOException">The stream failed.</exception>
    public bool TryRead([NotNullWhen(true)] out ConnectionsEntry? entry)
    {
        entry = null;
        for (ScanStep step = scanner.Next(); step != ScanStep.End; step = scanner.Next())
        {
            if (step == ScanStep.Problem)
            {
                Count(scanner.Problem);
            }
            else if (!parser.TryParse(scanner.Record, out entry, out string? problem))
            {
                Count(problem);
            }
            else if (entry is not null)
            {
                Records++;
                return true;
            }
            else
            {
                OtherRecords++;
            }
        }

        return false;
    }

    /// <inheritdoc/>
    public void Dispose() => stream.Dispose();

    private void Count(string problem)
    {
        BadLines++;
        if (bad.Count < BadLinesKept)
        {
            bad.Add(new BadLine(source, scanner.Line, problem));
        }
    }
}
