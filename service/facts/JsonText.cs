using System.Text;
using System.Text.Json;

namespace Agent.Service;

/// <summary>A text in the body, where it lies; <see cref="IsThere"/> is false when it is missing or not a text.</summary>
internal readonly ref struct JsonText
{
    public readonly ReadOnlySpan<byte> Raw;
    public readonly bool IsThere;
    private readonly bool isEscaped;

    /// <summary>The value the reader stands at.</summary>
    public JsonText(scoped ref Utf8JsonReader json)
    {
        IsThere = json.TokenType == JsonTokenType.String;
        Raw = IsThere ? json.ValueSpan : default;
        isEscaped = IsThere && json.ValueIsEscaped;
    }

    /// <summary>A text that needs no unescaping.</summary>
    public JsonText(ReadOnlySpan<byte> plain)
    {
        IsThere = true;
        Raw = plain;
    }

    /// <summary>The bytes it stands for, unescaped into <paramref name="room"/> where needed; empty when they do not fit.</summary>
    public ReadOnlySpan<byte> Bytes(Span<byte> room)
    {
        if (!isEscaped)
        {
            return Raw;
        }

        // Escapes are rare here: the reader that met the text is gone, so a small one reads it again.
        Span<byte> quoted = stackalloc byte[1026];
        if (Raw.Length > quoted.Length - 2)
        {
            return default;
        }

        quoted[0] = (byte)'"';
        Raw.CopyTo(quoted[1..]);
        quoted[Raw.Length + 1] = (byte)'"';
        var again = new Utf8JsonReader(quoted[..(Raw.Length + 2)]);
        again.Read();
        try
        {
            return Raw.Length <= room.Length ? room[..again.CopyString(room)] : default;
        }
        catch (InvalidOperationException)
        {
            return default; // A lone surrogate.
        }
    }

    public string AsString()
    {
        Span<byte> room = stackalloc byte[1024];
        return Encoding.UTF8.GetString(Bytes(room));
    }
}
