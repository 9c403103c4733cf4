using System.Globalization;

namespace Agent.Hub;

/// <summary>One column of a projection.</summary>
internal readonly record struct QueryColumn(QueryPath Path, string Name);

/// <summary>Reads a query by recursive descent; chains are loops, and parentheses have a limit, so no text exhausts the stack.</summary>
internal sealed class TwinQueryParser
{
    private const int NestingMax = 64;
    private const int ColumnsMax = 100;

    private readonly List<QueryToken> tokens;
    private int at;
    private int nesting;

    public TwinQueryParser(string query) => tokens = TwinQueryLexer.Read(query);

    /// <summary>Most rows in all; null = no limit.</summary>
    public long? Top { get; private set; }

    /// <summary>The projection; empty = the whole twin.</summary>
    public List<QueryColumn> Columns { get; } = [];

    /// <summary>The name of the count, when that is what is asked for.</summary>
    public string? CountName { get; private set; }

    public QueryTerm? Where { get; private set; }

    private QueryToken Token => tokens[at];

    public void Parse()
    {
        Expect("SELECT");
        if (TakeIf("TOP"))
        {
            Top = WholeNumber();
        }

        Selection();
        Expect("FROM");
        Collection();
        if (TakeIf("WHERE"))
        {
            Where = Or();
        }

        RefuseRest();
    }

    private void Selection()
    {
        if (TakeIf("*"))
        {
            return;
        }

        do
        {
            QueryToken start = Token;
            if (Columns.Count == ColumnsMax)
            {
                throw new QueryException(start.Column, $"more than {ColumnsMax} columns");
            }

            if (IsAggregate(start) && tokens[at + 1].Is("("))
            {
                Aggregate(start);
                continue;
            }

            QueryPath path = Path();
            string name = Alias() ?? path.Name;
            if (Columns.Any(column => column.Name == name))
            {
                throw new QueryException(start.Column, $"two columns are called '{QueryPath.Shown(name)}': give one another name with AS");
            }

            Columns.Add(new QueryColumn(path, name));
        }
        while (TakeIf(","));

        if (CountName is not null && Columns.Count > 0)
        {
            throw new QueryException(1, "COUNT() beside other columns needs GROUP BY, which this hub does not serve");
        }
    }

    private void Aggregate(QueryToken name)
    {
        if (!name.Is("COUNT") || CountName is not null)
        {
            throw new QueryException(name.Column, "of the aggregates this hub serves a single COUNT()");
        }

        at += 2;
        Expect(")");
        CountName = Alias() ?? "count";
    }

    private static bool IsAggregate(QueryToken token) =>
        token.Is("COUNT") || token.Is("AVG") || token.Is("SUM") || token.Is("MIN") || token.Is("MAX");

    private string? Alias()
    {
        if (!TakeIf("AS"))
        {
            return null;
        }

        QueryToken token = Token;
        return token.Kind == QueryTokenKind.Name && !IsKeyword(token)
            ? tokens[at++].Text
            : throw Unexpected("a name");
    }

    private void Collection()
    {
        QueryToken start = Token;
        if (start.Kind != QueryTokenKind.Name || IsKeyword(start))
        {
            throw Unexpected("devices");
        }

        List<string> parts = Names();
        if (parts.Count != 1 || !parts[0].Equals("devices", StringComparison.OrdinalIgnoreCase))
        {
            string shown = QueryPath.Shown(string.Join('.', parts));
            throw new QueryException(start.Column, $"FROM devices is what this hub serves, not FROM {shown}");
        }
    }

    private void RefuseRest()
    {
        QueryToken token = Token;
        if (token.Kind == QueryTokenKind.End)
        {
            return;
        }

        throw token.Is("ORDER") ? new QueryException(token.Column, "IoT Hub queries have no ORDER BY; results come in no promised order")
            : token.Is("GROUP") ? new QueryException(token.Column, "GROUP BY is not served by this hub")
            : token.Is("WHERE") ? Unexpected("the end")
            : Unexpected(Where is null ? "WHERE or the end" : "AND, OR or the end");
    }

    private QueryTerm Or() => Chain("OR", false, And);

    private QueryTerm And() => Chain("AND", true, Not);

    private QueryTerm Chain(string word, bool isAnd, Func<QueryTerm> next)
    {
        QueryTerm first = next();
        if (!Token.Is(word))
        {
            return first;
        }

        var terms = new List<QueryTerm> { first };
        while (TakeIf(word))
        {
            terms.Add(next());
        }

        return new ChainTerm(isAnd, terms);
    }

    private QueryTerm Not()
    {
        bool isNot = false;
        bool any = false;
        while (TakeIf("NOT"))
        {
            isNot = !isNot;
            any = true;
        }

        QueryTerm inner = Comparison();
        return isNot ? new NotTerm(inner) : any ? new NotTerm(new NotTerm(inner)) : inner;
    }

    private QueryTerm Comparison()
    {
        QueryTerm left = Operand();
        QueryToken token = Token;
        if (token.Kind == QueryTokenKind.Sign && token.Text is "=" or "!=" or "<>" or "<" or "<=" or ">" or ">=")
        {
            at++;
            return new CompareTerm(token.Text, left, Operand());
        }

        if (token.Is("IN") || token.Is("NIN"))
        {
            at++;
            return new InTerm(left, List(), token.Is("NIN"));
        }

        return token.Kind == QueryTokenKind.Sign && token.Text is "+" or "-" or "*" or "/" or "%"
            ? throw new QueryException(token.Column, "arithmetic is not served by this hub")
            : left;
    }

    private QueryTerm Operand()
    {
        QueryToken token = Token;
        if (token.Is("("))
        {
            if (++nesting > NestingMax)
            {
                throw new QueryException(token.Column, $"more than {NestingMax} parentheses in each other");
            }

            at++;
            QueryTerm inner = Or();
            Expect(")");
            nesting--;
            return inner;
        }

        if (TryConstant(out QueryValue constant))
        {
            return new LiteralTerm(constant);
        }

        if (token.Kind == QueryTokenKind.Name && tokens[at + 1].Is("("))
        {
            return Function();
        }

        return new PathTerm(Path());
    }

    private QueryTerm Function()
    {
        QueryToken name = Token;
        at += 2;
        if (name.Is("IS_DEFINED"))
        {
            QueryPath path = Path();
            Expect(")");
            return new IsDefinedTerm(path);
        }

        // Twin queries know these without the underscore, message routing with it (azure-docs issues 110329 and 85381).
        TextTest? test = name.Text.ToUpperInvariant() switch
        {
            "STARTSWITH" => TextTest.StartsWith,
            "ENDSWITH" => TextTest.EndsWith,
            "CONTAINS" => TextTest.Contains,
            _ => null,
        };
        if (test is not { } known)
        {
            string hint = name.Is("STARTS_WITH") || name.Is("ENDS_WITH") ? " (in twin queries it has no underscore)"
                : name.Is("IS_NULL") ? " (write = null)"
                : "";
            throw new QueryException(
                name.Column, $"no function '{QueryPath.Shown(name.Text)}'{hint}; there are IS_DEFINED, STARTSWITH, ENDSWITH and CONTAINS");
        }

        QueryTerm text = Argument();
        Expect(",");
        QueryTerm part = Argument();
        Expect(")");
        return new TextTerm(known, text, part);
    }

    private QueryTerm Argument() => TryConstant(out QueryValue constant) ? new LiteralTerm(constant) : new PathTerm(Path());

    private List<QueryValue> List()
    {
        Expect("[");
        var list = new List<QueryValue>();
        do
        {
            list.Add(TryConstant(out QueryValue constant) ? constant : throw Unexpected("a constant"));
        }
        while (TakeIf(","));

        Expect("]");
        return list;
    }

    private bool TryConstant(out QueryValue value)
    {
        QueryToken token = Token;
        bool isNegative = token.Is("-") && tokens[at + 1].Kind == QueryTokenKind.Number;
        value = token.Kind switch
        {
            QueryTokenKind.Text => QueryValue.Of(token.Text),
            QueryTokenKind.Number => QueryValue.Of(token.Number),
            _ when isNegative => QueryValue.Of(-tokens[at + 1].Number),
            _ when token.Is("true") => QueryValue.Of(true),
            _ when token.Is("false") => QueryValue.Of(false),
            _ when token.Is("null") => QueryValue.Of((string?)null),
            _ => QueryValue.Undefined,
        };
        bool isConstant = value.IsDefined || token.Is("undefined");
        at += isConstant ? (isNegative ? 2 : 1) : 0;
        return isConstant;
    }

    private QueryPath Path()
    {
        QueryToken start = Token;
        return start.Kind == QueryTokenKind.Name && !IsKeyword(start)
            ? QueryPath.Parse(Names(), start.Column)
            : throw Unexpected("a property or a constant");
    }

    private List<string> Names()
    {
        var names = new List<string>();
        do
        {
            // A key may be called like a keyword, or begin with a digit.
            QueryToken token = Token;
            names.Add(token.Kind switch
            {
                QueryTokenKind.Name => token.Text,
                QueryTokenKind.Number when names.Count > 0 && token.Number is >= 0 and < 1e15 && token.Number == Math.Floor(token.Number) =>
                    token.Number.ToString("F0", CultureInfo.InvariantCulture),
                _ => throw Unexpected("a property name"),
            });
            at++;
        }
        while (TakeIf("."));

        return names;
    }

    private long WholeNumber()
    {
        QueryToken token = Token;
        if (token.Kind != QueryTokenKind.Number || token.Number is < 1 or > int.MaxValue || token.Number != Math.Floor(token.Number))
        {
            throw Unexpected("a whole number from 1");
        }

        at++;
        return (long)token.Number;
    }

    private static bool IsKeyword(QueryToken token) => token.Kind == QueryTokenKind.Name && token.Text.ToUpperInvariant()
        is "SELECT" or "TOP" or "FROM" or "WHERE" or "AND" or "OR" or "NOT" or "IN" or "NIN" or "AS" or "ORDER" or "GROUP" or "BY";

    private bool TakeIf(string word)
    {
        bool taken = Token.Is(word);
        at += taken ? 1 : 0;
        return taken;
    }

    private void Expect(string word)
    {
        if (!TakeIf(word))
        {
            throw Unexpected(word);
        }
    }

    private QueryException Unexpected(string wanted)
    {
        QueryToken token = Token;
        string found = token.Kind switch
        {
            QueryTokenKind.End => "the end",
            QueryTokenKind.Text => "a string",
            QueryTokenKind.Number => "a number",
            _ => $"'{QueryPath.Shown(token.Text)}'",
        };
        return new QueryException(token.Column, $"{wanted} expected, found {found}");
    }
}
