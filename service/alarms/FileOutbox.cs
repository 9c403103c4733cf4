using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Agent.Service.Alarms;

/// <summary>The outbox of one process in one file: a line for each change, checksummed, on the disk before a call returns.</summary>
/// <remarks>
/// <para>
/// There are few alarms and each matters, so a line is the whole row as it has become (a later line replaces an earlier one) and
/// every call ends with a flush to the disk. When most of the file is history it is written anew beside itself and renamed.
/// </para>
/// <para>
/// A crash can only tear the last line. Reading ends at the first line whose checksum is wrong, and what follows is cut off: what it said
/// was never confirmed to anybody. The file is held open for itself alone, so that a second process cannot share it by accident.
/// </para>
/// </remarks>
public sealed class FileOutbox : IAlarmOutbox, IDisposable
{
    private const int LineBytesMax = 1 << 18;
    private const int ChecksumDigits = 8;

    private static readonly JsonSerializerOptions Format = new()
    {
        IgnoreReadOnlyProperties = true,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip,
    };

    private readonly Lock gate = new();
    private readonly string path;
    private readonly OutboxTable table;
    private readonly long compactAboveBytes;
    private FileStream file;
    private long compactedBytes;

    private FileOutbox(string path, FileStream file, OutboxTable table, long compactAboveBytes)
    {
        this.compactAboveBytes = compactAboveBytes;
        this.path = path;
        this.file = file;
        this.table = table;
    }

    /// <summary>Episodes not taken in because the outbox was full.</summary>
    public long Overflown
    {
        get
        {
            lock (gate)
            {
                return table.Overflown;
            }
        }
    }

    /// <summary>Bytes of a torn end that were cut off at the start.</summary>
    public long CutBytes { get; private set; }

    /// <summary>Opens the file, or makes it.</summary>
    /// <param name="path">Where.</param>
    /// <param name="rowsMax">Most rows for each destination.</param>
    /// <param name="compactAboveBytes">A smaller file is never written anew.</param>
    /// <exception cref="IOException">It cannot be had, for example because another process has it.</exception>
    public static FileOutbox Open(string path, int rowsMax = 10_000, long compactAboveBytes = 1 << 20)
    {
        var table = new OutboxTable(rowsMax);
        var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        try
        {
            var outbox = new FileOutbox(path, file, table, compactAboveBytes);
            outbox.ReadAll();
            return outbox;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Rows that are not idle, for one destination.</summary>
    public int Waiting(string destination)
    {
        lock (gate)
        {
            return table.Waiting(destination);
        }
    }

    /// <inheritdoc/>
    public ValueTask IntroduceAsync(string destination, long lastEpisode)
    {
        Introduce(destination, lastEpisode);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask<bool> AppendAsync(IReadOnlyList<Notice> notices, IReadOnlyList<Destination> destinations) =>
        ValueTask.FromResult(Append(notices, destinations));

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>Makes a destination known; a new one hears of later episodes only.</summary>
    public void Introduce(string destination, long lastEpisode)
    {
        lock (gate)
        {
            if (table.Introduce(destination, lastEpisode))
            {
                Write([new Line { Destination = destination, Mark = lastEpisode }]);
            }
        }
    }

    /// <summary>Adds edges for every destination that wants them; safe to repeat. On the disk when it returns.</summary>
    /// <returns>Whether anything is new.</returns>
    public bool Append(IReadOnlyList<Notice> notices, IReadOnlyList<Destination> destinations)
    {
        lock (gate)
        {
            var lines = new List<Line>();
            foreach (Notice notice in notices)
            {
                foreach (Destination destination in destinations.Where(each => each.Wants(notice)))
                {
                    long overflown = table.Overflown;
                    if (table.Append(destination.Name, notice) is { } row)
                    {
                        lines.Add(new Line { Row = row });
                    }
                    else if (table.Overflown > overflown)
                    {
                        lines.Add(new Line { Destination = destination.Name, Over = notice.Episode });
                    }
                }
            }

            Write(lines);
            return lines.Count > 0;
        }
    }

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<Delivery>> ClaimAsync(
        string destination, long nowMs, long leaseUntilMs, int count, CancellationToken cancellation)
    {
        lock (gate)
        {
            return ValueTask.FromResult(table.Claim(destination, nowMs, leaseUntilMs, count));
        }
    }

    /// <inheritdoc/>
    public ValueTask RecordAsync(Delivery row, CancellationToken cancellation)
    {
        lock (gate)
        {
            if (table.Record(row) is { } merged)
            {
                Write([merged.IsOver ? new Line { Destination = merged.Destination, Over = merged.Episode } : new Line { Row = merged }]);
            }
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (gate)
        {
            file.Dispose();
        }
    }

    private void ReadAll()
    {
        file.Position = 0;
        using var reader = new BinaryReader(file, Encoding.UTF8, leaveOpen: true);
        byte[] all = reader.ReadBytes((int)Math.Min(file.Length, int.MaxValue - 64));
        int good = 0;
        while (good < all.Length)
        {
            int length = all.AsSpan(good).IndexOf((byte)'\n');
            if (length < 0 || length > LineBytesMax || !TryApply(all.AsSpan(good, length)))
            {
                break;
            }

            good += length + 1;
        }

        CutBytes = all.Length - good;
        file.SetLength(good);
        file.Position = good;
        compactedBytes = 0;
    }

    private bool TryApply(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length <= ChecksumDigits)
        {
            return false;
        }

        Span<byte> digits = stackalloc byte[ChecksumDigits];
        Checksum(bytes[ChecksumDigits..]).TryFormat(digits, out _, "x8", CultureInfo.InvariantCulture);
        if (!bytes[..ChecksumDigits].SequenceEqual(digits))
        {
            return false;
        }

        try
        {
            Line? line = JsonSerializer.Deserialize<Line>(bytes[ChecksumDigits..], Format);
            if (line?.Row is { Notices.Count: > 0 } row)
            {
                table.Restore(row);
            }
            else if (line?.Destination is { } destination)
            {
                if (line.Mark is { } mark)
                {
                    table.RestoreMark(destination, mark);
                }

                if (line.Over is { } episode)
                {
                    table.RestoreOver(destination, episode);
                }
            }

            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private void Write(IReadOnlyList<Line> lines)
    {
        if (lines.Count == 0)
        {
            return;
        }

        WriteTo(file, lines);
        if (file.Length > compactAboveBytes && file.Length > 4 * compactedBytes)
        {
            Compact();
        }
    }

    private static void WriteTo(FileStream target, IEnumerable<Line> lines)
    {
        using var buffer = new MemoryStream();
        Span<byte> digits = stackalloc byte[ChecksumDigits];
        foreach (Line line in lines)
        {
            byte[] json = JsonSerializer.SerializeToUtf8Bytes(line, Format);
            Checksum(json).TryFormat(digits, out _, "x8", CultureInfo.InvariantCulture);
            buffer.Write(digits);
            buffer.Write(json);
            buffer.WriteByte((byte)'\n');
        }

        // One write, so that a crash tears at most one place.
        target.Write(buffer.GetBuffer(), 0, (int)buffer.Length);
        target.Flush(flushToDisk: true);
    }

    private void Compact()
    {
        string beside = path + ".new";
        var fresh = new FileStream(beside, FileMode.Create, FileAccess.ReadWrite, FileShare.None);
        try
        {
            IEnumerable<Line> marks = table.Over.SelectMany(over => over.Over
                .Select(episode => new Line { Destination = over.Destination, Over = episode })
                .Prepend(new Line { Destination = over.Destination, Mark = over.Mark }));
            WriteTo(fresh, [.. marks, .. table.Rows.Select(row => new Line { Row = row })]);
            File.Move(beside, path, overwrite: true);
        }
        catch
        {
            fresh.Dispose();
            throw;
        }

        file.Dispose();
        file = fresh;
        compactedBytes = file.Length;
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in bytes)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return ~crc;
    }

    private sealed class Line
    {
        public Delivery? Row { get; init; }

        public string? Destination { get; init; }

        public long? Over { get; init; }

        public long? Mark { get; init; }
    }
}
