using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Agent.Hub;

// Snapshots: what the log comes to, made beside the writer from the files alone.
public sealed partial class Journal
{
    /// <summary>A frame of a snapshot is closed when it holds this much.</summary>
    private const int SnapshotFrameLength = 1 << 20;

    /// <summary>A log may grow to this many times its due length while a snapshot is being made.</summary>
    private const int LagMax = 4;

    private readonly CancellationTokenSource stopCompaction = new();
    private Thread? compaction;
    private long snapshotBytes;
    private long olderLogBytes;
    private long failedAtBytes;
    private long dueBytes;
    private long compactionCount;

    /// <summary>Snapshots made since the journal was opened.</summary>
    public long CompactionCount => Interlocked.Read(ref compactionCount);

    /// <summary>Bytes in all files of the journal.</summary>
    public long DiskBytes => Directory.EnumerateFiles(directory, "journal-*").Sum(LengthOf);

    private static long LengthOf(string path)
    {
        var file = new FileInfo(path);
        return file.Exists ? file.Length : 0;
    }

    private static ulong[] Generations(string directory, JournalFileKind kind)
    {
        string ending = kind == JournalFileKind.Log ? ".log" : ".snapshot";
        return [.. Directory.EnumerateFiles(directory, "journal-*" + ending)
            .Select(path => Path.GetFileName(path)["journal-".Length..^ending.Length])
            .Where(text => text.Length == 10 && text.All(char.IsAsciiDigit))
            .Select(text => ulong.Parse(text, CultureInfo.InvariantCulture))
            .Order()];
    }

    // Older files than the snapshot needs, and what was never renamed: a kill came between.
    private static void RemoveLeftovers(string directory, ulong first, ulong[] snapshots, ulong[] logs)
    {
        IEnumerable<string> leftovers = snapshots.Where(number => number < first)
            .Select(number => JournalFile.PathOf(directory, JournalFileKind.Snapshot, number))
            .Concat(logs.Where(number => number < first).Select(number => JournalFile.PathOf(directory, JournalFileKind.Log, number)))
            .Concat(Directory.EnumerateFiles(directory, "journal-*.tmp"));
        foreach (string path in leftovers.ToArray())
        {
            File.Delete(path);
        }
    }

    /// <summary>Reads a snapshot; its last entry says how many came before it.</summary>
    private static long ReadSnapshot(string directory, ulong number, JournalFileEntry entry, CancellationToken cancel = default)
    {
        string path = JournalFile.PathOf(directory, JournalFileKind.Snapshot, number);
        long count = 0, promised = -1;
        JournalFile.ReadResult read = JournalFile.Read(
            path, JournalFileKind.Snapshot, number, mayBeTorn: false,
            (mark, key, value) =>
            {
                if (mark == JournalBatch.EndMark && value.Length == sizeof(long))
                {
                    promised = BinaryPrimitives.ReadInt64LittleEndian(value);
                }
                else
                {
                    count++;
                    entry(mark, key, value);
                }
            },
            cancel);
        return promised == count
            ? read.Length
            : throw JournalFile.Damaged(path, read.Length, $"it holds {count} records and is not complete");
    }

    // The writer calls this between commits.
    private void RotateWhenDue()
    {
        // While the second thread runs the numbers further down are its own. Writers that outrun it must wait for it: else the
        // files would grow without bound.
        if (compaction is { IsAlive: true } && logLength < dueBytes * LagMax)
        {
            return;
        }

        compaction?.Join();
        compaction = null;
        dueBytes = Math.Max(options.CompactAfterBytes, snapshotBytes) + failedAtBytes;
        if (olderLogBytes + logLength < dueBytes)
        {
            return;
        }

        ulong closed = generation;
        Microsoft.Win32.SafeHandles.SafeFileHandle old = log;
        olderLogBytes += logLength;
        log = NewLog(closed + 1);
        generation = closed + 1;
        old.Dispose();
        long bytes = olderLogBytes;
        compaction = new Thread(() => Compact(closed, bytes)) { IsBackground = true, Name = "journal snapshot" };
        compaction.Start();
    }

    private void StopCompaction()
    {
        stopCompaction.Cancel();
        compaction?.Join();
        stopCompaction.Dispose();
    }

    private void Compact(ulong last, long bytes)
    {
        string path = JournalFile.PathOf(directory, JournalFileKind.Snapshot, last + 1);
        try
        {
            HubFiles.WriteAtomically(path, secret: true, stream => WriteSnapshot(stream, last));
            snapshotBytes = LengthOf(path);
            olderLogBytes = 0;
            failedAtBytes = 0;
            RemoveLeftovers(
                directory, last + 1, Generations(directory, JournalFileKind.Snapshot), Generations(directory, JournalFileKind.Log));
            Interlocked.Increment(ref compactionCount);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or HubDataException)
        {
            // Nothing is lost, the logs are all there; try again when as much has been written once more.
            failedAtBytes = bytes;
            options.Lines($"{path}: no snapshot could be made: {exception.Message}");
        }
        catch (OperationCanceledException)
        {
            File.Delete(path + ".tmp");
        }
    }

    // Two passes: which entry is the last of its key, then those entries. Only keys are held in memory.
    private void WriteSnapshot(Stream stream, ulong last)
    {
        var lastEntries = new Dictionary<string, long>(StringComparer.Ordinal);
        long position = 0;
        ReadAll(last, (mark, key, _) =>
        {
            if (mark == JournalBatch.PutMark)
            {
                lastEntries[Encoding.UTF8.GetString(key)] = position;
            }
            else
            {
                lastEntries.Remove(Encoding.UTF8.GetString(key));
            }

            position++;
        });

        stream.Write(JournalFile.NewHeader(JournalFileKind.Snapshot, last + 1, out ulong snapshotSalt));
        var batch = new JournalBatch();
        long offset = JournalFile.HeaderLength;
        void WriteFrame()
        {
            byte[] bytes = new byte[JournalFile.FrameHeaderLength + batch.Length];
            batch.Bytes.CopyTo(bytes.AsSpan(JournalFile.FrameHeaderLength));
            JournalFile.Seal(bytes, snapshotSalt, offset);
            stream.Write(bytes);
            offset += bytes.Length;
            batch.Clear();
        }

        position = 0;
        ReadAll(last, (mark, key, value) =>
        {
            string name = Encoding.UTF8.GetString(key);
            if (mark == JournalBatch.PutMark && lastEntries.TryGetValue(name, out long wanted) && wanted == position)
            {
                if (batch.Length > 0 && batch.Length + key.Length + value.Length > SnapshotFrameLength)
                {
                    WriteFrame();
                }

                batch.Put(name, value);
            }

            position++;
        });

        byte[] count = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(count, lastEntries.Count);
        if (batch.Length > 0)
        {
            WriteFrame();
        }

        batch.Add(JournalBatch.EndMark, "", count);
        WriteFrame();
    }

    private void ReadAll(ulong last, JournalFileEntry entry)
    {
        ulong[] snapshots = [.. Generations(directory, JournalFileKind.Snapshot).Where(number => number <= last)];
        ulong first = snapshots.Length > 0 ? snapshots[^1] : 1;
        if (snapshots.Length > 0)
        {
            ReadSnapshot(directory, first, entry, stopCompaction.Token);
        }

        for (ulong number = first; number <= last; number++)
        {
            JournalFile.Read(
                JournalFile.PathOf(directory, JournalFileKind.Log, number), JournalFileKind.Log, number, mayBeTorn: false, entry,
                stopCompaction.Token);
        }
    }
}
