using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>Reads twin documents and patches, and names everything that is wrong with them.</summary>
/// <remarks>
/// The limits are those of the vendor's twin page (facts/iothub.md §6, §7). Below the section: keys to 1 KB without control
/// characters, '.', '$' and blanks; strings to 4 KB; whole numbers of 53 bits; ten levels, a list counting as one. A service
/// that edits a document it has read sends <c>$version</c> and <c>$metadata</c> back; at the top of a section they are passed
/// over. Whatever the bytes are, the answer is a tree or a list of problems, never an exception.
/// </remarks>
internal ref struct TwinReader
{
    /// <summary>Nesting below a section.</summary>
    public const int DepthMax = 10;

    public const int KeyLengthMax = 1024;

    public const int TextLengthMax = 4096;

    /// <summary>More problems than this are counted, not listed.</summary>
    public const int ProblemsMax = 20;

    private const int JsonDepthMax = 64;
    private const long WholeMin = -4_503_599_627_370_496;
    private const long WholeMax = 4_503_599_627_370_495;

    /// <summary>A fraction written longer than this is stored as the double nearest to it.</summary>
    private const int NumberTextMax = 40;

    private readonly List<string> problems;
    private readonly List<string> path;
    private Utf8JsonReader json;
    private TwinNode? desired;
    private TwinNode? tags;

    private TwinReader(ReadOnlySpan<byte> text, List<string> problems, string root)
    {
        json = new Utf8JsonReader(text, new JsonReaderOptions { MaxDepth = JsonDepthMax });
        this.problems = problems;
        path = [root];
    }

    /// <summary>Reads one section's patch, as a device sends it; null and <paramref name="problems"/> when it is not acceptable.</summary>
    public static TwinNode? ReadSection(ReadOnlySpan<byte> text, string root, List<string> problems)
    {
        var reader = new TwinReader(text, problems, root);
        reader.Run(isDocument: false);
        return problems.Count == 0 ? reader.desired : null;
    }

    /// <summary>
    /// Reads a service's document: <c>tags</c> and <c>properties.desired</c>, each may be missing (null here) or null (a node
    /// of that kind). Everything else in it is read-only and passed over.
    /// </summary>
    public static (TwinNode? Desired, TwinNode? Tags) ReadDocument(ReadOnlySpan<byte> text, List<string> problems)
    {
        var reader = new TwinReader(text, problems, "twin");
        reader.Run(isDocument: true);
        return problems.Count == 0 ? (reader.desired, reader.tags) : default;
    }

    private void Run(bool isDocument)
    {
        try
        {
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject)
            {
                Problem("must be a JSON object");
                return;
            }

            if (isDocument)
            {
                Document();
            }
            else
            {
                desired = Section();
            }

            if (json.Read())
            {
                Problem("has something behind its end");
            }
        }
        catch (JsonException)
        {
            // The exception's own text quotes the input.
            path.RemoveRange(1, path.Count - 1);
            Problem(string.Create(CultureInfo.InvariantCulture, $"is not valid JSON at byte {json.BytesConsumed}")
                + $" (or nested deeper than {JsonDepthMax})");
        }
        catch (InvalidOperationException)
        {
            Problem("holds a string that is no Unicode text");
        }
    }

    private void Document()
    {
        var seen = new HashSet<string>();
        while (NextKey(out string key))
        {
            if (!seen.Add(key))
            {
                ProblemAt(key, "is there twice");
            }

            path.Add(key);
            json.Read();
            switch (key)
            {
                case "tags":
                    tags = SectionOrNull();
                    break;
                case "properties" when json.TokenType == JsonTokenType.StartObject:
                    Properties();
                    break;
                default:
                    json.Skip();
                    break;
            }

            path.RemoveAt(path.Count - 1);
        }
    }

    private void Properties()
    {
        var seen = new HashSet<string>();
        while (NextKey(out string key))
        {
            if (!seen.Add(key))
            {
                ProblemAt(key, "is there twice");
            }

            path.Add(key);
            json.Read();
            if (key == "desired")
            {
                desired = SectionOrNull();
            }
            else
            {
                json.Skip();
            }

            path.RemoveAt(path.Count - 1);
        }
    }

    private TwinNode? SectionOrNull()
    {
        if (json.TokenType == JsonTokenType.Null)
        {
            return TwinNode.Of(TwinKind.Null);
        }

        if (json.TokenType != JsonTokenType.StartObject)
        {
            Problem("must be a JSON object");
            json.Skip();
            return null;
        }

        return Section();
    }

    private TwinNode Section() => Object(0);

    private TwinNode Object(int depth)
    {
        var members = new OrderedDictionary<string, TwinNode>();
        while (NextKey(out string key))
        {
            if (depth == 0 && key is "$version" or "$metadata")
            {
                json.Read();
                json.Skip();
                continue;
            }

            CheckKey(key);
            path.Add(key);
            json.Read();
            if (!members.TryAdd(key, Value(depth)))
            {
                Problem("is there twice");
            }

            path.RemoveAt(path.Count - 1);
        }

        return TwinNode.OfMembers(members);
    }

    private TwinNode Value(int depth)
    {
        switch (json.TokenType)
        {
            case JsonTokenType.StartObject:
                CheckDepth(depth + 1);
                return Object(depth + 1);
            case JsonTokenType.StartArray:
                CheckDepth(depth + 1);
                var items = new List<TwinNode>();
                while (json.Read() && json.TokenType != JsonTokenType.EndArray)
                {
                    items.Add(Value(depth + 1));
                }

                return TwinNode.OfItems(items);
            case JsonTokenType.String:
                string text = json.GetString()!;
                if (Encoding.UTF8.GetByteCount(text) > TextLengthMax)
                {
                    Problem($"is longer than {TextLengthMax} bytes");
                }

                return TwinNode.Of(TwinKind.Text, text);
            case JsonTokenType.Number:
                return Number();
            default:
                return TwinNode.Of(json.TokenType switch
                {
                    JsonTokenType.True => TwinKind.True,
                    JsonTokenType.False => TwinKind.False,
                    _ => TwinKind.Null,
                });
        }
    }

    private TwinNode Number()
    {
        ReadOnlySpan<byte> raw = json.ValueSpan;
        if (!raw.ContainsAny(".eE"u8))
        {
            if (!json.TryGetInt64(out long whole) || whole is < WholeMin or > WholeMax)
            {
                Problem($"is a whole number outside {WholeMin} to {WholeMax}");
            }

            return TwinNode.Of(TwinKind.Number, raw.Length <= NumberTextMax ? Encoding.ASCII.GetString(raw) : "0");
        }

        if (!json.TryGetDouble(out double value) || !double.IsFinite(value))
        {
            Problem("is a number too large for a double");
            value = 0;
        }

        return TwinNode.Of(TwinKind.Number, raw.Length <= NumberTextMax
            ? Encoding.ASCII.GetString(raw)
            : value.ToString("R", CultureInfo.InvariantCulture));
    }

    private bool NextKey(out string key)
    {
        key = "";
        if (!json.Read() || json.TokenType != JsonTokenType.PropertyName)
        {
            return false;
        }

        key = json.GetString()!;
        return true;
    }

    private void CheckDepth(int depth)
    {
        if (depth == DepthMax + 1)
        {
            Problem($"is nested deeper than {DepthMax} levels");
        }
    }

    private void CheckKey(string key)
    {
        if (key.Length == 0)
        {
            ProblemAt(key, "is an empty key");
        }
        else if (Encoding.UTF8.GetByteCount(key) > KeyLengthMax)
        {
            ProblemAt(key, $"is a key longer than {KeyLengthMax} bytes");
        }
        else if (key.AsSpan().ContainsAny(".$ ") || key.Any(char.IsControl))
        {
            ProblemAt(key, "is a key with '.', '$', a blank or a control character");
        }
    }

    private readonly void ProblemAt(string key, string what)
    {
        path.Add(key);
        Problem(what);
        path.RemoveAt(path.Count - 1);
    }

    private readonly void Problem(string what)
    {
        if (problems.Count < ProblemsMax)
        {
            problems.Add($"{string.Join('.', path.Select(Shown))} {what}");
        }
        else if (problems.Count == ProblemsMax)
        {
            problems.Add("and more");
        }
    }

    /// <summary>A key as it may stand in a message: short, on one line.</summary>
    private static string Shown(string key)
    {
        const int LengthMax = 60;
        string start = key.Length > LengthMax ? key[..LengthMax] + "…" : key;
        return new string([.. start.Select(c => char.IsControl(c) || char.IsSurrogate(c) ? '?' : c)]);
    }
}
