using System.Text.Json;
using System.Threading.Channels;

namespace Agent.Load;

// Parent and children of a benchmark speak in lines: an order is words, an answer one JSON object. While an order is carried out
// there may be objects with the key "progress" before the answer. End of input ends a child, also one that is stuck in an order:
// none outlives its parent.

/// <summary>A child's half of the talk with the benchmark that started it.</summary>
public sealed class ChildText : IDisposable
{
    private const int WorldFailed = 3;
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(10);

    private readonly Channel<string> orders = Channel.CreateUnbounded<string>();
    private readonly Lock gate = new();
    private volatile bool isOver;

    /// <summary>Begins to listen to standard input.</summary>
    public ChildText()
    {
        new Thread(Listen) { IsBackground = true, Name = "orders" }.Start();
    }

    /// <summary>The next order's words; null = it is time to go.</summary>
    public async Task<string[]?> NextAsync() =>
        await orders.Reader.WaitToReadAsync().ConfigureAwait(false) && orders.Reader.TryRead(out string? line)
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

    /// <inheritdoc/>
    public void Dispose() => isOver = true;

    private void Listen()
    {
        while (Console.In.ReadLine() is { } line)
        {
            orders.Writer.TryWrite(line);
        }

        orders.Writer.Complete();
        Thread.Sleep(Grace);
        if (!isOver)
        {
            Environment.Exit(WorldFailed);
        }
    }
}
