using Spectre.Console;

namespace Agent.Cli;

// A bar for work that takes more than two seconds, on standard error and only when a person is looking at it. Short runs and
// pipes see nothing, so that no script has to strip anything.

/// <summary>Shows how far a piece of work has come.</summary>
public static class ProgressBar
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>Runs the work; the work reports the share done, 0..1, from any thread.</summary>
    public static T During<T>(string title, Func<Action<double>, T> work)
    {
        if (Console.IsErrorRedirected)
        {
            return work(_ => { });
        }

        double done = 0;
        Task<T> task = Task.Run(() => work(share => Volatile.Write(ref done, share)));
        try
        {
            if (!task.Wait(Patience))
            {
                Show(title, task, () => Volatile.Read(ref done));
            }
        }
        catch (AggregateException)
        {
            // GetResult below throws the inner one.
        }

        return task.GetAwaiter().GetResult();
    }

    private static void Show(string title, Task task, Func<double> done)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        console.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .Start(context =>
            {
                ProgressTask bar = context.AddTask(Markup.Escape(title), maxValue: 1);
                while (!task.Wait(TimeSpan.FromMilliseconds(100)))
                {
                    bar.Value = done();
                }
            });
    }
}
