// NAME=VALUE, the one format of every file a person or a script writes for the board, and of a connection string inside.
// Names in any case; a value runs to the end of its part and may hold '='. Blank parts and lines that start with '#' are
// skipped; what is not NAME=VALUE is passed over too, because a board in a cabinet cannot ask.
namespace Agent.Board
{
    /// <summary>Looks values up in a text.</summary>
    public static class NamedValues
    {
        /// <summary>The value of the first part with that name, without blanks around it; null when there is none.</summary>
        /// <param name="text">May be null.</param>
        /// <param name="separator">'\n' for a file, ';' for a connection string.</param>
        /// <param name="name">In lower case.</param>
        public static string Find(string text, char separator, string name)
        {
            int start = 0;
            while (text != null && start < text.Length)
            {
                int end = text.IndexOf(separator, start);
                if (end < 0)
                {
                    end = text.Length;
                }

                int equals = text.IndexOf('=', start);
                if (equals > start && equals < end && text[start] != '#'
                    && text.Substring(start, equals - start).Trim().ToLower() == name)
                {
                    return text.Substring(equals + 1, end - equals - 1).Trim();
                }

                start = end + 1;
            }

            return null;
        }

        /// <summary>The value as a whole number; <paramref name="otherwise"/> when there is none.</summary>
        public static int FindNumber(string text, char separator, string name, int otherwise)
        {
            string value = Find(text, separator, name);
            int number;
            return value != null && int.TryParse(value, out number) ? number : otherwise;
        }
    }
}
