// Many company networks let 443 out and nothing else. A device behind one says "no answer" for ever, and somebody drives there.
// So after a TCP failure on the MQTT port the agent asks for the same host on 443, with no TLS: if that answers, the port is
// blocked. On the supervisor's thread, in the back-off's time; a black hole makes it wait as long as the stack is patient.
using System;
using System.Net;
using System.Net.Sockets;

namespace Agent.Board
{
    /// <summary>Tells a blocked port from an unreachable host.</summary>
    public static class BlockedPort
    {
        private const int HttpsPort = 443;

        /// <summary>Whether the host accepts a connection on 443.</summary>
        public static bool DoesHttpsAnswer(string host)
        {
            Socket socket = null;
            try
            {
                IPAddress[] found = Dns.GetHostEntry(host).AddressList;
                socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                socket.Connect(new IPEndPoint(found[0], HttpsPort));
                return true;
            }
            catch (Exception)
            {
                return false;
            }
            finally
            {
                if (socket != null)
                {
                    socket.Close();
                }
            }
        }
    }
}
