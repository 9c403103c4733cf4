namespace Agent.Service;

/// <summary>What a body turned out to be.</summary>
public sealed class ReadOutcome
{
    private const int ProblemsMax = 10;

    /// <summary>What was understood; nothing of it counts when <see cref="Error"/> is set.</summary>
    public FactBatch Facts { get; } = new();

    /// <summary>Why the body is refused, in one line that names the place; null = it is taken.</summary>
    public string? Error { get; private set; }

    /// <summary>The code to send back when Event Grid asks whether we want this subscription.</summary>
    public string? ValidationCode { get; set; }

    /// <summary>Entries that say nothing about a device's liveness.</summary>
    public int Ignored { get; set; }

    /// <summary>What devices wrote into their own properties that could not be used, at most ten lines.</summary>
    public List<string> Problems { get; } = [];

    /// <summary>Ready for another body.</summary>
    public void Clear()
    {
        Facts.Clear();
        Error = null;
        ValidationCode = null;
        Ignored = 0;
        Problems.Clear();
    }

    /// <summary>Refuses the body.</summary>
    public bool Refuse(string error)
    {
        Error = error;
        return false;
    }

    /// <summary>Notes nonsense in one entry.</summary>
    public void Note(int index, string place)
    {
        if (Problems.Count < ProblemsMax)
        {
            Problems.Add($"event [{index}] {place}");
        }
    }
}
