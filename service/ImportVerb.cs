using System.Text;

namespace Agent.Service;

/// <summary><c>import FILE</c>: takes in records from before the checker ran, so that rhythms are known on its first day.</summary>
/// <remarks>
/// What is old is noted and not judged: a device that was disconnected in a record of last month is no alarm of today. The
/// checker judges when it is started on the folder next. A file of lines is read line by line in blocks, one document as a whole.
/// </remarks>
public static class ImportVerb
{
    private const int BlockBytes = 1 << 20;
    private const int DocumentBytesMax = 256 * 1024 * 1024;
    private const int RhythmsShown = 20;

    /// <summary>Runs it: 0 done, 2 the file is not understood (nothing of it was kept), 3 the folder or the file cannot be used.</summary>
    public static int Run(CommandLine line, TextWriter output, TextWriter error, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(line);
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(error);
        ArgumentNullException.ThrowIfNull(time);
        if (line.Options.Folder is null)
        {
            error.WriteLine("import needs a folder to keep things in: --data DIR");
            return 2;
        }

        try
        {
            // Twice over the file: once to know that all of it is understood, once to keep it.
            (int facts, int ignored) = Read(line.File, null, null);
            var checker = new Checker(line.Options.Liveness);
            using EmbeddedStore store = EmbeddedStore.Open(line.Options.Folder, line.Options.Store, checker);
            checker.FinishRestore(time.GetUtcNow().ToUnixTimeMilliseconds());
            Read(line.File, checker, store);
            store.CommitAsync().GetAwaiter().GetResult();
            output.WriteLine($"{facts} facts about {checker.Count} devices, {ignored} entries ignored, kept in {line.Options.Folder}");
            ShowRhythms(checker, output);
            return 0;
        }
        catch (InvalidDataException wrong)
        {
            error.WriteLine($"{line.File}: {wrong.Message}");
            return 2;
        }
        catch (Exception failed) when (failed is StoreException or IOException or UnauthorizedAccessException)
        {
            error.WriteLine(failed.Message);
            return 3;
        }
    }

    private static (int Facts, int Ignored) Read(string path, Checker? checker, EmbeddedStore? store)
    {
        var outcome = new ReadOutcome();
        var records = new ConnectionsReader();
        (int Facts, int Ignored) sum = (0, 0);
        foreach ((byte[] bytes, int length, bool areEvents, int firstLine) in Blocks(path))
        {
            outcome.Clear();
            ReadOnlySpan<byte> block = bytes.AsSpan(0, length);
            if (!(areEvents ? EventGridReader.TryRead(block, outcome) : records.TryRead(block, outcome)))
            {
                throw new InvalidDataException($"in the block from line {firstLine}: {outcome.Error}");
            }

            sum = (sum.Facts + outcome.Facts.Count, sum.Ignored + outcome.Ignored);
            if (checker is not null && store is not null)
            {
                if (!checker.HasRoomFor(outcome.Facts))
                {
                    throw new StoreException("no room for more devices");
                }

                checker.Note(outcome.Facts);
                store.Note(checker, outcome.Facts);
            }
        }

        return sum;
    }

    // Lines are gathered into blocks; events among them become an array, as the reader of events knows no lines.
    private static IEnumerable<(byte[] Bytes, int Length, bool AreEvents, int FirstLine)> Blocks(string path)
    {
        using var file = new StreamReader(path, new UTF8Encoding(false), detectEncodingFromByteOrderMarks: true);
        string? first = file.ReadLine();
        if (first is null)
        {
            yield break;
        }

        bool areEvents = first.Contains("\"eventType\"", StringComparison.Ordinal)
            || first.Contains("\"specversion\"", StringComparison.Ordinal);
        if (first.TrimStart().StartsWith('[') || !first.TrimEnd().EndsWith('}'))
        {
            if (new FileInfo(path).Length > DocumentBytesMax)
            {
                throw new InvalidDataException(
                    $"one document of more than {DocumentBytesMax / 1024 / 1024} MiB; one object a line has no limit");
            }

            string all = first + "\n" + file.ReadToEnd();
            areEvents = all.AsSpan(0, Math.Min(all.Length, 4096)).Contains("\"eventType\"", StringComparison.Ordinal);
            byte[] whole = Encoding.UTF8.GetBytes(all);
            yield return (whole, whole.Length, areEvents, 1);
            yield break;
        }

        var text = new StringBuilder();
        int number = 1;
        int blockLine = 1;
        for (string? line = first; line is not null; line = file.ReadLine(), number++)
        {
            if (string.IsNullOrWhiteSpace(line))
            {
                continue;
            }

            text.Append(text.Length == 0 ? (areEvents ? "[" : "") : areEvents ? ",\n" : "\n").Append(line);
            if (text.Length > BlockBytes)
            {
                yield return Cut(text, areEvents, blockLine);
                blockLine = number + 1;
            }
        }

        if (text.Length > 0)
        {
            yield return Cut(text, areEvents, blockLine);
        }
    }

    private static (byte[], int, bool, int) Cut(StringBuilder text, bool areEvents, int firstLine)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text.Append(areEvents ? "]" : "").ToString());
        text.Clear();
        return (bytes, bytes.Length, areEvents, firstLine);
    }

    private static void ShowRhythms(Checker checker, TextWriter output)
    {
        int shown = 0;
        for (int row = 0; row < checker.Count && shown < RhythmsShown; row++)
        {
            DeviceText device = DeviceText.From(checker.At(row, 0), 0);
            if (device.Rhythm is { } rhythm)
            {
                output.WriteLine($"  {device.Id}: connects every {rhythm.PeriodSeconds} s, which suggests {rhythm.Text}");
                shown++;
            }
        }
    }
}
