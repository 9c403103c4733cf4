using System.Text;
using System.Text.Json;

namespace Agent.Cli;

/// <summary>The exit codes of the command line contract.</summary>
public static class ExitCode
{
    /// <summary>Done, and every expectation held.</summary>
    public const int Done = 0;

    /// <summary>Done, but an expectation failed.</summary>
    public const int ExpectationFailed = 1;

    /// <summary>Bad input: one line on standard error, nothing written.</summary>
    public const int BadInput = 2;

    /// <summary>The outside world failed: a port taken, a host unreachable.</summary>
    public const int WorldFailed = 3;
}

/// <summary>Prints the one JSON document of <c>--json</c>.</summary>
public static class JsonOutput
{
    private static readonly JsonWriterOptions Options = new()
    {
        Indented = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Writes one document and a line end to standard output.</summary>
    public static void Print(Action<Utf8JsonWriter> write)
    {
        using Stream output = Console.OpenStandardOutput();
        WriteTo(output, write);
        output.Write("\n"u8);
    }

    /// <summary>Writes one document to a file, whole or not at all.</summary>
    public static void WriteFile(string path, Action<Utf8JsonWriter> write)
    {
        string temporary = path + ".new";
        using (FileStream file = File.Create(temporary))
        {
            WriteTo(file, write);
        }

        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>The document as text.</summary>
    public static string ToText(Action<Utf8JsonWriter> write)
    {
        using var memory = new MemoryStream();
        WriteTo(memory, write);
        return Encoding.UTF8.GetString(memory.ToArray());
    }

    private static void WriteTo(Stream output, Action<Utf8JsonWriter> write)
    {
        using var json = new Utf8JsonWriter(output, Options);
        write(json);
    }
}
