using System.CommandLine;
using Agent.Input;
using Agent.Logs;

namespace Agent.Cli;

/// <summary><c>logs</c>: the vendor's queries over Connections records, from files or a hub on this machine.</summary>
public static class LogsVerb
{
    private static readonly string[] Queries = [.. Enum.GetValues<LogQuery>().Select(LogsJson.NameOf)];

    /// <summary>The command with its options.</summary>
    public static Command Command(Option<bool> json)
    {
        var sources = new Argument<string[]>("FILE")
        {
            Description = "Records as the hub or the cloud writes them; - = standard input; https://localhost:8443 = a running hub.",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var query = new Option<string?>("--query")
        {
            Description = "errors (default), device, sdk, all, or disconnects: the period per device and what it suggests.",
            HelpName = string.Join('|', Queries),
        };
        Option<string?> device = TextOption("--device", "Only this device; without --query, everything of it.", "ID");
        Option<string?> since = TextOption("--since", "From this moment on: 2026-11-20T14:00Z, or 2h ago as 2h.", "TEXT");
        Option<string?> until = TextOption("--until", "Before this moment.", "TEXT");
        Option<string?> ca = TextOption("--ca", "The running hub's CA, the path it printed at its start.", "FILE");
        var explain = new Option<bool>("--explain")
        {
            Description = "Root cause and fix of every error; healthy renewals told from unexplained drops.",
        };
        var kql = new Option<bool>("--kql") { Description = "Prints the same queries for the real Log Analytics." };
        var command = new Command("logs", "Asks the vendor's questions of Connections records, and explains the answers.")
        {
            sources, query, device, since, until, explain, ca, kql,
        };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(kql))
            {
                return PrintKql(parsed.GetValue(json));
            }

            LogsOptions options = Read(
                parsed.GetValue(sources) ?? [], parsed.GetValue(query), parsed.GetValue(device),
                parsed.GetValue(since), parsed.GetValue(until), TimeProvider.System.GetUtcNow().UtcDateTime);
            return Run(options with { Explain = parsed.GetValue(explain), CaPath = parsed.GetValue(ca) }, parsed.GetValue(json));
        });
        return command;
    }

    /// <summary>Checks what was given.</summary>
    /// <exception cref="BadInputException">Something is wrong with it.</exception>
    public static LogsOptions Read(
        IReadOnlyList<string> sources, string? query, string? device, string? since, string? until, DateTime now)
    {
        string name = query ?? (device is null ? "errors" : "device");
        int index = Array.IndexOf(Queries, name);
        if (index < 0)
        {
            throw new BadInputException($"--query: unknown query \"{name}\"; allowed: {string.Join(", ", Queries)}");
        }

        if ((LogQuery)index == LogQuery.Device && string.IsNullOrEmpty(device))
        {
            throw new BadInputException("--query device: which one? add --device ID");
        }

        DateTime? from = since is null ? null : TimeText.Read("--since", since, now);
        DateTime? to = until is null ? null : TimeText.Read("--until", until, now);
        return to <= from
            ? throw new BadInputException($"--until: {to:yyyy-MM-dd'T'HH:mm:ss'Z'} is not after --since {from:yyyy-MM-dd'T'HH:mm:ss'Z'}")
            : new LogsOptions { Sources = sources, Query = (LogQuery)index, Device = device, Since = from, Until = to };
    }

    /// <summary>Reads, answers, and says on standard error what could not be read.</summary>
    public static int Run(LogsOptions options, bool json)
    {
        var run = new LogsRun(options);
        if (json)
        {
            JsonOutput.Print(writer => With(run, onProgress => LogsJson.Write(writer, run, onProgress)));
        }
        else
        {
            var rows = new List<ConnectionsEntry>();
            long rowCount = 0;
            With(run, onProgress => run.Read(
                entry =>
                {
                    if (rowCount++ < LogsText.RowsMax)
                    {
                        rows.Add(entry);
                    }
                },
                onProgress));
            LogsText.Print(Console.Out, run, rows, rowCount);
        }

        PrintNotes(run);
        return ExitCode.Done;
    }

    private static void With(LogsRun run, Action<Action<double>?> work)
    {
        if (run.Length is null)
        {
            work(null);
            return;
        }

        ProgressBar.During("reading", onProgress =>
        {
            work(onProgress);
            return true;
        });
    }

    private static void PrintNotes(LogsRun run)
    {
        foreach (BadLine bad in run.FirstBadLines)
        {
            Console.Error.WriteLine($"note: {bad}");
        }

        if (run.BadLines > run.FirstBadLines.Count)
        {
            Console.Error.WriteLine($"note: {run.BadLines - run.FirstBadLines.Count} more place(s) could not be read");
        }

        if (run.OtherRecords > 0)
        {
            Console.Error.WriteLine($"note: {run.OtherRecords} record(s) of other categories were passed over");
        }

        if (run.Analysis.RecordsNotFollowed > 0)
        {
            Console.Error.WriteLine(
                $"note: {run.Analysis.RecordsNotFollowed} record(s) are of devices beyond the first {LogAnalysis.DevicesMax}, " +
                "not followed");
        }
    }

    private static int PrintKql(bool json)
    {
        IReadOnlyList<(string Name, string Path, string Text)> files = KqlFiles.All();
        if (files.Count == 0)
        {
            throw new IOException("--kql: the .kql files are not beside this program; they are in the sources, simulator/logs/kql");
        }

        if (json)
        {
            JsonOutput.Print(writer => LogsJson.WriteKql(writer, files));
            return ExitCode.Done;
        }

        foreach ((string name, string path, string text) in files)
        {
            Console.WriteLine($"// {name}: {path}");
            Console.WriteLine(text);
        }

        return ExitCode.Done;
    }

    private static Option<string?> TextOption(string name, string description, string helpName) =>
        new(name) { Description = description, HelpName = helpName };
}
