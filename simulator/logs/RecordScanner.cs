using System.Buffers;

namespace Agent.Logs;

// Finds the records in a stream of any length without holding more than one of them. The three shapes a hub's records come
// in (facts/iothub.md §3: one object a line, an Event Hub's {"records":[…]}, which may be one line of gigabytes, and a plain
// list of objects) differ only in what stands between the records, so one scanner follows texts and brackets and cuts at the
// outermost objects. It does not judge JSON; that is the parser's part.
//
// After damage it has to find its feet again. Two rules do that: JSON allows no line end inside a text, so one there ends the
// record as bad; and an object that begins in the first column of a line is always a new record, never a part of the last.
// Not chosen: one record per line (an envelope is not), and a resynchronisation by the reader's error position (a torn line
// can swallow the healthy one after it).

/// <summary>What <see cref="RecordScanner.Next"/> found.</summary>
internal enum ScanStep
{
    End,
    Record,
    Problem,
}

/// <summary>Cuts a stream into JSON objects, each at most <see cref="RecordBytesMax"/> long.</summary>
internal sealed class RecordScanner(Stream stream)
{
    /// <summary>Longest record. An Event Hub message is at most 1 MB, and a record is one of many in it.</summary>
    public const int RecordBytesMax = 1 << 20;

    private const int BufferBytes = 1 << 17;
    private const int OpenMax = 64;

    private static readonly SearchValues<byte> InObject = SearchValues.Create("\"{}[]\n"u8);
    private static readonly SearchValues<byte> InText = SearchValues.Create("\"\\\n"u8);

    private static ReadOnlySpan<byte> Mark => "\uFEFF"u8;

    private byte[] buffer = new byte[BufferBytes];
    private int position;
    private int end;
    private int markAt;

    // Between records: brackets of envelopes and lists still open, '{' = 1.
    private ulong openKinds;
    private int openCount;
    private bool junkOnLine;

    // Inside a record.
    private long depth;
    private bool inText;
    private bool escaped;
    private bool afterLineEnd;
    private int recordStart; // -1 = too long, no longer kept.
    private int recordEnd;
    private long line = 1;

    /// <summary>The line where the record or the problem begins, from 1.</summary>
    public long Line { get; private set; }

    /// <summary>What is wrong, after <see cref="ScanStep.Problem"/>.</summary>
    public string Problem { get; private set; } = "";

    /// <summary>The record found, valid until the next call.</summary>
    public ReadOnlySpan<byte> Record => buffer.AsSpan(recordStart, recordEnd - recordStart);

    /// <summary>Bytes taken from the stream.</summary>
    public long BytesRead { get; private set; }

    /// <summary>Goes on to the next record or problem.</summary>
    public ScanStep Next()
    {
        while (true)
        {
            if (position == end && !Fill())
            {
                return Finish();
            }

            ScanStep? found = depth == 0 ? Between() : inText ? Text() : Object();
            if (found is { } step)
            {
                return step;
            }
        }
    }

    private ScanStep? Between()
    {
        byte current = buffer[position++];
        if (markAt < Mark.Length)
        {
            // A byte order mark, as some editors leave one.
            bool isMark = current == Mark[markAt];
            markAt = isMark ? markAt + 1 : Mark.Length;
            if (isMark)
            {
                return null;
            }
        }

        switch (current)
        {
            case (byte)'\n':
                line++;
                junkOnLine = false;
                return null;
            case (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)',':
                return null;
            case (byte)'{':
                depth = 1;
                recordStart = position - 1;
                Line = line;
                afterLineEnd = false;
                return null;
            case (byte)'[' when openCount < OpenMax:
                Open(isObject: false);
                return null;
            case (byte)']' when openCount > 0 && (openKinds & 1) == 0:
            case (byte)'}' when openCount > 0 && (openKinds & 1) == 1:
                openKinds >>= 1;
                openCount--;
                return null;
            default:
                int next = buffer.AsSpan(position, end - position).IndexOfAny((byte)'{', (byte)'\n');
                position = next < 0 ? end : position + next;
                if (junkOnLine)
                {
                    return null;
                }

                junkOnLine = true;
                return Bad(line, "not a JSON object");
        }
    }

    private ScanStep? Object()
    {
        if (afterLineEnd)
        {
            afterLineEnd = false;
            if (buffer[position] == (byte)'{')
            {
                depth = 0;
                return Bad(Line, "cut off: the next record begins inside it");
            }
        }

        int next = buffer.AsSpan(position, end - position).IndexOfAny(InObject);
        if (next < 0)
        {
            position = end;
            return null;
        }

        position += next + 1;
        switch (buffer[position - 1])
        {
            case (byte)'"':
                inText = true;
                return null;
            case (byte)'\n':
                line++;
                afterLineEnd = true;
                return null;
            case (byte)'[' when depth == 1 && openCount + 2 <= OpenMax && IsEnvelope():
                depth = 0;
                Open(isObject: true);
                Open(isObject: false);
                return null;
            case (byte)'{' or (byte)'[':
                depth++;
                return null;
            default:
                return --depth > 0 ? null
                    : recordStart < 0 ? Bad(Line, $"longer than {RecordBytesMax} bytes")
                    : EndRecord();
        }
    }

    private ScanStep? Text()
    {
        if (escaped)
        {
            escaped = false;
            if (buffer[position] != (byte)'\n')
            {
                position++;
                return null;
            }
        }

        int next = buffer.AsSpan(position, end - position).IndexOfAny(InText);
        if (next < 0)
        {
            position = end;
            return null;
        }

        position += next + 1;
        switch (buffer[position - 1])
        {
            case (byte)'"':
                inText = false;
                return null;
            case (byte)'\\':
                escaped = true;
                return null;
            default:
                line++;
                inText = false;
                depth = 0;
                junkOnLine = false;
                return Bad(Line, "cut off: the line ends inside a text");
        }
    }

    private ScanStep Finish()
    {
        if (depth > 0)
        {
            depth = 0;
            inText = false;
            openCount = 0;
            return Bad(Line, "cut off: the file ends inside it");
        }

        if (openCount > 0)
        {
            openCount = 0;
            return Bad(line, "cut off: the file ends inside a list of records");
        }

        return ScanStep.End;
    }

    private ScanStep EndRecord()
    {
        recordEnd = position;
        return ScanStep.Record;
    }

    private ScanStep Bad(long at, string problem)
    {
        Line = at;
        Problem = problem;
        return ScanStep.Problem;
    }

    private void Open(bool isObject)
    {
        openKinds = (openKinds << 1) | (isObject ? 1UL : 0);
        openCount++;
    }

    // The '[' just read is the value of "records": what precedes it says so.
    private bool IsEnvelope()
    {
        if (recordStart < 0)
        {
            return false;
        }

        ReadOnlySpan<byte> before = buffer.AsSpan(recordStart, position - 1 - recordStart).TrimEnd(" \t\r\n"u8);
        return before.Length > 0 && before[^1] == (byte)':' && before[..^1].TrimEnd(" \t\r\n"u8).EndsWith("\"records\""u8);
    }

    private bool Fill()
    {
        if (depth == 0 || recordStart < 0)
        {
            position = end = 0;
        }
        else if (recordStart > 0)
        {
            buffer.AsSpan(recordStart, end - recordStart).CopyTo(buffer);
            end -= recordStart;
            position = end;
            recordStart = 0;
        }
        else if (end >= RecordBytesMax)
        {
            recordStart = -1;
            position = end = 0;
        }
        else if (end == buffer.Length)
        {
            Array.Resize(ref buffer, buffer.Length * 2);
        }

        int count = stream.Read(buffer, end, buffer.Length - end);
        BytesRead += count;
        end += count;
        return count > 0;
    }
}
