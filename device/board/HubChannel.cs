// The socket under M2Mqtt, made by us.
//
// M2Mqtt's own channel cannot be opened before Connect, leaves Nagle's algorithm on (which costs a handshake one round trip and
// 40 ms, facts/nf-baseline.md section 1), and tells nobody why it ended or when anything last came in. This one does the same
// work in the same order, with those four things added; it is the black box's only witness, since MQTT 3.1.1 carries no reason.
// The trusted roots are read for the handshake and let go after it: two Azure roots are 3.3 KB of heap, needed for a second an hour.
// TLS 1.2 and not 1.3: the server of a 1.3 connection sends session tickets after the handshake, and the interpreter's secure read,
// woken by them, waits in native code for the first byte of data, with every managed thread standing still. A hub that is silent
// just then froze the board for ever (RAN); and the receive thread may ask before CONNECT is sent.
// Waiting for data is left to the socket (Poll), and only what is there is read, under a lock that Close takes too: the interpreter's
// secure read, woken by a Close of another thread, looks at the connection's TLS state once more before it sees that it is gone, and
// the whole board crashes (RAN: once in some hundred renewals on a busy PC, at once where closing a socket takes 40 ms).
// After the end Receive waits a moment before it says so again: M2Mqtt's receive thread asks in a tight loop until Close, which
// costs half of the processor (facts/nanoframework.md section 6, RAN).
using System;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Threading;
using Agent.Core;
using nanoFramework.M2Mqtt;

namespace Agent.Board
{
    /// <summary>TCP and TLS to the hub, to be given to an MqttClient.</summary>
    public sealed class HubChannel : IMqttNetworkChannel
    {
        private const int EndedPauseMs = 100;

        /// <summary>Milliseconds the rest of a TLS record may take whose beginning has come.</summary>
        private const int RecordTimeoutMs = 10000;

        private const int PollForEver = -1;
        private const int Gone = int.MinValue;

        /// <summary>
        /// The one number of a TLS stream that ended without a goodbye, by FIN or by reset: the interpreter's secure read and
        /// write tell nothing else (RAN).
        /// </summary>
        private const int EndedWithoutGoodbye = -1;

        private readonly string host;
        private readonly int port;
        private readonly object sending = new object();
        private readonly object reading = new object();
        private readonly LargeMessage large = new LargeMessage();
        private IPAddress address;
        private Socket socket;
        private SslStream tls;

        public HubChannel(string host, int port)
        {
            this.host = host;
            this.port = port;
            ValidateServerCertificate = true;
        }

        public LinkPhase Phase { get; private set; }

        /// <summary>The error number of what failed; 0 = nothing has, or it had no number.</summary>
        public int ErrorCode { get; private set; }

        /// <summary>Whether the connection ended without our doing.</summary>
        public bool HasEnded { get; private set; }

        /// <summary>How it ended.</summary>
        public LinkEnd End { get; private set; }

        /// <summary>Uptime at the last byte received; 0 before the first.</summary>
        public long LastInboundMs { get; private set; }

        /// <summary>The address the name led to.</summary>
        public string AddressText => address.ToString();

        public bool IsOpen => tls != null;

        public bool DataAvailable => tls != null && tls.DataAvailable;

        public bool ValidateServerCertificate { get; set; }

        /// <summary>Looks the name up anew: a hub that moved is found by its name only.</summary>
        public void Resolve()
        {
            Phase = LinkPhase.Name;
            try
            {
                IPAddress[] found = Dns.GetHostEntry(host).AddressList;
                for (int i = 0; i < found.Length && address == null; i++)
                {
                    // The stack may list addresses it cannot dial, and null for the ones it does not know.
                    address = found[i] != null && found[i].AddressFamily == AddressFamily.InterNetwork ? found[i] : null;
                }

                if (address == null)
                {
                    throw new SocketException(SocketError.HostNotFound);
                }
            }
            catch (SocketException fault)
            {
                ErrorCode = fault.ErrorCode;
                throw;
            }
        }

        /// <summary>Opens TCP and TLS; called by M2Mqtt, and does nothing when <see cref="Open"/> was called before.</summary>
        public void Connect()
        {
            if (!IsOpen)
            {
                Open();
            }
        }

        /// <summary>Opens TCP and TLS. During the handshake all managed code stands still.</summary>
        public void Open()
        {
            try
            {
                if (address == null)
                {
                    Resolve();
                }

                Phase = LinkPhase.Tcp;
                socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                SetOption(socket, SocketOptionLevel.Tcp, SocketOptionName.NoDelay);
                SetOption(socket, SocketOptionLevel.Socket, SocketOptionName.KeepAlive);
                socket.ReceiveTimeout = RecordTimeoutMs;
                socket.Connect(new IPEndPoint(address, port));
                Phase = LinkPhase.Tls;
                SslStream stream = new SslStream(socket);
                stream.UseStoredDeviceCertificate = false;
                stream.AuthenticateAsClient(host, null, AzureRoots.Load(), SslProtocols.Tls12);
                tls = stream;
                Phase = LinkPhase.Connack;
            }
            catch (SocketException fault)
            {
                ErrorCode = fault.ErrorCode;
                Close();
                throw;
            }
            catch (Exception)
            {
                Close();
                throw;
            }
        }

        /// <summary>Writes the buffer whole.</summary>
        public int Send(byte[] buffer)
        {
            lock (sending)
            {
                try
                {
                    tls.Write(buffer, 0, buffer.Length);
                    return buffer.Length;
                }
                catch (SocketException fault)
                {
                    // A socket tells why it broke once, to whoever asks first. Any other number (not connected, shut down) only
                    // says that the reader was first: it is the reader's to tell.
                    if (fault.ErrorCode == (int)SocketError.ConnectionReset || fault.ErrorCode == EndedWithoutGoodbye)
                    {
                        NoteEnd(EndOf(fault.ErrorCode), fault.ErrorCode);
                    }

                    throw;
                }
            }
        }

        /// <summary>Fills the buffer, or answers 0 when the connection has ended.</summary>
        public int Receive(byte[] buffer)
        {
            if (large.IsSmallDue)
            {
                return large.TakeSmall(buffer);
            }

            int have = 0;
            try
            {
                while (!HasEnded && have < buffer.Length)
                {
                    int read = ReadWhatIsThere(buffer, have);
                    if (read == Gone)
                    {
                        break;
                    }

                    if (read <= 0)
                    {
                        NoteClosed();
                        return 0;
                    }

                    have += read;
                    LastInboundMs = Environment.TickCount64;
                }
            }
            catch (SocketException fault)
            {
                NoteEnd(EndOf(fault.ErrorCode), fault.ErrorCode);
                throw;
            }

            if (have == buffer.Length)
            {
                large.Follow(buffer, have);
                return have;
            }

            Thread.Sleep(EndedPauseMs);
            return 0;
        }

        public int Receive(byte[] buffer, int timeout)
        {
            Socket waiting = socket;
            return waiting != null && waiting.Poll(timeout * 1000, SelectMode.SelectRead) ? Receive(buffer) : 0;
        }

        public void Accept()
        {
            // For a server's side, which this is not.
        }

        /// <summary>Ends TLS and TCP; may be called at any time and more than once.</summary>
        public void Close()
        {
            Socket open = socket;
            lock (reading)
            {
                SslStream stream = tls;
                tls = null;
                socket = null;
                try
                {
                    if (stream != null)
                    {
                        stream.Close();
                        stream.Dispose();
                    }
                }
                catch (Exception)
                {
                    // Already gone.
                }
            }

            try
            {
                if (open != null)
                {
                    open.Close();
                }
            }
            catch (Exception)
            {
                // Already gone.
            }
        }

        /// <summary>Waits until something has come, the end included, and reads as much of it as there is room for.</summary>
        private int ReadWhatIsThere(byte[] buffer, int have)
        {
            Socket waiting = socket;
            bool isThere;
            lock (reading)
            {
                isThere = tls == null || tls.DataAvailable; // a record holds several packets, and the socket shows it only once
            }

            try
            {
                if (!isThere)
                {
                    waiting.Poll(PollForEver, SelectMode.SelectRead);
                }
            }
            catch (Exception)
            {
                // Closed by us, or broken: which of the two, and how, the read below finds out.
            }

            lock (reading)
            {
                return tls == null ? Gone : tls.Read(buffer, have, buffer.Length - have);
            }
        }

        /// <summary>Notes an end without a number, unless a send under way was told the number instead.</summary>
        private void NoteClosed()
        {
            lock (sending)
            {
                NoteEnd(LinkEnd.Closed, 0);
            }
        }

        private static LinkEnd EndOf(int errorCode)
        {
            switch (errorCode)
            {
                case (int)SocketError.ConnectionReset: return LinkEnd.Reset;
                case EndedWithoutGoodbye: return LinkEnd.Closed;
                case (int)SocketError.TimedOut: return LinkEnd.TimedOut;
                default: return LinkEnd.Unknown;
            }
        }

        private void NoteEnd(LinkEnd end, int errorCode)
        {
            if (!HasEnded && tls != null)
            {
                HasEnded = true; // what comes after our own Close is no news
                End = end;
                ErrorCode = errorCode;
            }
        }

        /// <summary>
        /// NoDelay saves the handshake a round trip. KeepAlive is for a peer that vanishes in the middle of it: the handshake waits
        /// in native code with everything managed standing still, and without TCP's own questions (after two hours) for ever.
        /// </summary>
        private static void SetOption(Socket socket, SocketOptionLevel level, SocketOptionName name)
        {
            try
            {
                socket.SetSocketOption(level, name, true);
            }
            catch (Exception)
            {
                // A stack without the option is slower by a round trip, or as patient as TCP, and works.
            }
        }
    }
}
