using System.Text.Json;

namespace Agent.Load;

// Parent and children of a benchmark speak in lines: an order is words, an answer one JSON object. While an order is carried out
// there may be objects with the key "progress" before the answer. End of input ends a child: none outlives its parent.

/// <summary>A child's half of the talk with the benchmark that started it.</summary>
internal sealed class ChildText : IDisposable
{
    private readonly TextReader input = Console.In;
    private readonly Lock gate = new();

    /// <summary>The next order's words; null = it is time to go.</summary>
    public async Task<string[]?> NextAsync() =>
        await Task.Run(input.ReadLine).ConfigureAwait(false) is { } line && line != "end"
            ? line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
            : null;

    /// <summary>Answers.</summary>
    public void Say(object answer)
    {
        string line = JsonSerializer.Serialize(answer);
        lock (gate)
        {
            Console.Out.WriteLine(line);
            Console.Out.Flush();
        }
    }

    public void Dispose() => input.Dispose();
}
