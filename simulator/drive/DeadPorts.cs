using System.Net;
using System.Net.Sockets;

namespace Agent.Drive;

/// <summary>Three ports of this machine that lead nowhere: one refuses, one swallows SYNs, one accepts and never says a word.</summary>
internal sealed class DeadPorts : IDisposable
{
    // Connections the kernel completes by itself and nobody ever takes.
    private const int SilentBacklog = 4096;

    private readonly List<Socket> sockets = [];

    public DeadPorts()
    {
        Refused = EndPointOf(Bound());
        Socket hole = Bound();
        hole.Listen(0);
        BlackHole = EndPointOf(hole);
        Fill(BlackHole);
        Socket silent = Bound();
        silent.Listen(SilentBacklog);
        Silent = EndPointOf(silent);
    }

    /// <summary>Bound and not listening: the kernel answers with RST.</summary>
    public IPEndPoint Refused { get; }

    /// <summary>Listening with a full queue: Linux drops further SYNs, so a dial gets no answer at all.</summary>
    public IPEndPoint BlackHole { get; }

    /// <summary>Listening, never accepted from: TCP comes up and then nothing.</summary>
    public IPEndPoint Silent { get; }

    public void Dispose()
    {
        foreach (Socket socket in sockets)
        {
            socket.Dispose();
        }
    }

    private static IPEndPoint EndPointOf(Socket socket) => (IPEndPoint)socket.LocalEndPoint!;

    private Socket Bound()
    {
        Socket socket = NewSocket();
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }

    private Socket NewSocket()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        sockets.Add(socket);
        return socket;
    }

    // A queue of length 0 still takes one or two; those after them hang, which is what is wanted of everybody's.
    private void Fill(IPEndPoint hole)
    {
        for (int i = 0; i < 3; i++)
        {
            Socket socket = NewSocket();
            socket.Blocking = false;
            try
            {
                socket.Connect(hole);
            }
            catch (SocketException pending) when (pending.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
            {
                // Under way, and with the queue full it stays so.
            }
        }
    }
}
