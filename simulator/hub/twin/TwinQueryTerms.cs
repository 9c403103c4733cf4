namespace Agent.Hub;

/// <summary>What a term of a query comes to for one twin.</summary>
internal readonly record struct QueryValue(TwinKind Kind, string Text = "", double Number = 0, bool IsDefined = true)
{
    public static readonly QueryValue Undefined = new(TwinKind.Null, IsDefined: false);

    public static QueryValue Of(bool? truth) =>
        truth is { } known ? new QueryValue(known ? TwinKind.True : TwinKind.False) : Undefined;

    public static QueryValue Of(string? text) => text is null ? new QueryValue(TwinKind.Null) : new QueryValue(TwinKind.Text, text);

    public static QueryValue Of(double number) => new(TwinKind.Number, Number: number);

    /// <summary>
    /// As a condition: whatever is not true is false (the vendor's page); what is not there is unknown, so that NOT does not
    /// turn a missing property into a match.
    /// </summary>
    public bool? Truth => !IsDefined ? null : Kind == TwinKind.True;
}

/// <summary>One term of a query. Trees are never deeper than the parser allows; chains of AND and OR are lists.</summary>
internal abstract class QueryTerm
{
    public abstract QueryValue On(in TwinRow row);
}

internal sealed class LiteralTerm(QueryValue value) : QueryTerm
{
    public QueryValue Value => value;

    public override QueryValue On(in TwinRow row) => value;
}

internal sealed class PathTerm(QueryPath path) : QueryTerm
{
    public QueryPath Path => path;

    public override QueryValue On(in TwinRow row) => path.ValueOn(row);
}

/// <summary>AND and OR in three-valued logic: unknown only when the known ones do not decide it.</summary>
internal sealed class ChainTerm(bool isAnd, IReadOnlyList<QueryTerm> terms) : QueryTerm
{
    public override QueryValue On(in TwinRow row)
    {
        bool? result = isAnd;
        foreach (QueryTerm term in terms)
        {
            bool? truth = term.On(row).Truth;
            if (truth == !isAnd)
            {
                return QueryValue.Of(truth);
            }

            result = truth is null ? null : result;
        }

        return QueryValue.Of(result);
    }
}

internal sealed class NotTerm(QueryTerm inner) : QueryTerm
{
    public override QueryValue On(in TwinRow row) => QueryValue.Of(!inner.On(row).Truth);
}

internal sealed class IsDefinedTerm(QueryPath path) : QueryTerm
{
    public override QueryValue On(in TwinRow row) => QueryValue.Of(path.IsDefinedOn(row));
}

internal enum TextTest : byte
{
    StartsWith,
    EndsWith,
    Contains,
}

internal sealed class TextTerm(TextTest test, QueryTerm text, QueryTerm part) : QueryTerm
{
    public override QueryValue On(in TwinRow row)
    {
        QueryValue whole = text.On(row), wanted = part.On(row);
        if (whole.Kind != TwinKind.Text || wanted.Kind != TwinKind.Text)
        {
            return QueryValue.Undefined;
        }

        return QueryValue.Of(test switch
        {
            TextTest.StartsWith => whole.Text.StartsWith(wanted.Text, StringComparison.Ordinal),
            TextTest.EndsWith => whole.Text.EndsWith(wanted.Text, StringComparison.Ordinal),
            _ => whole.Text.Contains(wanted.Text, StringComparison.Ordinal),
        });
    }
}

/// <summary>IN and NIN with a list of constants.</summary>
internal sealed class InTerm(QueryTerm value, IReadOnlyList<QueryValue> list, bool isNot) : QueryTerm
{
    public override QueryValue On(in TwinRow row)
    {
        QueryValue wanted = value.On(row);
        if (!wanted.IsDefined || wanted.Kind is TwinKind.List or TwinKind.Object)
        {
            return QueryValue.Undefined;
        }

        bool found = list.Any(item => CompareTerm.AreEqual(item, wanted) == true);
        return QueryValue.Of(found != isNot);
    }
}

/// <summary>
/// A comparison of primitives. Values of two kinds are unequal and have no order; objects and lists compare with nothing (the
/// vendor's page allows primitives only); strings compare by their UTF-16 code units.
/// </summary>
internal sealed class CompareTerm(string sign, QueryTerm left, QueryTerm right) : QueryTerm
{
    public static bool? AreEqual(QueryValue a, QueryValue b)
    {
        if (!IsPrimitive(a) || !IsPrimitive(b))
        {
            return null;
        }

        return a.Kind == b.Kind && a.Kind switch
        {
            TwinKind.Number => a.Number == b.Number,
            TwinKind.Text => a.Text == b.Text,
            _ => true,
        };
    }

    public override QueryValue On(in TwinRow row)
    {
        QueryValue a = left.On(row), b = right.On(row);
        return QueryValue.Of(sign switch
        {
            "=" => AreEqual(a, b),
            "!=" or "<>" => !AreEqual(a, b),
            _ => Order(a, b) is not { } order ? null : sign switch
            {
                "<" => order < 0,
                "<=" => order <= 0,
                ">" => order > 0,
                _ => order >= 0,
            },
        });
    }

    private static bool IsPrimitive(QueryValue value) => value.IsDefined && value.Kind is not (TwinKind.List or TwinKind.Object);

    private static int? Order(QueryValue a, QueryValue b) => !a.IsDefined || !b.IsDefined || a.Kind != b.Kind ? null : a.Kind switch
    {
        TwinKind.Number => a.Number.CompareTo(b.Number),
        TwinKind.Text => string.CompareOrdinal(a.Text, b.Text),
        _ => null,
    };
}
