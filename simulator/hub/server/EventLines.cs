using System.Globalization;
using System.Text;
using System.Threading.Channels;

namespace Agent.Hub;

/// <summary>One line per event for the person watching the hub, off the hub's own path.</summary>
/// <remarks>
/// Standard error may be a pipe nobody reads; a hub that writes to it directly would stop serving when the pipe is full.
/// So lines wait in a bounded queue for one writer, and when the queue is full they are counted instead.
/// </remarks>
public sealed class EventLines : IAsyncDisposable
{
    private const int WaitingMax = 1024;
    private const int TextLengthMax = 160;

    private readonly Channel<string> lines = Channel.CreateBounded<string>(
        new BoundedChannelOptions(WaitingMax) { SingleReader = true });

    private readonly TimeProvider time;
    private readonly Task pump;
    private long droppedCount;

    /// <param name="output">Where the lines go; null = nowhere.</param>
    /// <param name="time">The clock of the time at the beginning of a line, UTC.</param>
    public EventLines(TextWriter? output, TimeProvider time)
    {
        this.time = time;
        pump = output is null ? Task.CompletedTask : Task.Run(() => Pump(output));
        if (output is null)
        {
            lines.Writer.Complete();
        }
    }

    /// <summary>Whether anybody reads: building a line costs more than asking.</summary>
    public bool IsOn => !pump.IsCompleted;

    /// <summary>Adds a line; never waits.</summary>
    public void Write(string text)
    {
        string line = time.GetUtcNow().ToString("HH:mm:ss ", CultureInfo.InvariantCulture) + text;
        if (IsOn && !lines.Writer.TryWrite(line))
        {
            Interlocked.Increment(ref droppedCount);
        }
    }

    /// <summary>Text from the wire, made harmless for a terminal: one line, no control characters, bounded.</summary>
    public static string Clean(ReadOnlySpan<byte> text)
    {
        string decoded = Encoding.UTF8.GetString(text[..Math.Min(text.Length, TextLengthMax)]);
        return string.Create(decoded.Length, decoded, static (span, source) =>
        {
            for (int i = 0; i < span.Length; i++)
            {
                char c = source[i];
                bool isPlain = c >= ' ' && c != '\u007f' && CharUnicodeInfo.GetUnicodeCategory(c)
                    is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
                        or UnicodeCategory.ParagraphSeparator);
                span[i] = isPlain ? c : '?';
            }
        });
    }

    /// <summary>Writes out what waits, for a second at most.</summary>
    public async ValueTask DisposeAsync()
    {
        lines.Writer.TryComplete();
        await Task.WhenAny(pump, Task.Delay(TimeSpan.FromSeconds(1))).ConfigureAwait(false);
    }

    private async Task Pump(TextWriter output)
    {
        try
        {
            await foreach (string line in lines.Reader.ReadAllAsync().ConfigureAwait(false))
            {
                output.WriteLine(line);
                long dropped = Interlocked.Exchange(ref droppedCount, 0);
                if (dropped > 0)
                {
                    output.WriteLine($"         ({dropped} lines left out: more events than can be written)");
                }
            }
        }
        catch (IOException)
        {
            // The reader of standard error is gone; the hub serves on without lines.
        }
    }
}
