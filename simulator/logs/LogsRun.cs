namespace Agent.Logs;

/// <summary>One question put to some logs: reads them once, from the first record to the last.</summary>
public sealed class LogsRun
{
    private const int ProgressEvery = 4096;

    private readonly List<LogSource> sources;
    private readonly List<BadLine> bad = [];

    /// <exception cref="Input.BadInputException">A source is not what it must be.</exception>
    public LogsRun(LogsOptions options)
    {
        Options = options;
        sources = LogSource.OpenAll(options);
        Analysis = new LogAnalysis(options);
    }

    public LogsOptions Options { get; }

    /// <summary>Complete after <see cref="Read"/>.</summary>
    public LogAnalysis Analysis { get; }

    /// <summary>Connections records read, asked about or not.</summary>
    public long Records { get; private set; }

    /// <summary>Of these, the ones <c>--device</c>, <c>--since</c> and <c>--until</c> let through.</summary>
    public long RecordsTaken { get; private set; }

    /// <summary>Records of other categories.</summary>
    public long OtherRecords { get; private set; }

    /// <summary>Places that could not be read.</summary>
    public long BadLines { get; private set; }

    /// <summary>The first of them.</summary>
    public IReadOnlyList<BadLine> FirstBadLines => bad;

    /// <summary>Bytes to read; null = not known.</summary>
    public long? Length => sources.TrueForAll(source => source.Length is not null) ? sources.Sum(source => source.Length) : null;

    /// <summary>Reads everything.</summary>
    /// <param name="onRow">Told each record that is a row of the answer.</param>
    /// <param name="onProgress">Told the share done, 0..1, now and then.</param>
    /// <exception cref="IOException">A source failed.</exception>
    public void Read(Action<ConnectionsEntry> onRow, Action<double>? onProgress = null)
    {
        double length = Math.Max(Length ?? 0, 1);
        long before = 0;
        foreach (LogSource source in sources)
        {
            using var reader = new ConnectionsReader(source.Open(), source.Name);
            while (reader.TryRead(out ConnectionsEntry? entry))
            {
                if (Options.Takes(entry))
                {
                    RecordsTaken++;
                    Analysis.Add(entry);
                    if (Options.Lists(entry))
                    {
                        onRow(entry);
                    }
                }

                if (reader.Records % ProgressEvery == 0)
                {
                    onProgress?.Invoke(Math.Min((before + reader.BytesRead) / length, 1));
                }
            }

            before += reader.BytesRead;
            Count(reader);
        }

        Analysis.Finish();
    }

    private void Count(ConnectionsReader reader)
    {
        Records += reader.Records;
        OtherRecords += reader.OtherRecords;
        BadLines += reader.BadLines;
        bad.AddRange(reader.FirstBadLines.Take(ConnectionsReader.BadLinesKept - bad.Count));
    }
}
