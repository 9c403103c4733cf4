// Percent-encoding for tokens and user names.
//
// The rule is RFC 3986 section 2.3: letters, digits, '-', '.', '_' and '~' stay, every other byte of the UTF-8 text
// becomes %XX in upper-case hex. The hub verifies a signature over the text as received, so any consistent encoding
// works, but this one is what the vendor's newer samples use. Not chosen: HttpUtility.UrlEncode, which turns a blank
// into '+' and costs the board a 55 KB assembly (facts/nanoframework.md section 4).
using System.Text;

namespace Agent.Core
{
    /// <summary>RFC 3986 percent-encoding.</summary>
    public static class PercentEncoder
    {
        private const string Hex = "0123456789ABCDEF";

        public static string Encode(string text)
        {
            StringBuilder encoded = new StringBuilder(text.Length + 16);
            AppendEncoded(encoded, text);
            return encoded.ToString();
        }

        public static void AppendEncoded(StringBuilder target, string text)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            for (int i = 0; i < bytes.Length; i++)
            {
                int value = bytes[i];
                if (IsUnreserved(value))
                {
                    target.Append((char)value);
                }
                else
                {
                    target.Append('%');
                    target.Append(Hex[value >> 4]);
                    target.Append(Hex[value & 15]);
                }
            }
        }

        private static bool IsUnreserved(int value)
        {
            return (value >= 'a' && value <= 'z') || (value >= 'A' && value <= 'Z') || (value >= '0' && value <= '9')
                || value == '-' || value == '.' || value == '_' || value == '~';
        }
    }
}
