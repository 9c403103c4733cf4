using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Agent.Hub;

/// <summary>How a journal keeps its files.</summary>
public sealed record JournalOptions
{
    /// <summary>A log of this many bytes is worth a snapshot; a larger last snapshot raises it to its own size.</summary>
    public long CompactAfterBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>Whether a commit waits for the disk. Without it a killed process loses nothing, a power cut may.</summary>
    public bool Synchronise { get; init; } = true;

    /// <summary>Lines about what was dropped or could not be done.</summary>
    public Action<string> Lines { get; init; } = _ => { };
}

/// <summary>One entry that was kept: <paramref name="value"/> is empty when the key was deleted.</summary>
public delegate void JournalEntry(string key, ReadOnlySpan<byte> value, bool isDeleted);

/// <summary>Keys and values that survive <c>kill -9</c>: registry, twins, queued commands, sessions.</summary>
/// <remarks>
/// A log that only grows, and now and then a snapshot of what it comes to. Whoever changes something appends a batch and tells
/// the world only when <see cref="Append"/> has ended: then it is on the disk. One thread writes; all that has gathered while it
/// waited for the disk becomes the next commit, so a hundred writers share one fsync.
/// Files carry a generation: snapshot N holds what all logs before N came to. To compact, the writer goes on in log N+1, and a
/// second thread reads snapshot and logs up to N, keeps the last value of each key and renames the result to snapshot N+1. No
/// lock on the hub's state is needed for that, and the old files go only when the new one is in its place, so a kill at any
/// moment leaves a readable set. The road not taken was to ask the hub for its state: a million twins would stand still for it.
/// The folder's lock is <c>HubData</c>'s.
/// </remarks>
public sealed partial class Journal : IDisposable
{
    /// <summary>Batches waiting for the disk may hold this much; beyond it <see cref="Append"/> blocks.</summary>
    private const long WaitingBytesMax = 64 * 1024 * 1024;

    private const int FrameLengthMax = JournalFile.FrameHeaderLength + JournalFile.PayloadLengthMax;

    private readonly string directory;
    private readonly JournalOptions options;
    private readonly object gate = new();
    private readonly Thread writer;
    private List<Waiting> waiting = [];
    private long waitingBytes;
    private bool stopping;
    private Exception? failure;

    // The writer's own, once it runs.
    private byte[] frame = new byte[64 * 1024];
    private SafeFileHandle log;
    private ulong generation;
    private ulong salt;
    private long logLength;
    private long commitCount;

    private Journal(string directory, JournalOptions options, Loaded loaded)
    {
        this.directory = directory;
        this.options = options;
        generation = loaded.Generation;
        snapshotBytes = loaded.SnapshotBytes;
        olderLogBytes = loaded.OlderLogBytes;
        log = OpenLog(loaded);
        writer = new Thread(Write) { IsBackground = true, Name = "journal" };
        writer.Start();
    }

    /// <summary>Commits made: far fewer than batches under load.</summary>
    public long CommitCount => Interlocked.Read(ref commitCount);

    /// <summary>
    /// Opens or makes the journal of a folder. Every entry kept is told to <paramref name="entry"/> in order: a later one for
    /// the same key replaces the earlier.
    /// </summary>
    /// <exception cref="HubDataException">A file is damaged or missing: one line with its name and the offset.</exception>
    public static Journal Open(string directory, JournalOptions options, JournalEntry entry)
    {
        Directory.CreateDirectory(directory);
        return new Journal(directory, options, Load(directory, options, entry));
    }

    /// <summary>
    /// Ends when the batch is on the disk; fails when it cannot be kept, now and ever after. Batches are kept in the order of the
    /// calls. The batch belongs to the journal from here on.
    /// </summary>
    public Task Append(JournalBatch batch)
    {
        if (batch.Length == 0)
        {
            return Task.CompletedTask;
        }

        var entry = new Waiting(batch);
        lock (gate)
        {
            while (waitingBytes > WaitingBytesMax && failure is null && !stopping)
            {
                Monitor.Wait(gate);
            }

            if (failure is not null || stopping)
            {
                return Task.FromException(failure ?? new ObjectDisposedException(nameof(Journal)));
            }

            waiting.Add(entry);
            waitingBytes += batch.Length;
            Monitor.PulseAll(gate);
        }

        return entry.Done.Task;
    }

    /// <summary>Writes what waits, then closes the files. A snapshot under way is given up; nothing is lost by that.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (stopping)
            {
                return;
            }

            stopping = true;
            Monitor.PulseAll(gate);
        }

        writer.Join();
        StopCompaction();
        log.Dispose();
    }

    private void Write()
    {
        var batches = new List<Waiting>();
        while (true)
        {
            lock (gate)
            {
                while (waiting.Count == 0 && !stopping)
                {
                    Monitor.Wait(gate);
                }

                if (waiting.Count == 0)
                {
                    return;
                }

                (waiting, batches) = (batches, waiting);
                waitingBytes = 0;
                Monitor.PulseAll(gate);
            }

            try
            {
                Commit(batches);
                RotateWhenDue();
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                Fail(batches, exception);
                return;
            }

            batches.Clear();
        }
    }

    // One frame per commit, and no frame before the last one is on the disk: that is what makes a cut-off write recognisable.
    private void Commit(List<Waiting> batches)
    {
        for (int first = 0; first < batches.Count;)
        {
            int end = JournalFile.FrameHeaderLength;
            int next = first;
            while (next < batches.Count && end + batches[next].Batch.Length <= FrameLengthMax)
            {
                ReadOnlySpan<byte> bytes = batches[next++].Batch.Bytes;
                if (end + bytes.Length > frame.Length)
                {
                    Array.Resize(ref frame, Math.Min(Math.Max(end + bytes.Length, frame.Length * 2), FrameLengthMax));
                }

                bytes.CopyTo(frame.AsSpan(end));
                end += bytes.Length;
            }

            JournalFile.Seal(frame.AsSpan(0, end), salt, logLength);
            RandomAccess.Write(log, frame.AsSpan(0, end), logLength);
            Synchronise(log);
            logLength += end;
            Interlocked.Increment(ref commitCount);
            for (; first < next; first++)
            {
                batches[first].Done.SetResult();
            }
        }
    }

    private void Fail(List<Waiting> batches, Exception exception)
    {
        string path = JournalFile.PathOf(directory, JournalFileKind.Log, generation);
        var told = new IOException($"{path}: cannot be written: {exception.Message}", exception);
        lock (gate)
        {
            failure = told;
            batches.AddRange(waiting);
            waiting.Clear();
            Monitor.PulseAll(gate);
        }

        options.Lines(told.Message);
        foreach (Waiting batch in batches)
        {
            batch.Done.TrySetException(told);
        }
    }

    private void Synchronise(SafeFileHandle file)
    {
        if (options.Synchronise)
        {
            RandomAccess.FlushToDisk(file);
        }
    }

    private SafeFileHandle OpenLog(Loaded loaded)
    {
        string path = JournalFile.PathOf(directory, JournalFileKind.Log, loaded.Generation);
        if (loaded.Log is not { GoodLength: > 0 } read)
        {
            return NewLog(loaded.Generation);
        }

        SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete);
        if (read.IsTorn)
        {
            RandomAccess.SetLength(file, read.GoodLength);
            Synchronise(file);
        }

        salt = read.Salt;
        logLength = read.GoodLength;
        return file;
    }

    // The header is there whole or the file is not there.
    private SafeFileHandle NewLog(ulong number)
    {
        string path = JournalFile.PathOf(directory, JournalFileKind.Log, number);
        byte[] header = JournalFile.NewHeader(JournalFileKind.Log, number, out salt);
        HubFiles.WriteAtomically(path, secret: true, stream => stream.Write(header));
        logLength = header.Length;
        return File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete);
    }

    /// <summary>What was found in the folder.</summary>
    /// <param name="Generation">Of the log to go on with.</param>
    /// <param name="Log">How reading that log went; null = there is none yet.</param>
    /// <param name="SnapshotBytes">Length of the snapshot.</param>
    /// <param name="OlderLogBytes">Length of the logs that belong to it and are closed.</param>
    private readonly record struct Loaded(
        ulong Generation, JournalFile.ReadResult? Log, long SnapshotBytes, long OlderLogBytes);

    private static Loaded Load(string directory, JournalOptions options, JournalEntry entry)
    {
        ulong[] snapshots = Generations(directory, JournalFileKind.Snapshot);
        ulong[] logs = Generations(directory, JournalFileKind.Log);
        ulong first = snapshots.Length > 0 ? snapshots[^1] : 1;
        RemoveLeftovers(directory, first, snapshots, logs);
        void Told(byte mark, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            if (mark != JournalBatch.EndMark)
            {
                entry(Encoding.UTF8.GetString(key), value, mark == JournalBatch.DeleteMark);
            }
        }

        long snapshotLength = snapshots.Length > 0 ? ReadSnapshot(directory, first, Told) : 0;
        ulong[] live = [.. logs.Where(number => number >= first)];
        if (snapshots.Length > 0 && live.Length == 0)
        {
            throw Missing(directory, first);
        }

        JournalFile.ReadResult? last = null;
        long older = 0;
        for (int i = 0; i < live.Length; i++)
        {
            ulong expected = first + (ulong)i;
            if (live[i] != expected)
            {
                throw Missing(directory, expected);
            }

            older += last?.Length ?? 0;
            string path = JournalFile.PathOf(directory, JournalFileKind.Log, expected);
            last = JournalFile.Read(path, JournalFileKind.Log, expected, mayBeTorn: i == live.Length - 1, Told);
            if (last is { IsTorn: true } torn)
            {
                long lost = torn.Length - torn.GoodLength;
                options.Lines(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{path}: the last {lost} bytes, from offset {torn.GoodLength}, are an unfinished write: dropped"));
            }
        }

        return new Loaded(live.Length > 0 ? live[^1] : first, last, snapshotLength, older);
    }

    private static HubDataException Missing(string directory, ulong number) => new(
        $"{JournalFile.PathOf(directory, JournalFileKind.Log, number)}: missing, though there are files of its time or later"
        + " (restore it from a copy)");

    private sealed class Waiting(JournalBatch batch)
    {
        public JournalBatch Batch { get; } = batch;

        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
