using System.Text.Json;

namespace Agent.Host;

/// <summary>What survives a restart: how often the agent has started, and the number of the next heartbeat.</summary>
internal sealed record SavedState(int Boots, int NextSequence);

// One small JSON file. It is written whole beside the old one, flushed, and renamed over it, so that a power cut
// leaves either the old or the new one. A file that cannot be read (by whatever accident) costs the counters,
// never the start.

/// <summary>Keeps <see cref="SavedState"/> in a folder; without a folder it forgets everything.</summary>
internal sealed class StateFile
{
    private readonly string? _path;

    private StateFile(string? path, SavedState state, string? problem)
    {
        _path = path;
        State = state;
        Problem = problem;
    }

    public SavedState State { get; private set; }

    /// <summary>What went wrong with reading or the last writing; null = nothing.</summary>
    public string? Problem { get; private set; }

    /// <summary>Reads what is there and counts this start.</summary>
    /// <exception cref="IOException">The folder cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be made.</exception>
    public static StateFile Open(string? folder)
    {
        if (folder is null)
        {
            return new StateFile(null, new SavedState(Boots: 1, NextSequence: 1), null);
        }

        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, "agent-state.json");
        SavedState? last = Read(path, out string? problem);
        StateFile file = new(path, new SavedState(NextAfter(last?.Boots ?? 0), last?.NextSequence ?? 1), problem);
        if (!file.TryWrite())
        {
            throw new IOException(file.Problem);
        }

        file.Problem = problem;
        return file;
    }

    /// <summary>Remembers that a heartbeat number has been used; called before the heartbeat leaves.</summary>
    public void UseSequence(int sequence)
    {
        State = State with { NextSequence = NextAfter(sequence) };
        TryWrite();
    }

    private static int NextAfter(int number) => number == int.MaxValue ? 1 : number + 1;

    private static SavedState? Read(string path, out string? problem)
    {
        problem = null;
        try
        {
            if (!File.Exists(path))
            {
                return null;
            }

            SavedState? state = JsonSerializer.Deserialize<SavedState>(File.ReadAllText(path));
            if (state is { Boots: >= 0, NextSequence: >= 1 })
            {
                return state;
            }

            problem = "holds impossible numbers";
        }
        catch (Exception fault) when (fault is JsonException or IOException or UnauthorizedAccessException)
        {
            problem = fault is JsonException ? "is damaged" : "cannot be read";
        }

        problem = $"{path} {problem}; counting starts again";
        return null;
    }

    private bool TryWrite()
    {
        if (_path is null)
        {
            return true;
        }

        try
        {
            string beside = _path + ".new";
            using (FileStream stream = new(beside, FileMode.Create, FileAccess.Write))
            {
                JsonSerializer.Serialize(stream, State);
                stream.Flush(flushToDisk: true);
            }

            File.Move(beside, _path, overwrite: true);
            Problem = null;
            return true;
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            Problem = $"{_path} cannot be written: {fault.Message}";
            return false;
        }
    }
}
