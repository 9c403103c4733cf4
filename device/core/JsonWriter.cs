// Writes JSON into one byte array that is used again and again.
//
// A document that does not fit is marked, never thrown and never cut in the middle of something: the caller asks
// IsWhole before anything is sent, and can take back the last part (Length may be set to an earlier one). Text is
// ours, plain ASCII; what is not becomes '?', so that nothing a stranger wrote can break the document.
namespace Agent.Core
{
    /// <summary>A writer into a fixed buffer.</summary>
    public sealed class JsonWriter
    {
        private int length;
        private bool needsComma;

        public JsonWriter(byte[] buffer)
        {
            Buffer = buffer;
        }

        public byte[] Buffer { get; }

        /// <summary>Bytes written.</summary>
        public int Length => length;

        /// <summary>False when something did not fit.</summary>
        public bool IsWhole { get; private set; }

        public JsonWriter Start()
        {
            length = 0;
            needsComma = false;
            IsWhole = true;
            return this;
        }

        /// <summary>Back to an earlier length, just after a complete value; the document is whole again.</summary>
        public void BackTo(int earlier)
        {
            length = earlier;
            needsComma = true;
            IsWhole = true;
        }

        /// <summary>Whether so many more bytes fit.</summary>
        public bool HasRoom(int bytes)
        {
            return Buffer.Length - length >= bytes;
        }

        public JsonWriter Open()
        {
            Comma();
            Put('{');
            needsComma = false;
            return this;
        }

        public JsonWriter Open(string name)
        {
            Name(name);
            Put('{');
            needsComma = false;
            return this;
        }

        public JsonWriter OpenArray(string name)
        {
            Name(name);
            Put('[');
            needsComma = false;
            return this;
        }

        public JsonWriter Close()
        {
            Put('}');
            needsComma = true;
            return this;
        }

        public JsonWriter CloseArray()
        {
            Put(']');
            needsComma = true;
            return this;
        }

        public JsonWriter Number(string name, long value)
        {
            Name(name);
            PutNumber(value);
            return this;
        }

        public JsonWriter Null(string name)
        {
            Name(name);
            Put("null");
            return this;
        }

        public JsonWriter Bool(string name, bool value)
        {
            Name(name);
            Put(value ? "true" : "false");
            return this;
        }

        public JsonWriter Text(string name, string value)
        {
            Name(name);
            Put('"');
            PutText(value);
            Put('"');
            return this;
        }

        private void Name(string name)
        {
            Comma();
            Put('"');
            PutText(name);
            Put("\":");
            needsComma = true;
        }

        private void Comma()
        {
            if (needsComma)
            {
                Put(',');
            }

            needsComma = true;
        }

        private void PutText(string text)
        {
            for (int i = 0; i < text.Length; i++)
            {
                char character = text[i];
                if (character == '"' || character == '\\')
                {
                    Put('\\');
                }

                Put(character >= ' ' && character < 0x7F ? character : '?');
            }
        }

        private void Put(string plain)
        {
            for (int i = 0; i < plain.Length; i++)
            {
                Put(plain[i]);
            }
        }

        private void PutNumber(long value)
        {
            if (value < 0)
            {
                Put('-');
            }

            long scale = 1;
            while (value / scale > 9 || value / scale < -9)
            {
                scale *= 10;
            }

            for (; scale > 0; scale /= 10)
            {
                long digit = value / scale % 10;
                Put((char)('0' + (digit < 0 ? -digit : digit)));
            }
        }

        private void Put(char ascii)
        {
            if (length < Buffer.Length)
            {
                Buffer[length++] = (byte)ascii;
            }
            else
            {
                IsWhole = false;
            }
        }
    }
}
