// Many company networks let 443 out and nothing else. A device behind one says "no answer" for ever, and somebody drives there.
// So after a TCP failure on the MQTT port the same host is asked on 443, with no TLS: if that answers, the port is blocked.
// On the supervisor's thread, in the back-off's time, and not more often than once in ten minutes: the answer does not change
// quickly, and a black hole makes the probe wait as long as the stack is patient.
using System;
using System.Net;
using System.Net.Sockets;

namespace Agent.Board
{
    /// <summary>Tells a blocked port from an unreachable host.</summary>
    public sealed class BlockedPort
    {
        private const int HttpsPort = 443;
        private const long PauseMs = 600000;

        private long askedMs;
        private bool asked;
        private bool isBlocked;

        /// <summary>Whether 443 answers on a host whose MQTT port does not.</summary>
        public bool IsPortBlocked(string host, long nowMs)
        {
            if (asked && nowMs - askedMs < PauseMs)
            {
                return isBlocked;
            }

            asked = true;
            askedMs = nowMs;
            isBlocked = Answers(host);
            return isBlocked;
        }

        private static bool Answers(string host)
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
