using System.Buffers;

namespace Agent.Hub;

/// <summary>The Connections records of a hub on disk: appended, handed to the system record by record.</summary>
/// <remarks>
/// One write call per record, so that a reader sees whole lines and a killed hub loses none. Not synchronised to the
/// platter: the cloud's own log promises less. A torn last line, left by a power cut, is dropped when the file is opened.
/// </remarks>
public sealed class ConnectionsLog : IDisposable
{
    private readonly Lock gate = new();
    private readonly FileStream file;
    private readonly ConnectionsWriter writer;
    private readonly Action<ReadOnlySpan<byte>>? onLine;
    private readonly ArrayBufferWriter<byte> line = new(1024);

    /// <param name="path">The file.</param>
    /// <param name="hubName">Goes into every record.</param>
    /// <param name="onLine">Told of every record as it was written, in order; must be quick.</param>
    public ConnectionsLog(string path, string hubName, Action<ReadOnlySpan<byte>>? onLine = null)
    {
        this.onLine = onLine;
        Path = path;
        writer = new ConnectionsWriter(hubName);
        file = new FileStream(
            path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        DroppedBytes = DropTornLine(file);
        file.Seek(0, SeekOrigin.End);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Length of the torn last line that was dropped when the file was opened; normally 0.</summary>
    public long DroppedBytes { get; }

    /// <summary>Appends one record. Safe from any thread.</summary>
    public void Write(in ConnectionsRecord record)
    {
        lock (gate)
        {
            line.ResetWrittenCount();
            writer.Write(line, record);
            file.Write(line.WrittenSpan);
            onLine?.Invoke(line.WrittenSpan);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (gate)
        {
            file.Dispose();
            writer.Dispose();
        }
    }

    private static long DropTornLine(FileStream file)
    {
        long length = file.Length;
        long end = length;
        Span<byte> block = stackalloc byte[512];
        while (end > 0)
        {
            int count = (int)Math.Min(block.Length, end);
            file.Seek(end - count, SeekOrigin.Begin);
            file.ReadExactly(block[..count]);
            int lineEnd = block[..count].LastIndexOf((byte)'\n');
            if (lineEnd >= 0)
            {
                end -= count - lineEnd - 1;
                break;
            }

            end -= count;
        }

        if (end != length)
        {
            file.SetLength(end);
        }

        return length - end;
    }
}
