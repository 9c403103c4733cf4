// Reads JSON one token at a time, straight from the bytes that came in.
//
// A twin may be 32 KB of anything, and a board has 100 KB of heap: a tree of it (nanoFramework.Json: a Hashtable per
// object, a boxed number per value) could end the program that reads it. So nothing is built: the reader walks, the
// caller compares and copies what it knows and skips the rest. It is strict (RFC 8259): what it does not know to be
// JSON is Error, and Error stays. Nesting is bounded by the bits of one word. Numbers are whole numbers here, because
// every setting is one; anything else keeps its token and says that it is not whole.
namespace Agent.Core
{
    /// <summary>What a reader stands on.</summary>
    public enum JsonToken
    {
        /// <summary>Not JSON from here on; the reader goes no further.</summary>
        Error = 0,

        /// <summary>The one value has been read and nothing but blanks follow it.</summary>
        End = 1,

        ObjectStart = 2,
        ObjectEnd = 3,
        ArrayStart = 4,
        ArrayEnd = 5,

        /// <summary>A member's name; the value comes next.</summary>
        Name = 6,
        String = 7,
        Number = 8,
        True = 9,
        False = 10,
        Null = 11,
    }

    /// <summary>A pull reader over a byte array; reusable.</summary>
    public sealed class JsonReader
    {
        /// <summary>Objects and arrays in each other. The hub allows a twin ten (facts/iothub.md section 7).</summary>
        public const int DepthMax = 30;

        private byte[] bytes;
        private int at;
        private int end;
        private int depth;
        private int arrays;
        private bool needsValue;
        private bool isFirst;
        private int textAt;
        private int textEnd;

        /// <summary>The token the reader stands on.</summary>
        public JsonToken Token { get; private set; }

        /// <summary>Objects and arrays that are open.</summary>
        public int Depth => depth;

        /// <summary>Number: whether it is whole and fits Whole. 3600.0 is whole, 36e2 is not taken for it.</summary>
        public bool IsWhole { get; private set; }

        public long Whole { get; private set; }

        /// <summary>Starts over with other bytes.</summary>
        public void Start(byte[] source, int index, int count)
        {
            bytes = source;
            at = index;
            end = index + count;
            depth = 0;
            arrays = 0;
            needsValue = true;
            isFirst = true;
            Token = JsonToken.Null;
        }

        /// <summary>Lets the bytes go: a twin of 32 KB must not stay in memory until the next one comes.</summary>
        public void Release()
        {
            bytes = null;
            at = 0;
            end = 0;
            Token = JsonToken.Error;
        }

        /// <summary>Goes to the next token and returns it.</summary>
        public JsonToken Next()
        {
            if (Token == JsonToken.Error || Token == JsonToken.End)
            {
                return Token;
            }

            SkipBlanks();
            if (depth == 0 && !needsValue)
            {
                return Set(at == end ? JsonToken.End : JsonToken.Error);
            }

            if (at == end)
            {
                return Set(JsonToken.Error);
            }

            return Set(needsValue && depth == 0 ? ReadValue() : ReadMember());
        }

        /// <summary>
        /// From the start of an object or array to its end, or from a name to the end of its value; elsewhere nothing.
        /// False when what is passed over is not JSON.
        /// </summary>
        public bool Skip()
        {
            if (Token == JsonToken.Name)
            {
                Next();
            }

            if (Token == JsonToken.ObjectStart || Token == JsonToken.ArrayStart)
            {
                int level = depth;
                while (depth >= level && Next() != JsonToken.Error)
                {
                    // Next does the walking.
                }
            }

            return Token != JsonToken.Error;
        }

        /// <summary>Whether the name or string the reader stands on is this text (plain ASCII), escapes resolved.</summary>
        public bool TextIs(string text)
        {
            int from = textAt;
            for (int i = 0; i < text.Length; i++)
            {
                if (from >= textEnd || NextChar(ref from) != text[i])
                {
                    return false;
                }
            }

            return from == textEnd;
        }

        /// <summary>
        /// The name or string, cut after so many characters, fit for a message: what is not plain becomes '?'.
        /// </summary>
        public string ShownText(int lengthMax)
        {
            char[] shown = new char[lengthMax];
            int length = 0;
            int from = textAt;
            while (from < textEnd && length < lengthMax)
            {
                int character = NextChar(ref from);
                bool isPlain = character >= ' ' && character < 0x7F && character != '"' && character != '\\';
                shown[length++] = isPlain ? (char)character : '?';
            }

            return new string(shown, 0, length);
        }

        private JsonToken Set(JsonToken token)
        {
            Token = token;
            return token;
        }

        private JsonToken ReadMember()
        {
            bool inArray = (arrays & 1) != 0;
            if (needsValue)
            {
                return ReadValue(); // after a name's colon, or after a comma in an array
            }

            int value = bytes[at];
            if (value == (inArray ? ']' : '}'))
            {
                at++;
                depth--;
                arrays >>= 1;
                isFirst = false;
                return inArray ? JsonToken.ArrayEnd : JsonToken.ObjectEnd;
            }

            if (!isFirst)
            {
                if (value != ',')
                {
                    return JsonToken.Error;
                }

                at++;
                SkipBlanks();
            }

            isFirst = false;
            return inArray ? ReadValue() : ReadName();
        }

        private JsonToken ReadName()
        {
            if (at == end || bytes[at] != '"' || !ReadText())
            {
                return JsonToken.Error;
            }

            SkipBlanks();
            if (at == end || bytes[at] != ':')
            {
                return JsonToken.Error;
            }

            at++;
            needsValue = true;
            return JsonToken.Name;
        }

        private JsonToken ReadValue()
        {
            needsValue = false;
            isFirst = false;
            if (at == end)
            {
                return JsonToken.Error;
            }

            switch ((char)bytes[at])
            {
                case '{': return Open(0, JsonToken.ObjectStart);
                case '[': return Open(1, JsonToken.ArrayStart);
                case '"': return ReadText() ? JsonToken.String : JsonToken.Error;
                case 't': return ReadWord("true") ? JsonToken.True : JsonToken.Error;
                case 'f': return ReadWord("false") ? JsonToken.False : JsonToken.Error;
                case 'n': return ReadWord("null") ? JsonToken.Null : JsonToken.Error;
                default: return ReadNumber() ? JsonToken.Number : JsonToken.Error;
            }
        }

        private JsonToken Open(int arrayBit, JsonToken token)
        {
            if (depth == DepthMax)
            {
                return JsonToken.Error;
            }

            at++;
            depth++;
            arrays = (arrays << 1) | arrayBit;
            isFirst = true;
            return token;
        }

        private bool ReadWord(string word)
        {
            for (int i = 0; i < word.Length; i++)
            {
                if (at == end || bytes[at] != word[i])
                {
                    return false;
                }

                at++;
            }

            return true;
        }

        /// <summary>RFC 8259 section 7. The bytes stay where they are; only their limits are noted.</summary>
        private bool ReadText()
        {
            textAt = ++at;
            while (at < end)
            {
                int value = bytes[at];
                if (value == '"')
                {
                    textEnd = at++;
                    return true;
                }

                if (value < ' ' || (value == '\\' && !IsEscape()))
                {
                    return false;
                }

                at++;
            }

            return false;
        }

        private bool IsEscape()
        {
            at++;
            if (at == end)
            {
                return false;
            }

            if (bytes[at] != 'u')
            {
                return "\"\\/bfnrt".IndexOf((char)bytes[at]) >= 0;
            }

            for (int i = 0; i < 4; i++)
            {
                at++;
                if (at == end || HexValue(bytes[at]) < 0)
                {
                    return false;
                }
            }

            return true;
        }

        /// <summary>RFC 8259 section 6: [ - ] int [ frac ] [ exp ].</summary>
        private bool ReadNumber()
        {
            bool isNegative = bytes[at] == '-';
            if (isNegative)
            {
                at++;
            }

            int from = at;
            long whole = 0;
            bool fits = true;
            while (IsDigit())
            {
                fits = fits && whole < long.MaxValue / 10 - 1;
                whole = fits ? (whole * 10) + (bytes[at] - '0') : whole;
                at++;
            }

            if (at == from || (bytes[from] == '0' && at - from > 1))
            {
                return false;
            }

            if (at < end && bytes[at] == '.')
            {
                at++;
                from = at;
                while (IsDigit())
                {
                    fits = fits && bytes[at] == '0';
                    at++;
                }

                if (at == from)
                {
                    return false;
                }
            }

            if (at < end && (bytes[at] == 'e' || bytes[at] == 'E'))
            {
                fits = false;
                at++;
                if (at < end && (bytes[at] == '+' || bytes[at] == '-'))
                {
                    at++;
                }

                from = at;
                while (IsDigit())
                {
                    at++;
                }

                if (at == from)
                {
                    return false;
                }
            }

            IsWhole = fits;
            Whole = isNegative ? -whole : whole;
            return true;
        }

        private bool IsDigit()
        {
            return at < end && bytes[at] >= '0' && bytes[at] <= '9';
        }

        private void SkipBlanks()
        {
            while (at < end && (bytes[at] == ' ' || bytes[at] == '\n' || bytes[at] == '\r' || bytes[at] == '\t'))
            {
                at++;
            }
        }

        /// <summary>One character of text known to be well formed; a byte above ASCII is its own value.</summary>
        private int NextChar(ref int from)
        {
            int value = bytes[from++];
            if (value != '\\')
            {
                return value;
            }

            value = bytes[from++];
            switch ((char)value)
            {
                case 'b': return '\b';
                case 'f': return '\f';
                case 'n': return '\n';
                case 'r': return '\r';
                case 't': return '\t';
                case 'u':
                    int code = 0;
                    for (int i = 0; i < 4; i++)
                    {
                        code = (code << 4) | HexValue(bytes[from++]);
                    }

                    return code;
                default: return value;
            }
        }

        private static int HexValue(int digit)
        {
            if (digit >= '0' && digit <= '9')
            {
                return digit - '0';
            }

            if (digit >= 'a' && digit <= 'f')
            {
                return digit - 'a' + 10;
            }

            return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
        }
    }
}
