using System.Net;
using System.Net.Sockets;

namespace Agent.Wire.Native;

/// <summary>Takes connections from a listener as the plain numbers the native engine works with.</summary>
/// <remarks>
/// One call gives the socket, not blocking, and its peer's address; NoDelay it has from the listener. .NET's own accept makes two
/// finalizable objects and three more calls of the system, for a connection whose socket is then taken out of them again.
/// </remarks>
internal static unsafe class NativeAccept
{
    /// <summary>Waits for the next connection.</summary>
    /// <param name="listener">Blocking; disposing it ends the wait.</param>
    /// <param name="remote">Who it is.</param>
    /// <returns>The socket: the caller's to close.</returns>
    /// <exception cref="SocketException">The system refuses, or the listener is being closed.</exception>
    /// <exception cref="ObjectDisposedException">The listener is closed.</exception>
    public static int Next(Socket listener, out IPEndPoint? remote)
    {
        byte* name = stackalloc byte[LibC.SocketAddressBytesMax];
        while (true)
        {
            uint length = LibC.SocketAddressBytesMax;
            int socket = LibC.Accept(listener.SafeHandle, name, &length, LibC.SocketNonBlocking | LibC.SocketCloseOnExec);
            if (socket >= 0)
            {
                remote = length > 0 ? LibC.EndPointOf(name) : null;
                return socket;
            }

            if (LibC.LastError != LibC.Interrupted)
            {
                throw new SocketException(LibC.LastError);
            }
        }
    }

    /// <summary>Closes it with a reset.</summary>
    public static void Refuse(int socket)
    {
        LibC.CloseWillReset(socket);
        _ = LibC.Close(socket);
    }
}
