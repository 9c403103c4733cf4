using System.Globalization;

namespace Agent.Service;

/// <summary>How the folder is kept.</summary>
public sealed record StoreOptions
{
    /// <summary>Whether a commit waits for the disk. Without it a killed process loses nothing, a power cut may lose seconds.</summary>
    public bool Synchronise { get; init; } = true;

    /// <summary>A journal of this many bytes is worth a snapshot; a larger table raises it to a quarter of its own size.</summary>
    public long SnapshotAfterBytes { get; init; } = 64 * 1024 * 1024;
}

/// <summary>A folder in which facts, statuses and alarms survive <c>kill -9</c>.</summary>
/// <remarks>
/// <para>
/// Everything the checker took in or declared is appended to a journal; whoever must know that it is kept awaits <see cref="CommitAsync"/>.
/// One thread writes: what gathered while it waited for the disk becomes the next frame, so a hundred bodies share one wait. An answer
/// of 200 is given only after that: the window of loss for an acknowledged fact is zero.
/// </para>
/// <para>
/// Files carry a generation: snapshot N holds at least what all journals before N say. The one before is kept as well, so a newest
/// snapshot that turns out damaged costs a longer replay and nothing else.
/// </para>
/// </remarks>
public sealed class EmbeddedStore : IDisposable
{
    private const int FilledBytesMax = 16 * 1024 * 1024;

    private readonly string folder;
    private readonly StoreOptions options;
    private readonly FileStream folderLock;
    private readonly object gate = new();
    private readonly Thread writer;
    private byte[] filling = new byte[1 << 16];
    private byte[] writing = new byte[1 << 16];
    private int filled = JournalFile.FrameHeaderLength;
    private TaskCompletionSource? waiting;
    private bool isWriting;
    private bool isStopping;
    private Exception? failure;
    private JournalFile journal;
    private long generation;
    private int devicesWritten;
    private int sitesWritten;

    private EmbeddedStore(string folder, StoreOptions options, FileStream folderLock, Checker checker)
    {
        this.folder = folder;
        this.options = options;
        this.folderLock = folderLock;
        journal = Load(checker);
        devicesWritten = checker.Count;
        sitesWritten = checker.Sites.Count - 1;
        writer = new Thread(WriteFrames) { IsBackground = true, Name = "journal" };
        writer.Start();
    }

    /// <summary>Bytes of the journal that a restart would replay.</summary>
    public long JournalBytes => journal.Length;

    /// <summary>Bytes at the end of the newest journal that a kill left half written, and that were cut off at the start.</summary>
    public long TornBytes { get; private set; }

    /// <summary>Frames written since the start: far fewer than bodies under load.</summary>
    public long Commits { get; private set; }

    /// <summary>Why nothing can be kept any more; null = all is well.</summary>
    public string? Failure => failure?.Message;

    /// <summary>Opens or makes a folder and puts what it holds into an empty checker.</summary>
    /// <exception cref="StoreException">It cannot be used: one line that says why.</exception>
    public static EmbeddedStore Open(string folder, StoreOptions options, Checker checker)
    {
        try
        {
            Directory.CreateDirectory(folder);
            var folderLock = new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            try
            {
                return new EmbeddedStore(folder, options, folderLock, checker);
            }
            catch
            {
                folderLock.Dispose();
                throw;
            }
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            throw new StoreException($"{folder}: {failed.Message}", failed);
        }
    }

    /// <summary>
    /// Notes what a turn of the checker brought: the facts, what it declared, and the alarms. Called in the turn, so in order; takes the
    /// transitions and changes away from the checker.
    /// </summary>
    public void Note(Checker checker, FactBatch? batch)
    {
        ArgumentNullException.ThrowIfNull(checker);
        lock (gate)
        {
            // Whoever notes faster than the disk takes waits here, and with him whoever wants his turn: memory stays bounded.
            while (filled > FilledBytesMax && failure is null)
            {
                Monitor.Wait(gate);
            }

            for (; devicesWritten < checker.Count; devicesWritten++)
            {
                filled += JournalRecords.WriteDevice(Room(), devicesWritten, checker.Table.IdBytes(devicesWritten));
            }

            for (; sitesWritten < checker.Sites.Count - 1; sitesWritten++)
            {
                filled += JournalRecords.WriteSite(Room(), sitesWritten + 1, checker.Sites[sitesWritten + 1].Name);
            }

            if (batch is not null)
            {
                foreach (ref readonly Fact fact in batch.Facts)
                {
                    filled += JournalRecords.WriteFact(Room(), fact, batch, checker.Sites);
                }
            }

            for (int i = 0; i < checker.Transitions.Count; i++)
            {
                filled += JournalRecords.WriteTransition(Room(), checker.Transitions[i]);
            }

            foreach (Alarm alarm in checker.Alarms.Changes)
            {
                filled += JournalRecords.WriteAlarm(Room(), alarm);
            }

            Monitor.PulseAll(gate);
        }

        checker.ClearTransitions();
        checker.Alarms.ClearChanges();
    }

    /// <summary>Ends when everything noted so far is on the disk; fails when it cannot be kept, now and ever after.</summary>
    public Task CommitAsync()
    {
        lock (gate)
        {
            if (failure is not null)
            {
                return Task.FromException(failure);
            }

            if (filled == JournalFile.FrameHeaderLength && !isWriting)
            {
                return Task.CompletedTask;
            }

            // What is being written now may end before what was noted last; the next frame's end covers both.
            waiting ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Monitor.PulseAll(gate);
            return waiting.Task;
        }
    }

    /// <summary>
    /// Goes on with a checker that was not opened from this folder: the next thing must be <see cref="TakeSnapshot"/>, which holds
    /// all that the journal does not.
    /// </summary>
    public void Adopt(Checker checker)
    {
        ArgumentNullException.ThrowIfNull(checker);
        devicesWritten = checker.Count;
        sitesWritten = checker.Sites.Count - 1;
    }

    /// <summary>Whether the journal has grown so long that a snapshot is worth its time.</summary>
    public bool WantsSnapshot(Checker checker) =>
        journal.Length > Math.Max(options.SnapshotAfterBytes, checker.Table.Bytes / 4);

    /// <summary>Takes a snapshot while the checker works on, then removes what it makes superfluous.</summary>
    /// <param name="checker">What to keep.</param>
    /// <param name="turn">The lock under which it works.</param>
    public void TakeSnapshot(Checker checker, Lock turn)
    {
        ArgumentNullException.ThrowIfNull(checker);
        int count;
        long arenaBytes;
        lock (turn)
        {
            CommitAsync().GetAwaiter().GetResult();
            lock (gate)
            {
                journal.Dispose();
                generation++;
                journal = JournalFile.Append(PathOf("journal", generation), 0);
            }

            count = checker.Count;
            arenaBytes = checker.Table.ArenaBytes;
        }

        Snapshot.Write(PathOf("snapshot", generation), checker, turn, count, arenaBytes);
        foreach ((string path, long old) in FilesOf("snapshot").Concat(FilesOf("journal")))
        {
            if (old < generation - 1)
            {
                File.Delete(path);
            }
        }
    }

    /// <summary>Writes what was noted and closes the folder.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            isStopping = true;
            Monitor.PulseAll(gate);
        }

        writer.Join();
        journal.Dispose();
        folderLock.Dispose();
    }

    private Span<byte> Room()
    {
        if (filling.Length - filled < JournalRecords.LengthMax)
        {
            Array.Resize(ref filling, filling.Length * 2);
        }

        return filling.AsSpan(filled);
    }

    private void WriteFrames()
    {
        while (true)
        {
            TaskCompletionSource? done;
            int length;
            lock (gate)
            {
                while (filled == JournalFile.FrameHeaderLength && waiting is null && !isStopping)
                {
                    Monitor.Wait(gate);
                }

                if (filled == JournalFile.FrameHeaderLength && waiting is null)
                {
                    return;
                }

                (filling, writing) = (writing, filling);
                (length, filled) = (filled, JournalFile.FrameHeaderLength);
                (done, waiting) = (waiting, null);
                isWriting = true;
                Monitor.PulseAll(gate);
            }

            try
            {
                if (length > JournalFile.FrameHeaderLength && failure is null)
                {
                    journal.Write(writing.AsSpan(0, length), options.Synchronise);
                    Commits++;
                }
            }
            catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
            {
                failure = failed;
            }

            lock (gate)
            {
                isWriting = false;
            }

            if (failure is null)
            {
                done?.SetResult();
            }
            else
            {
                done?.SetException(failure);
            }
        }
    }

    private JournalFile Load(Checker checker)
    {
        List<(string Path, long Generation)> snapshots = [.. FilesOf("snapshot").OrderByDescending(file => file.Generation)];
        List<(string Path, long Generation)> journals = [.. FilesOf("journal").OrderBy(file => file.Generation)];
        long from = 0;
        if (snapshots.Count > 0)
        {
            // A checker that half a snapshot was read into is of no use, so a damaged one ends the start with its name. The one
            // before it is still there, and moving the damaged file away is for a person to decide.
            from = snapshots[0].Generation;
            if (!Snapshot.TryRead(snapshots[0].Path, checker))
            {
                throw new StoreException($"{snapshots[0].Path}: damaged; without it the one before and the journals since are used");
            }
        }

        journals.RemoveAll(file => file.Generation < from);
        generation = journals.Count == 0 ? from : journals[^1].Generation;
        var scratch = new FactBatch();
        long length = 0;
        for (int i = 0; i < journals.Count; i++)
        {
            if (journals[i].Generation != (i == 0 ? from : journals[i - 1].Generation + 1))
            {
                throw new StoreException($"{folder}: journal {(i == 0 ? from : journals[i - 1].Generation + 1)} is missing");
            }

            bool isNewest = i == journals.Count - 1;
            length = JournalFile.Read(journals[i].Path, isNewest, records => JournalRecords.Replay(records.Span, checker, scratch));
            TornBytes = isNewest ? new FileInfo(journals[i].Path).Length - length : 0;
        }

        return JournalFile.Append(PathOf("journal", generation), length);
    }

    private string PathOf(string kind, long number) =>
        Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{kind}-{number:D10}.bin"));

    private IEnumerable<(string Path, long Generation)> FilesOf(string kind)
    {
        foreach (string path in Directory.EnumerateFiles(folder, kind + "-??????????.bin"))
        {
            string digits = Path.GetFileNameWithoutExtension(path)[(kind.Length + 1)..];
            if (long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number))
            {
                yield return (path, number);
            }
        }
    }
}
