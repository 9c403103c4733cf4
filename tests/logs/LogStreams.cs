using System.Text;

namespace Agent.Tests.Logs;

/// <summary>A stream that can only be read.</summary>
internal abstract class EndlessSource : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}

/// <summary>A start, one character very often, an end; never held whole.</summary>
internal sealed class LongLine(string start, char filling, long length, string end) : EndlessSource
{
    private readonly byte[] first = Encoding.UTF8.GetBytes(start);
    private readonly byte[] last = Encoding.UTF8.GetBytes(end);
    private long at;

    public override int Read(byte[] buffer, int offset, int count)
    {
        int given;
        if (at < first.Length)
        {
            given = Math.Min(count, first.Length - (int)at);
            first.AsSpan((int)at, given).CopyTo(buffer.AsSpan(offset));
        }
        else if (at < first.Length + length)
        {
            given = (int)Math.Min(count, first.Length + length - at);
            buffer.AsSpan(offset, given).Fill((byte)filling);
        }
        else
        {
            int from = (int)(at - first.Length - length);
            given = Math.Min(count, last.Length - from);
            last.AsSpan(from, given).CopyTo(buffer.AsSpan(offset));
        }

        at += given;
        return given;
    }
}

/// <summary>The same bytes over and over.</summary>
internal sealed class Repeating(byte[] block, int times) : EndlessSource
{
    private long at;

    public override int Read(byte[] buffer, int offset, int count)
    {
        int from = (int)(at % block.Length);
        int given = at >= (long)block.Length * times ? 0 : Math.Min(count, block.Length - from);
        block.AsSpan(from, given).CopyTo(buffer.AsSpan(offset));
        at += given;
        return given;
    }
}
