using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Agent.Service.Alarms;

/// <summary>Who said of which alarm that he knows, and when: kept beside the journal.</summary>
/// <remarks>
/// A file of its own, because people write it and not devices: a line is a checksum and JSON, and is on the disk before anybody is told. An
/// alarm is noted only once the journal has it, so a number in this file never comes to stand for another alarm. At the start the
/// lines of alarms that are still known are written anew, and a torn end is dropped. Without a folder it lives as long as the process;
/// replicas keep it in the database they share.
/// </remarks>
public sealed class Acknowledgements : IDisposable
{
    /// <summary>The file, within the folder.</summary>
    public const string FileName = "alarms.acknowledged";

    private const int ChecksumDigits = 8;
    private const long FileBytesMax = 64L << 20;

    private readonly CheckLoop loop;
    private readonly FileStream? file;
    private readonly SemaphoreSlim oneAtATime = new(1, 1);

    private Acknowledgements(CheckLoop loop, FileStream? file)
    {
        this.loop = loop;
        this.file = file;
    }

    /// <summary>Told of an alarm that somebody has just acknowledged; a handler must not block.</summary>
    public event Action<Alarm>? Added;

    /// <summary>Opens the file and puts what it says into the book.</summary>
    /// <param name="folder">Where the checker keeps things; null = nowhere.</param>
    /// <param name="loop">The checker; restored, and not yet running.</param>
    /// <exception cref="StoreException">The file cannot be had.</exception>
    public static Acknowledgements Open(string? folder, CheckLoop loop)
    {
        ArgumentNullException.ThrowIfNull(loop);
        if (folder is null)
        {
            return new Acknowledgements(loop, null);
        }

        string path = Path.Combine(folder, FileName);
        try
        {
            foreach (Line line in Read(path))
            {
                loop.Ask((checker, _) => checker.Alarms.Acknowledge(line.Number, new Acknowledgement(line.By, line.AtMs)));
            }

            Line[] kept = loop.Ask((checker, _) => checker.Alarms.Acknowledged
                .Select(known => new Line(known.Key, known.Value.By, known.Value.AtMs)).ToArray());
            return new Acknowledgements(loop, WriteAnew(path, kept));
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            throw new StoreException($"{path}: {failed.Message}", failed);
        }
    }

    /// <summary>Notes that somebody knows of an open alarm; kept when it returns. The first one counts.</summary>
    /// <returns>Who it was; null = no such alarm is open.</returns>
    /// <exception cref="IOException">It cannot be kept.</exception>
    public async Task<Acknowledgement?> AddAsync(long number, string by, long nowMs)
    {
        await oneAtATime.WaitAsync().ConfigureAwait(false);
        try
        {
            (Alarm? open, string subject, Acknowledgement? before) = loop.Ask((checker, _) =>
                checker.Alarms.Open.FirstOrDefault(alarm => alarm.Number == number) is { } found
                    ? (found, checker.SubjectOf(found), checker.Alarms.AcknowledgementOf(number))
                    : (null, "", (Acknowledgement?)null));
            if (open is null || before is not null)
            {
                return before;
            }

            var word = new Acknowledgement(by, nowMs);
            if (loop.Replica is { } replica)
            {
                // The others hear of it as this one does: from the shared book, at the next look.
                return await replica.AcknowledgeAsync(open, subject, word).ConfigureAwait(false);
            }

            // It may have been raised in a turn whose end is not on the disk yet.
            await (loop.Store?.CommitAsync() ?? Task.CompletedTask).ConfigureAwait(false);
            if (file is not null)
            {
                file.Write(Bytes([new Line(number, by, nowMs)]));
                file.Flush(flushToDisk: true);
            }

            Alarm? alarm = loop.Ask((checker, _) => checker.Alarms.Acknowledge(number, word));
            if (alarm is not null)
            {
                Added?.Invoke(alarm);
            }

            return word;
        }
        finally
        {
            oneAtATime.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        file?.Dispose();
        oneAtATime.Dispose();
    }

    private static List<Line> Read(string path)
    {
        var lines = new List<Line>();
        if (!File.Exists(path))
        {
            return lines;
        }

        if (new FileInfo(path).Length > FileBytesMax)
        {
            throw new IOException($"larger than {FileBytesMax} bytes");
        }

        foreach (string text in File.ReadAllText(path, Encoding.UTF8).Split('\n'))
        {
            // What follows damage was written after it, so the rest may well be whole.
            if (TryRead(text, out Line? line))
            {
                lines.Add(line!);
            }
        }

        return lines;
    }

    private static bool TryRead(string text, out Line? line)
    {
        line = null;
        if (text.Length <= ChecksumDigits
            || !uint.TryParse(text.AsSpan(0, ChecksumDigits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint sum)
            || sum != Checksum.Of(Encoding.UTF8.GetBytes(text[ChecksumDigits..])))
        {
            return false;
        }

        try
        {
            line = JsonSerializer.Deserialize<Line>(text[ChecksumDigits..], JsonSerializerOptions.Web);
            return line?.By is { Length: > 0 and <= Notice.NameMax };
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static FileStream WriteAnew(string path, Line[] lines)
    {
        string beside = path + ".new";
        var fresh = new FileStream(beside, FileMode.Create, FileAccess.ReadWrite, FileShare.Read);
        try
        {
            fresh.Write(Bytes(lines));
            fresh.Flush(flushToDisk: true);
            File.Move(beside, path, overwrite: true);
            return fresh;
        }
        catch
        {
            fresh.Dispose();
            throw;
        }
    }

    private static byte[] Bytes(IEnumerable<Line> lines)
    {
        using var buffer = new MemoryStream();
        foreach (Line line in lines)
        {
            byte[] json = JsonSerializer.SerializeToUtf8Bytes(line, JsonSerializerOptions.Web);
            buffer.Write(Encoding.ASCII.GetBytes(Checksum.Of(json).ToString("x8", CultureInfo.InvariantCulture)));
            buffer.Write(json);
            buffer.WriteByte((byte)'\n');
        }

        return buffer.ToArray();
    }

    private sealed record Line(long Number, string By, long AtMs);
}
