// One connection, from dial to close; a new MqttClient for every attempt, always closed (facts/nanoframework.md section 8.3):
// the library's object keeps a resolved address, stale exceptions and, after a refusal, a spinning thread.
//
// Connect blocks its caller, the supervisor, which has nothing better to do; everything else is reported through LinkReports.
// The end of a planned connection has two steps: Finish says DISCONNECT, closes our channel and returns at once, while the library
// closes itself on its own thread; Close, some seconds later, makes sure. Close waits up to 1.2 s when that thread has not run, so
// it is kept out of the gap of a renewal.
using System;
using System.Net.Sockets;
using Agent.Core;
using nanoFramework.M2Mqtt;
using nanoFramework.M2Mqtt.Exceptions;
using nanoFramework.M2Mqtt.Messages;

namespace Agent.Board
{
    /// <summary>One MQTT connection to the hub.</summary>
    public sealed class HubLink
    {
        // Mbed TLS: allocation failed, in the record layer and in general.
        private const int SslAllocationFailed = -0x7F00;
        private const int CertificateAllocationFailed = -0x2880;

        private readonly LinkReports reports;
        private readonly HubChannel channel;
        private MqttClient client;
        private int connackCode;
        private bool ended;

        /// <param name="reports">Where everything after CONNACK is reported.</param>
        /// <param name="channel">Our own channel, opened already or not; null = the library's.</param>
        public HubLink(LinkReports reports, HubChannel channel)
        {
            this.reports = reports;
            this.channel = channel;
        }

        /// <summary>Whether the hub still had a session for us, as CONNACK said.</summary>
        public bool SessionPresent { get; private set; }

        /// <summary>Uptime at the last byte received; 0 = not known (the library's channel does not tell).</summary>
        public long LastInboundMs => channel == null ? 0 : channel.LastInboundMs;

        /// <summary>
        /// Opens what is not open yet, sends CONNECT and waits for CONNACK. Answers its code, or -1 and writes what was seen.
        /// Blocks for as long as name look-up, TCP and TLS take, and at most 30 s for CONNACK.
        /// </summary>
        public int Connect(
            string host, int port, ChannelSlot slot,
            string deviceId, string userName, string token, int keepAliveSeconds, Evidence seen)
        {
            try
            {
                if (channel != null)
                {
                    if (!channel.IsOpen)
                    {
                        channel.Resolve();
                    }

                    // The client looks up what it is given: an address costs no second question to the name server. It gets no
                    // roots, which it would keep; should it ever dial by itself, it trusts what is in the board's own store.
                    client = new MqttClient(channel.AddressText, port, true, null, null, MqttSslProtocols.TLSv1_2);
                    slot.Put(client, channel);
                }
                else
                {
                    client = new MqttClient(host, port, true, AzureRoots.Load(), null, MqttSslProtocols.TLSv1_2);
                }

                client.ConnectionOpened += OnConnectionOpened;
                client.ConnectionClosed += OnConnectionClosed;
                client.MqttMsgPublished += OnPublished;
                client.MqttMsgSubscribed += OnSubscribed;
                client.MqttMsgPublishReceived += OnReceived;
                int code = (int)client.Connect(deviceId, userName, token, false, (ushort)keepAliveSeconds);
                if (code != 0)
                {
                    Close();
                }

                return code;
            }
            catch (Exception fault)
            {
                // A hub that refuses closes at once, and M2Mqtt's receive thread reads that end before Connect looks at the answer:
                // it then throws, and forgets the code (RAN on the interpreter). Its event has told us.
                if (connackCode == 0)
                {
                    Explain(fault, seen);
                }

                Close();
                return connackCode == 0 ? -1 : connackCode;
            }
        }

        /// <summary>Publishes; the packet's id, or -1 when the library refuses. The payload is kept until it is sent.</summary>
        public int Publish(string topic, byte[] payload, int qos)
        {
            try
            {
                return client.Publish(topic, payload, null, null, (MqttQoSLevel)qos, false);
            }
            catch (Exception)
            {
                return -1; // its queue is full, or it is closing: the missing acknowledgement tells
            }
        }

        /// <summary>Subscribes with QoS 0; the answer is a report.</summary>
        public void Subscribe(string[] topics)
        {
            try
            {
                client.Subscribe(topics, new MqttQoSLevel[topics.Length]);
            }
            catch (Exception)
            {
                // As above; without a SUBACK the agent does not ask for its twin.
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
                    client.MqttMsgSubscribed -= OnSubscribed;
                    client.MqttMsgPublishReceived -= OnReceived;
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

        /// <summary>Writes what was seen of the end of a connection that was up.</summary>
        public void ExplainEnd(Evidence seen)
        {
            if (!WifiRadio.IsUp)
            {
                seen.Saw(LinkPhase.Network, LinkEnd.Unknown, 0);
            }
            else if (channel == null)
            {
                seen.Saw(LinkPhase.Connected, LinkEnd.Unknown, 0); // the library says nothing at all
            }
            else
            {
                // The library gave up although nothing ended: a ping went unanswered.
                seen.Saw(LinkPhase.Connected, channel.HasEnded ? channel.End : LinkEnd.PingTimedOut, channel.ErrorCode);
            }
        }

        /// <summary>What an error number says about how an attempt ended in a phase.</summary>
        public static LinkEnd EndOf(LinkPhase phase, int errorCode)
        {
            switch (errorCode)
            {
                case (int)SocketError.ConnectionRefused: return LinkEnd.Refused;
                case (int)SocketError.TimedOut: return LinkEnd.TimedOut;
                case (int)SocketError.ConnectionReset: return LinkEnd.Reset;
                case (int)SocketError.NetworkDown: return LinkEnd.Unreachable;
                case (int)SocketError.NetworkUnreachable: return LinkEnd.Unreachable;
                case (int)SocketError.HostUnreachable: return LinkEnd.TimedOut; // one host silent is not the network gone
                case (int)SocketError.NoBufferSpaceAvailable: return LinkEnd.OutOfMemory;
                case SslAllocationFailed: return LinkEnd.OutOfMemory;
                case CertificateAllocationFailed: return LinkEnd.OutOfMemory;
                default: return phase == LinkPhase.Connack && errorCode == 0 ? LinkEnd.TimedOut : LinkEnd.Unknown;
            }
        }

        private void Explain(Exception fault, Evidence seen)
        {
            LinkPhase phase = channel != null ? channel.Phase : PhaseOf(fault);
            int number = channel != null && channel.ErrorCode != 0 ? channel.ErrorCode : NumberOf(fault);
            if (fault is OutOfMemoryException)
            {
                seen.Saw(phase, LinkEnd.OutOfMemory, number);
            }
            else if (phase == LinkPhase.Connack && channel != null && channel.HasEnded)
            {
                seen.Saw(phase, channel.End, number); // closed between TLS and CONNACK
            }
            else
            {
                seen.Saw(phase, EndOf(phase, number), number);
            }
        }

        /// <summary>The library's channel says no phase; the number does, nearly always.</summary>
        private static LinkPhase PhaseOf(Exception fault)
        {
            if (fault is SocketException)
            {
                return LinkPhase.Name; // out of the constructor, which only looks the name up
            }

            if (!(fault is MqttConnectionException))
            {
                return LinkPhase.Connack;
            }

            int number = NumberOf(fault);
            return number >= 10000 ? LinkPhase.Tcp : LinkPhase.Tls;
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
                connackCode = (int)e.Message.ReturnCode;
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

        private void OnSubscribed(object sender, MqttMsgSubscribedEventArgs e)
        {
            try
            {
                bool granted = true;
                for (int i = 0; i < e.GrantedQoSLevels.Length; i++)
                {
                    granted = granted && (int)e.GrantedQoSLevels[i] < 0x80;
                }

                reports.Add(LinkReportKind.Subscribed, this, e.MessageId, granted);
            }
            catch (Exception)
            {
                // As above.
            }
        }

        private void OnReceived(object sender, MqttMsgPublishEventArgs e)
        {
            try
            {
                if (e.Topic != LargeMessage.Topic)
                {
                    reports.AddMessage(this, e.Topic, e.Message ?? new byte[0]);
                }
            }
            catch (Exception)
            {
                // As above.
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
