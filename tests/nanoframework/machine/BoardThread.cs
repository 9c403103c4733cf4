namespace Agent.NanoMachine;

/// <summary>
/// A thread of the board. An exception that escapes it ends that thread and nothing else, silently; here it is at least said on
/// standard error, so that a test sees what no board would show.
/// </summary>
public sealed class BoardThread(Action body, string name)
{
    private Thread? thread;

    public bool IsAlive => thread?.IsAlive == true;

    public void Start()
    {
        thread = new Thread(Guarded) { IsBackground = true, Name = name };
        thread.Start();
    }

    public bool Join(int milliseconds) => thread?.Join(milliseconds) != false;

    /// <summary>Sleeps, a divisor shorter than asked.</summary>
    public static void Sleep(int milliseconds)
    {
        Thread.Sleep(milliseconds < 0 ? milliseconds : milliseconds / Machine.SleepDivisor);
        Machine.Pass();
    }

    private void Guarded()
    {
        try
        {
            body();
        }
        catch (Exception fault)
        {
            Console.Error.WriteLine($"a thread died ({name}): {fault}");
        }
    }
}

/// <summary>An event that resets itself.</summary>
public sealed class BoardEvent(bool initialState) : IDisposable
{
    private readonly AutoResetEvent inner = new(initialState);

    public bool Set() => inner.Set();

    public bool WaitOne(int milliseconds)
    {
        Machine.Pass();
        bool signalled = inner.WaitOne(milliseconds);
        Machine.Pass();
        return signalled;
    }

    public void Dispose() => inner.Dispose();
}

/// <summary>A periodic timer, as much faster as sleeps are shorter; an exception in a callback ends that call, the timer goes on.</summary>
public sealed class BoardTimer : IDisposable
{
    private readonly Timer inner;

    public BoardTimer(Action callback, int dueTime, int period) => inner = new Timer(
        _ =>
        {
            try
            {
                Machine.Pass();
                callback();
            }
            catch (Exception fault)
            {
                Console.Error.WriteLine($"a timer callback died: {fault}");
            }
        },
        null,
        Math.Max(1, dueTime / Machine.SleepDivisor),
        Math.Max(1, period / Machine.SleepDivisor));

    public void Dispose() => inner.Dispose();
}

/// <summary>A source of cancellation whose delay is shortened like every wait of the firmware.</summary>
public sealed class BoardPatience(int milliseconds) : IDisposable
{
    private readonly CancellationTokenSource inner = new(milliseconds / Machine.SleepDivisor);

    public CancellationToken Token => inner.Token;

    public void Dispose() => inner.Dispose();
}
