// Types of the board's base libraries whose host namesakes behave otherwise or lack the member.
using Agent.NanoMachine;

namespace System
{
    /// <summary>Members the board's DateTime has and the host's lacks; the board's clock is the machine's.</summary>
    public static class BoardDateTime
    {
        public static long ToUnixTimeSeconds(this DateTime time)
        {
            long real = new DateTimeOffset(time, TimeSpan.Zero).ToUnixTimeSeconds();
            long shift = (long)(Machine.UtcNow - DateTime.UtcNow).TotalSeconds;
            return real + shift;
        }
    }
}

namespace System.IO
{
    public static class File
    {
        public static bool Exists(string path) => new FileInfo(Drive.PathOf(path)).Exists;

        public static void Delete(string path) => new FileInfo(Drive.PathOf(path)).Delete();

        public static void Move(string sourceFileName, string destFileName) => Drive.Move(sourceFileName, destFileName);

        public static string ReadAllText(string path)
        {
            using StreamReader reader = new(Drive.Open(path, FileMode.Open, FileAccess.Read));
            return reader.ReadToEnd();
        }

        public static void WriteAllText(string path, string contents)
        {
            using StreamWriter writer = new(Drive.Open(path, FileMode.Create, FileAccess.Write));
            writer.Write(contents);
        }
    }

    public class FileStream : Stream
    {
        private readonly Stream inner;

        public FileStream(string path, FileMode mode, FileAccess access) => inner = Drive.Open(path, mode, access);

        public override bool CanRead => inner.CanRead;

        public override bool CanSeek => inner.CanSeek;

        public override bool CanWrite => inner.CanWrite;

        public override long Length => inner.Length;

        public override long Position
        {
            get => inner.Position;
            set => inner.Position = value;
        }

        public override void Flush() => inner.Flush();

        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);

        public override long Seek(long offset, SeekOrigin origin) => inner.Seek(offset, origin);

        public override void SetLength(long value) => inner.SetLength(value);

        public override void Write(byte[] buffer, int offset, int count) => inner.Write(buffer, offset, count);

        protected override void Dispose(bool disposing)
        {
            inner.Dispose();
            base.Dispose(disposing);
        }
    }
}

namespace System.Threading
{
    public sealed class Thread
    {
        private readonly BoardThread inner;

        public Thread(ThreadStart start) => inner = new BoardThread(() => start(), "firmware");

        public bool IsAlive => inner.IsAlive;

        public void Start() => inner.Start();

        public bool Join(int millisecondsTimeout) => inner.Join(millisecondsTimeout);

        public static void Sleep(int millisecondsTimeout) => BoardThread.Sleep(millisecondsTimeout);
    }

    public sealed class AutoResetEvent
    {
        private readonly BoardEvent inner;

        public AutoResetEvent(bool initialState) => inner = new BoardEvent(initialState);

        public bool Set() => inner.Set();

        public bool WaitOne() => inner.WaitOne(-1);

        public bool WaitOne(int millisecondsTimeout, bool exitContext) => inner.WaitOne(millisecondsTimeout);
    }

    public sealed class Timer
    {
        private readonly BoardTimer inner;

        public Timer(TimerCallback callback, object state, int dueTime, int period) =>
            inner = new BoardTimer(() => callback(state), dueTime, period);
    }

    public sealed class CancellationTokenSource
    {
        private readonly BoardPatience inner;

        public CancellationTokenSource(int millisecondsDelay) => inner = new BoardPatience(millisecondsDelay);

        public CancellationToken Token => inner.Token;
    }
}
