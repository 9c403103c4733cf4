using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Agent.Service;

/// <summary>The same heartbeats into a Redis sorted set by deadline, as one would without this program.</summary>
/// <remarks>
/// One connection, 64 <c>ZADD</c> in a write, the next 64 on their way before the answers to these are read: Redis is then never without
/// work, and its one thread is the limit. Commands are built outside the measured time. The members are the checker's own devices, all of
/// them: a smaller set would be faster, and none that anybody needs.
/// </remarks>
internal sealed class RedisZadd : IDisposable
{
    private const int Depth = 64;
    private const int MeasuredCommands = 500_000;
    private const long Stride = 736_817;

    private readonly Process server;
    private readonly Socket socket;
    private readonly byte[] answers = new byte[64 * 1024];
    private int members;
    private long next;
    private long deadline = BenchFleet.StartMs;

    private RedisZadd(Process server, Socket socket)
    {
        this.server = server;
        this.socket = socket;
    }

    /// <summary>Starts a server of its own that writes nothing to disk; null = there is none on this machine.</summary>
    public static RedisZadd? TryStart(string folder, TextWriter error)
    {
        int port;
        using (var probe = new TcpListener(IPAddress.Loopback, 0))
        {
            probe.Start();
            port = ((IPEndPoint)probe.LocalEndpoint).Port;
        }

        Process? server = null;
        try
        {
            server = Process.Start(new ProcessStartInfo("redis-server")
            {
                ArgumentList =
                {
                    "--port", port.ToString(CultureInfo.InvariantCulture), "--bind", "127.0.0.1",
                    "--save", "", "--appendonly", "no", "--dir", folder,
                },
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            server.OutputDataReceived += (_, _) => { };
            server.BeginOutputReadLine();
            return new RedisZadd(server, Connect(port));
        }
        catch (Exception missing) when (missing is System.ComponentModel.Win32Exception or SocketException)
        {
            server?.Kill();
            error.WriteLine("redis-server is not installed or does not start: no comparison (Debian: apt-get install redis-server)");
            return null;
        }
    }

    /// <summary>Puts so many members in.</summary>
    public void Fill(int count)
    {
        members = count;
        next = 0;
        for (int done = 0; done < count; done += Depth)
        {
            Exchange([Commands(1)]);
        }
    }

    /// <summary>Commands answered a second.</summary>
    public double Measure()
    {
        var writes = new List<byte[]>();
        for (int done = 0; done < MeasuredCommands; done += Depth)
        {
            writes.Add(Commands(Stride));
        }

        var watch = Stopwatch.StartNew();
        Exchange(writes);
        return writes.Count * Depth / watch.Elapsed.TotalSeconds;
    }

    public void Dispose()
    {
        socket.Dispose();
        server.Kill();
        server.WaitForExit();
        server.Dispose();
    }

    private static Socket Connect(int port)
    {
        for (int attempt = 1; ; attempt++)
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                socket.Connect(IPAddress.Loopback, port);
                return socket;
            }
            catch (SocketException) when (attempt < 50)
            {
                socket.Dispose();
                Thread.Sleep(100);
            }
        }
    }

    private byte[] Commands(long stride)
    {
        var text = new StringBuilder(Depth * 80);
        for (int i = 0; i < Depth; i++)
        {
            next = (next + stride) % members;
            text.Append("*4\r\n$4\r\nZADD\r\n$1\r\nd\r\n$13\r\n").Append(deadline++).Append("\r\n$16\r\n")
                .Append(BenchFleet.Id((int)next)).Append("\r\n");
        }

        return Encoding.ASCII.GetBytes(text.ToString());
    }

    private void Exchange(List<byte[]> writes)
    {
        int awaited = 0;
        for (int i = 0; i < writes.Count; i++)
        {
            Send(writes[i]);
            awaited += Depth;
            if (i > 0)
            {
                awaited = Receive(awaited, Depth);
            }
        }

        Receive(awaited, 0);
    }

    private void Send(byte[] bytes)
    {
        for (int sent = 0; sent < bytes.Length;)
        {
            sent += socket.Send(bytes.AsSpan(sent));
        }
    }

    // Every answer is ":0" or ":1" and a line end; anything else is an error of ours.
    private int Receive(int awaited, int until)
    {
        while (awaited > until)
        {
            int read = socket.Receive(answers);
            if (read == 0 || answers[0] == (byte)'-')
            {
                throw new IOException("redis-server: " + Encoding.ASCII.GetString(answers, 0, Math.Min(read, 100)));
            }

            awaited -= answers.AsSpan(0, read).Count((byte)'\n');
        }

        return awaited;
    }
}
