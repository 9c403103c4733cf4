// The public face of M2Mqtt as far as the firmware uses it.
using System;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace nanoFramework.M2Mqtt
{
    using Messages;

    public enum MqttSslProtocols
    {
        None = 0,
        TLSv1_2 = 4,
        TLSv1_3 = 5,
    }

    public interface IMqttNetworkChannel
    {
        bool DataAvailable { get; }

        bool ValidateServerCertificate { get; set; }

        int Receive(byte[] buffer);

        int Receive(byte[] buffer, int timeout);

        int Send(byte[] buffer);

        void Close();

        void Connect();

        void Accept();
    }

    public interface IMqttClient
    {
        delegate void ConnectionClosedEventHandler(object sender, EventArgs e);

        delegate void MqttMsgPublishEventHandler(object sender, MqttMsgPublishEventArgs e);

        delegate void MqttMsgPublishedEventHandler(object sender, MqttMsgPublishedEventArgs e);

        delegate void MqttMsgSubscribedEventHandler(object sender, MqttMsgSubscribedEventArgs e);
    }

    /// <summary>The library's own channel: looks the name up when made, keeps that address, leaves Nagle's algorithm on.</summary>
    public class MqttNetworkChannel : IMqttNetworkChannel
    {
        private readonly string host;
        private readonly IPAddress address;
        private readonly int port;
        private readonly X509Certificate roots;
        private Socket socket;
        private SslStream tls;

        public MqttNetworkChannel(
            string remoteHostName, int remotePort, bool secure, X509Certificate caCert, X509Certificate clientCert,
            MqttSslProtocols sslProtocol)
        {
            host = remoteHostName;
            port = remotePort;
            roots = caCert;
            address = Dns.GetHostEntry(remoteHostName).AddressList[0];
        }

        public bool DataAvailable => tls.DataAvailable;

        public bool ValidateServerCertificate { get; set; } = true;

        public void Connect()
        {
            socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Connect(new IPEndPoint(address, port));
            tls = new SslStream(socket);
            tls.AuthenticateAsClient(host, null, roots, SslProtocols.Tls12);
        }

        public int Send(byte[] buffer)
        {
            tls.Write(buffer, 0, buffer.Length);
            return buffer.Length;
        }

        public int Receive(byte[] buffer)
        {
            int have = 0;
            while (have < buffer.Length)
            {
                if (tls != null && !tls.DataAvailable)
                {
                    socket.Poll(-1, SelectMode.SelectRead); // the library does not, and may crash the board when it closes: not simulated
                }

                int read = tls == null ? 0 : tls.Read(buffer, have, buffer.Length - have);
                if (read == 0)
                {
                    return 0;
                }

                have += read;
            }

            return have;
        }

        public int Receive(byte[] buffer, int timeout) =>
            socket.Poll(timeout * 1000, SelectMode.SelectRead) ? Receive(buffer) : 0;

        public void Close()
        {
            tls?.Close();
            socket?.Close();
            tls = null;
            socket = null;
        }

        public void Accept()
        {
        }
    }
}

namespace nanoFramework.M2Mqtt.Exceptions
{
    public class MqttConnectionException : Exception
    {
        public MqttConnectionException(string message, Exception innerException)
            : base(message, innerException)
        {
        }
    }

    public class MqttCommunicationException : Exception
    {
        public MqttCommunicationException()
        {
        }

        public MqttCommunicationException(Exception e)
            : base("Exception was thrown: MqttCommunicationException", e)
        {
        }
    }
}

namespace nanoFramework.M2Mqtt.Messages
{
    public enum MqttQoSLevel
    {
        AtMostOnce = 0,
        AtLeastOnce = 1,
        ExactlyOnce = 2,
    }

    public enum MqttReasonCode
    {
        Success = 0,
    }

    public class MqttMsgConnack
    {
        public bool SessionPresent { get; set; }

        public MqttReasonCode ReturnCode { get; set; }
    }

    public class ConnectionOpenedEventArgs : EventArgs
    {
        public ConnectionOpenedEventArgs(MqttMsgConnack connact) => Message = connact;

        public MqttMsgConnack Message { get; }
    }

    public class MqttMsgPublishedEventArgs : EventArgs
    {
        public MqttMsgPublishedEventArgs(ushort messageId, bool isPublished)
        {
            MessageId = messageId;
            IsPublished = isPublished;
        }

        public ushort MessageId { get; set; }

        public bool IsPublished { get; set; }
    }

    public class MqttMsgSubscribedEventArgs : EventArgs
    {
        public MqttMsgSubscribedEventArgs(ushort messageId, MqttQoSLevel[] grantedQosLevels)
        {
            MessageId = messageId;
            GrantedQoSLevels = grantedQosLevels;
        }

        public ushort MessageId { get; }

        public MqttQoSLevel[] GrantedQoSLevels { get; }
    }

    public class MqttMsgPublishEventArgs : EventArgs
    {
        public MqttMsgPublishEventArgs(string topic, byte[] message, bool dupFlag, MqttQoSLevel qosLevel, bool retain)
        {
            Topic = topic;
            Message = message;
            DupFlag = dupFlag;
            QosLevel = qosLevel;
            Retain = retain;
        }

        public string Topic { get; }

        public byte[] Message { get; }

        public bool DupFlag { get; }

        public MqttQoSLevel QosLevel { get; }

        public bool Retain { get; }
    }
}
