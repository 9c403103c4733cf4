// One connection, from dial to close; a new MqttClient for every attempt, always closed (facts/nanoframework.md section 8.3):
// the library's object keeps a resolved address, stale exceptions and, after a refusal, a spinning thread.
//
// Connect blocks its caller, the supervisor, which has nothing better to do; everything else is reported through LinkReports.
// The end of a planned connection has two steps: Finish says DISCONNECT, closes our channel and returns at once, while the library
// closes itself on its own thread; Close, some seconds later, makes sure. Close waits up to 1.2 s when that thread has not run, so
// it is kept out of the gap of a renewal.
using System;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Agent.Core;
using nanoFramework.M2Mqtt;
using nanoFramework.M2Mqtt.Exceptions;
using nanoFramework.M2Mqtt.Messages;

namespace Agent.Board
{
    /// <summary>One MQTT connection to the hub.</summary>
    public sealed class HubLink
    {
        /// <summary>TLS refused the certificate, or the clock is wrong: one number for all of it (facts section 5).</summary>
        public const int CertificateOrClock = -9984;

        // Mbed TLS: allocation failed, in the record layer and in general.
        private const int SslAllocationFailed = -0x7F00;
        private const int CertificateAllocationFailed = -0x2880;

        private readonly LinkReports reports;
        private readonly HubChannel channel;
        private MqttClient client;
        private bool ended;

        /// <param name="reports">Where everything after CONNACK is reported.</param>
        /// <param name="channel">Our own channel, opened already or not; null = the library's.</param>
        public HubLink(LinkReports reports, HubChannel channel)
        {
            this.reports = reports;
            this.channel = channel;
        }

        /// <summary>Why Connect failed; None after a CONNACK of any code.</summary>
        public DisconnectReason FailureReason { get; private set; }

        /// <summary>The number that came with the failure or the end; 0 = none.</summary>
        public int ErrorCode { get; private set; }

        /// <summary>Whether the hub still had a session for us, as CONNACK said.</summary>
        public bool SessionPresent { get; private set; }

        /// <summary>Uptime at the last byte received; 0 = not known (the library's channel does not tell).</summary>
        public long LastInboundMs => channel == null ? 0 : channel.LastInboundMs;

        /// <summary>
        /// Opens what is not open yet, sends CONNECT and waits for CONNACK. Answers its code, or -1 with
        /// <see cref="FailureReason"/>. Blocks for as long as name look-up, TCP and TLS take, and at most 30 s for CONNACK.
        /// </summary>
        public int Connect(
            string host, int port, X509Certificate roots, ChannelSlot slot,
            string deviceId, string userName, string token, int keepAliveSeconds)
        {
            try
            {
                if (channel != null)
                {
                    if (!channel.IsOpen)
                    {
                        channel.Resolve();
                    }

                    // The client looks up what it is given: an address costs no second question to the name server.
                    client = new MqttClient(channel.AddressText, port, true, roots, null, MqttSslProtocols.TLSv1_2);
                    slot.Put(client, channel);
                }
                else
                {
                    client = new MqttClient(host, port, true, roots, null, MqttSslProtocols.TLSv1_2);
                }

                client.ConnectionOpened += OnConnectionOpened;
                client.ConnectionClosed += OnConnectionClosed;
                client.MqttMsgPublished += OnPublished;
                int code = (int)client.Connect(deviceId, userName, token, false, (ushort)keepAliveSeconds);
                if (code != 0)
                {
                    Close();
                }

                return code;
            }
            catch (Exception fault)
            {
                Explain(fault);
                Close();
                return -1;
            }
        }

        /// <summary>Publishes with QoS 1 and no payload; the packet's id, or -1 when the library refuses.</summary>
        public int Publish(string topic)
        {
            try
            {
                return client.Publish(topic, new byte[0], null, null, MqttQoSLevel.AtLeastOnce, false);
            }
            catch (Exception)
            {
                return -1; // its queue is full, or it is closing: the missing acknowledgement tells
            }
        }

        /// <summary>Says DISCONNECT if that can still be sent; what comes after is not reported.</summary>
        public void Finish()
        {
            ended = true;
            try
            {
                client.Disconnect();
            }
            catch (Exception)
            {
                // The link was gone already (MqttCommunicationException), and the hub knows as much as it can.
            }

            if (channel != null)
            {
                channel.Close(); // gives its TLS memory back before the next connection asks for some
            }
        }

        /// <summary>Ends everything; may be called more than once. May block for about a second.</summary>
        public void Close()
        {
            ended = true;
            try
            {
                if (client != null)
                {
                    client.ConnectionOpened -= OnConnectionOpened;
                    client.ConnectionClosed -= OnConnectionClosed;
                    client.MqttMsgPublished -= OnPublished;
                    client.Close();
                }
            }
            catch (Exception)
            {
                // Half closed is closed as far as this object goes: it is never used again.
            }

            if (channel != null)
            {
                channel.Close();
            }
        }

        /// <summary>Why a connection that was up has ended.</summary>
        public DisconnectReason EndReason()
        {
            if (!WifiRadio.IsUp)
            {
                return DisconnectReason.NetworkLost;
            }

            if (channel == null)
            {
                return DisconnectReason.ClosedByPeer; // keep-alive or close: the library does not say which
            }

            ErrorCode = channel.ErrorCode;
            // The library gave up although nothing ended: a ping went unanswered.
            return channel.EndReason == DisconnectReason.None ? DisconnectReason.KeepAliveLost : channel.EndReason;
        }

        /// <summary>What an error number means in the phase in which it came.</summary>
        public static DisconnectReason ReasonOf(ConnectPhase phase, int errorCode)
        {
            switch (phase)
            {
                case ConnectPhase.Name:
                    return DisconnectReason.NameNotResolved;
                case ConnectPhase.Tcp:
                    switch (errorCode)
                    {
                        case (int)SocketError.ConnectionRefused: return DisconnectReason.TcpRefused;
                        case (int)SocketError.NetworkDown: return DisconnectReason.NetworkLost;
                        case (int)SocketError.NetworkUnreachable: return DisconnectReason.NetworkLost;
                        default: return DisconnectReason.TcpTimedOut;
                    }

                case ConnectPhase.Tls:
                    bool noMemory = errorCode == SslAllocationFailed || errorCode == CertificateAllocationFailed
                        || errorCode == (int)SocketError.NoBufferSpaceAvailable;
                    return noMemory ? DisconnectReason.TlsNoMemory : DisconnectReason.TlsFailed;
                default:
                    return DisconnectReason.ConnectTimedOut;
            }
        }

        private void Explain(Exception fault)
        {
            if (fault is OutOfMemoryException)
            {
                FailureReason = DisconnectReason.OutOfMemory;
                return;
            }

            ConnectPhase phase = channel != null ? channel.Phase : PhaseOf(fault);
            ErrorCode = channel != null && channel.ErrorCode != 0 ? channel.ErrorCode : NumberOf(fault);
            if (phase == ConnectPhase.Mqtt && channel != null && channel.EndReason != DisconnectReason.None)
            {
                FailureReason = channel.EndReason; // closed between TLS and CONNACK
                return;
            }

            FailureReason = ReasonOf(phase, ErrorCode);
        }

        /// <summary>The library's channel says no phase; the number does, nearly always.</summary>
        private static ConnectPhase PhaseOf(Exception fault)
        {
            if (fault is SocketException)
            {
                return ConnectPhase.Name; // out of the constructor, which only looks the name up
            }

            if (!(fault is MqttConnectionException))
            {
                return ConnectPhase.Mqtt;
            }

            int number = NumberOf(fault);
            return number >= 10000 ? ConnectPhase.Tcp : ConnectPhase.Tls;
        }

        private static int NumberOf(Exception fault)
        {
            SocketException socket = fault as SocketException;
            if (socket == null && fault.InnerException != null)
            {
                socket = fault.InnerException as SocketException;
            }

            return socket == null ? 0 : socket.ErrorCode;
        }

        /// <summary>On the library's receive thread, for a refusal too, before Connect returns.</summary>
        private void OnConnectionOpened(object sender, ConnectionOpenedEventArgs e)
        {
            try
            {
                SessionPresent = e.Message.SessionPresent;
            }
            catch (Exception)
            {
                // Not knowing is the same as none.
            }
        }

        private void OnConnectionClosed(object sender, EventArgs e)
        {
            try
            {
                if (!ended && sender == client)
                {
                    ended = true;
                    reports.Add(LinkReportKind.Closed, this, 0, false);
                }
            }
            catch (Exception)
            {
                // An exception here would end the library's event thread; the missing acknowledgement will tell instead.
            }
        }

        private void OnPublished(object sender, MqttMsgPublishedEventArgs e)
        {
            try
            {
                reports.Add(LinkReportKind.Published, this, e.MessageId, e.IsPublished);
            }
            catch (Exception)
            {
                // As above.
            }
        }
    }
}
