using System.Globalization;
using System.Text;

namespace Agent.Hub;

/// <summary>A query that is not acceptable: where and why. The only thing a query, whatever its text, makes the parser throw.</summary>
/// <param name="column">Of the first offending character, from 1; 0 = not about a place.</param>
public sealed class QueryException(int column, string problem) : Exception(
    column > 0 ? string.Create(CultureInfo.InvariantCulture, $"the query is invalid at column {column}: {problem}") : problem)
{
    public int Column { get; } = column;

    /// <summary>The answer to a service.</summary>
    public HubError Error => HubError.ArgumentInvalid(Message);
}

internal enum QueryTokenKind : byte
{
    End,
    Name,
    Text,
    Number,
    Sign,
}

/// <summary>One word of a query.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">The name, the sign or the string without quotes and escapes.</param>
/// <param name="Number">The number's value.</param>
/// <param name="Column">Where it begins, from 1.</param>
internal readonly record struct QueryToken(QueryTokenKind Kind, string Text, double Number, int Column)
{
    /// <summary>Keywords know no case.</summary>
    public bool Is(string word) => Kind is QueryTokenKind.Name or QueryTokenKind.Sign
        && Text.Equals(word, StringComparison.OrdinalIgnoreCase);
}

/// <summary>Cuts a query into words (the vendor's query language page, "Expressions and conditions").</summary>
internal static class TwinQueryLexer
{
    /// <summary>Longest query taken; the vendor gives no number.</summary>
    public const int LengthMax = 32_768;

    private const string Signs = "(),.*=<>![]+-/%";

    public static List<QueryToken> Read(string query)
    {
        if (query.Length > LengthMax)
        {
            throw new QueryException(LengthMax + 1, $"it is longer than {LengthMax} characters");
        }

        var tokens = new List<QueryToken>();
        int at = 0;
        while (true)
        {
            while (at < query.Length && char.IsWhiteSpace(query[at]))
            {
                at++;
            }

            if (at == query.Length)
            {
                tokens.Add(new QueryToken(QueryTokenKind.End, "", 0, at + 1));
                return tokens;
            }

            tokens.Add(Next(query, ref at));
        }
    }

    private static QueryToken Next(string query, ref int at)
    {
        int start = at;
        char c = query[at];
        if (c is '\'' or '"')
        {
            return new QueryToken(QueryTokenKind.Text, Quoted(query, ref at), 0, start + 1);
        }

        if (char.IsAsciiDigit(c))
        {
            return new QueryToken(QueryTokenKind.Number, "", Number(query, ref at), start + 1);
        }

        if (IsNamePart(c))
        {
            // A key may hold '-', which is no sign of its own here: arithmetic is not served.
            while (at < query.Length && (IsNamePart(query[at]) || query[at] == '-'))
            {
                at++;
            }

            return new QueryToken(QueryTokenKind.Name, query[start..at], 0, start + 1);
        }

        if (!Signs.Contains(c, StringComparison.Ordinal))
        {
            throw new QueryException(start + 1, $"a character that has no meaning here (U+{(int)c:X4})");
        }

        at += query.AsSpan(at) is ['<', '=' or '>', ..] or ['>' or '!', '=', ..] ? 2 : 1;
        return new QueryToken(QueryTokenKind.Sign, query[start..at], 0, start + 1);
    }

    private static bool IsNamePart(char c) => char.IsLetterOrDigit(c) || c is '_' or '$';

    private static string Quoted(string query, ref int at)
    {
        int start = at;
        char quote = query[at++];
        var text = new StringBuilder();
        while (at < query.Length && query[at] != quote)
        {
            char c = query[at++];
            text.Append(c == '\\' ? Escape(query, ref at) : c);
        }

        if (at == query.Length)
        {
            throw new QueryException(start + 1, "a string that has no end");
        }

        at++;
        return text.ToString();
    }

    private static char Escape(string query, ref int at)
    {
        char c = at < query.Length ? query[at++] : '\0';
        if (c is '\'' or '"' or '\\')
        {
            return c;
        }

        if (c == 'u' && at + 4 <= query.Length && ushort.TryParse(
            query.AsSpan(at, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort value))
        {
            at += 4;
            return (char)value;
        }

        throw new QueryException(at, "an unknown escape; \\' \\\" \\\\ and \\uXXXX are allowed");
    }

    private static double Number(string query, ref int at)
    {
        int start = at;
        double value;
        if (query[at] == '0' && at + 1 < query.Length && query[at + 1] is 'x' or 'X')
        {
            at += 2;
            int digits = at;
            while (at < query.Length && char.IsAsciiHexDigit(query[at]))
            {
                at++;
            }

            value = ulong.TryParse(
                query.AsSpan(digits, at - digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong bits)
                ? bits : double.NaN;
        }
        else
        {
            SkipDigits(query, ref at);
            if (at + 1 < query.Length && query[at] == '.' && char.IsAsciiDigit(query[at + 1]))
            {
                at++;
                SkipDigits(query, ref at);
            }

            if (at < query.Length && query[at] is 'e' or 'E')
            {
                at += at + 1 < query.Length && query[at + 1] is '+' or '-' ? 2 : 1;
                SkipDigits(query, ref at);
            }

            value = double.TryParse(query.AsSpan(start, at - start), NumberStyles.Float, CultureInfo.InvariantCulture, out double read)
                ? read : double.NaN;
        }

        if (!double.IsFinite(value) || (at < query.Length && IsNamePart(query[at])))
        {
            throw new QueryException(start + 1, "not a number");
        }

        return value;
    }

    private static void SkipDigits(string query, ref int at)
    {
        while (at < query.Length && char.IsAsciiDigit(query[at]))
        {
            at++;
        }
    }
}
