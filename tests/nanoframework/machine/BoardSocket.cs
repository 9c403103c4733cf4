using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Agent.NanoMachine;

/// <summary>A socket error with the number the board's library shows.</summary>
public sealed class BoardSocketException(int code) : Exception
{
    public int Code { get; } = code;
}

/// <summary>A TCP socket and the TLS on it, failing with the board's numbers.</summary>
public sealed class BoardSocket
{
    /// <summary>Mbed TLS on the board: certificate, name, dates or clock, all the same (facts/nanoframework.md section 5).</summary>
    public const int CertificateOrClock = -9984;

    /// <summary>A TLS stream that ended without a goodbye, by FIN or by reset, for reader and writer (RAN on the interpreter).</summary>
    private const int EndedWithoutGoodbye = -1;

    private const int CrashExitCode = 139;
    private const int HostNotFound = 11001;
    private const int NetworkUnreachable = 10051;

    private static readonly ConcurrentDictionary<BoardSocket, bool> Open = [];
    private static volatile bool networkGone = !Machine.WifiUp;

    private readonly byte[] arrived = new byte[16384];
    private readonly Lock arriving = new();
    private readonly Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private SslStream? tls;
    private volatile bool silenced;
    private bool hasTicketsToRead;
    private Task<int>? nextArrival;
    private int arrivedAt;
    private int arrivedTo;
    private int waitingReads;

    /// <summary>What Wi-Fi does to connections: packets vanish, nobody is told.</summary>
    public static void NetworkGone(bool gone)
    {
        networkGone = gone;
        foreach (BoardSocket socket in Open.Keys.Where(_ => gone))
        {
            socket.silenced = true;
        }
    }

    public static IPAddress[] Resolve(string host)
    {
        Machine.Pass();
        if (networkGone)
        {
            throw new BoardSocketException(HostNotFound);
        }

        try
        {
            return [.. Dns.GetHostAddresses(host).Where(address => address.AddressFamily == AddressFamily.InterNetwork)];
        }
        catch (SocketException)
        {
            throw new BoardSocketException(HostNotFound);
        }
    }

    public void Set(int level, int name, bool value) =>
        socket.SetSocketOption((SocketOptionLevel)level, (SocketOptionName)name, value);

    /// <summary>Whether the TLS record read last holds more.</summary>
    public bool DataAvailable => arrivedAt < arrivedTo;

    /// <summary>Milliseconds a secure read waits; 0 = for ever.</summary>
    public int ReceiveTimeout { get; set; }

    public void Connect(EndPoint end)
    {
        Machine.Pass();
        Guard(() =>
        {
            if (networkGone)
            {
                throw new SocketException(NetworkUnreachable);
            }

            socket.Connect(end);
            Open[this] = true;
        });
        Machine.Pass();
    }

    /// <summary>The handshake: everything managed stands still until it ends.</summary>
    public void Authenticate(string host, X509Certificate2Collection roots, bool allowsTls13) => Machine.Hold(() =>
    {
        hasTicketsToRead = allowsTls13;
        X509ChainPolicy policy = new()
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            VerificationTimeIgnored = false,
            VerificationTime = Machine.UtcNow,
        };
        policy.CustomTrustStore.AddRange(roots);
        try
        {
            tls = new SslStream(new NetworkStream(socket, ownsSocket: false));
            tls.AuthenticateAsClient(
                new SslClientAuthenticationOptions { TargetHost = host, CertificateChainPolicy = policy });
        }
        catch (AuthenticationException)
        {
            tls = null;
            throw new BoardSocketException(CertificateOrClock);
        }
        catch (IOException fault)
        {
            tls = null;
            throw new BoardSocketException(CodeOf(fault));
        }
    });

    public void Write(byte[] bytes, int offset, int count)
    {
        Machine.Pass();
        if (silenced)
        {
            return; // into the air, and TCP does not know yet
        }

        GuardTls(() => Stream().Write(bytes, offset, count));
    }

    public int Read(byte[] bytes, int offset, int count)
    {
        int read = 0;
        if (hasTicketsToRead)
        {
            // Woken by the server's session tickets, native code waits for data that may never come, and everything with it (RAN).
            hasTicketsToRead = false;
            Machine.Freeze(() => GuardTls(() => read = Stream().Read(bytes, offset, count)));
            return read;
        }

        GuardTls(() => read = TakeArrived(bytes, offset, count));
        Machine.Pass();
        return read;
    }

    /// <summary>Waits until there is something to read, an end included; below 0 = for ever.</summary>
    public bool Poll(int microseconds)
    {
        if (hasTicketsToRead)
        {
            return true;
        }

        bool isThere = false;
        Guard(() => isThere = DataAvailable || silenced
            || ((IAsyncResult)NextArrival()).AsyncWaitHandle.WaitOne(microseconds < 0 ? -1 : microseconds / 1000));
        while (silenced && Open.ContainsKey(this))
        {
            Thread.Sleep(50); // nothing comes any more, not even an end
        }

        Machine.Pass();
        return isThere;
    }

    public void Close()
    {
        Open.TryRemove(this, out _);
        if (Volatile.Read(ref waitingReads) > 0)
        {
            // Woken by the close, the native read looks at a TLS state that is gone: the end of the whole board (RAN).
            Console.Error.WriteLine("TLS was closed under a secure read that waited");
            Environment.Exit(CrashExitCode);
        }

        try
        {
            tls?.Close();
            socket.Close();
        }
        catch (Exception fault) when (fault is IOException or ObjectDisposedException or SocketException)
        {
            // Closing what has ended is no fault on the board either.
        }
    }

    private Task<int> NextArrival()
    {
        lock (arriving)
        {
            return nextArrival ??= Stream().ReadAsync(arrived, 0, arrived.Length);
        }
    }

    private int TakeArrived(byte[] bytes, int offset, int count)
    {
        if (!DataAvailable)
        {
            Task<int> arrival = NextArrival();
            Interlocked.Increment(ref waitingReads);
            try
            {
                arrivedTo = arrival.GetAwaiter().GetResult();
            }
            finally
            {
                Interlocked.Decrement(ref waitingReads);
            }

            arrivedAt = 0;
            nextArrival = null;
        }

        int taken = Math.Min(count, arrivedTo - arrivedAt);
        Array.Copy(arrived, arrivedAt, bytes, offset, taken);
        arrivedAt += taken;
        return taken;
    }

    private Stream Stream() => tls ?? throw new BoardSocketException((int)SocketError.NotConnected);

    private static void Guard(Action action)
    {
        try
        {
            action();
        }
        catch (SocketException fault)
        {
            throw new BoardSocketException((int)fault.SocketErrorCode);
        }
        catch (IOException fault)
        {
            throw new BoardSocketException(CodeOf(fault));
        }
        catch (Exception fault) when (fault is ObjectDisposedException or InvalidOperationException)
        {
            throw new BoardSocketException((int)SocketError.NotConnected);
        }
    }

    private static void GuardTls(Action action)
    {
        try
        {
            Guard(action);
        }
        catch (BoardSocketException fault)
            when ((SocketError)fault.Code is SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.Shutdown)
        {
            throw new BoardSocketException(EndedWithoutGoodbye);
        }
    }

    private static int CodeOf(IOException fault) =>
        fault.InnerException is SocketException inner ? (int)inner.SocketErrorCode : (int)SocketError.ConnectionReset;
}
