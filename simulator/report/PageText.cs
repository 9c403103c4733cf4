using System.Globalization;
using System.Net;
using System.Text;

namespace Agent.Report;

// Names come from files other people wrote. Whoever adds text to the page cannot forget to encode it: Add takes an
// interpolated string, writes the literal parts as they stand and encodes every hole. Numbers are written without culture.

/// <summary>HTML being written; everything in a hole of an interpolated string is encoded.</summary>
internal sealed class PageText
{
    private readonly StringBuilder text = new();

    /// <summary>Adds markup whose holes are encoded.</summary>
    public PageText Add(FormattableString markup)
    {
        text.AppendFormat(Encoding.Instance, markup.Format, markup.GetArguments());
        return this;
    }

    /// <inheritdoc/>
    public override string ToString() => text.ToString();

    private sealed class Encoding : IFormatProvider, ICustomFormatter
    {
        public static Encoding Instance { get; } = new();

        public object? GetFormat(Type? formatType) => formatType == typeof(ICustomFormatter) ? this : null;

        public string Format(string? format, object? arg, IFormatProvider? formatProvider)
        {
            string plain = arg is IFormattable number
                ? number.ToString(format, CultureInfo.InvariantCulture)
                : arg?.ToString() ?? "";
            return WebUtility.HtmlEncode(WithoutControls(plain));
        }

        // A control character in a name would make the drawing unreadable for an XML parser.
        private static string WithoutControls(string plain) => plain.Any(IsUnwritable)
            ? string.Concat(plain.Select(c => IsUnwritable(c) ? '\uFFFD' : c))
            : plain;

        private static bool IsUnwritable(char c) => (char.IsControl(c) && c is not ('\n' or '\t')) || c is '\uFFFE' or '\uFFFF';
    }
}
