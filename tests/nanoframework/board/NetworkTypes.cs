// Sockets, TLS, names and the network's state, with the board's error numbers.
using System.Text.RegularExpressions;
using Agent.NanoMachine;

namespace System.Net
{
    public static class Dns
    {
        public static IPHostEntry GetHostEntry(string hostNameOrAddress)
        {
            try
            {
                return new IPHostEntry { HostName = hostNameOrAddress, AddressList = BoardSocket.Resolve(hostNameOrAddress) };
            }
            catch (BoardSocketException fault)
            {
                throw new Sockets.SocketException((Sockets.SocketError)fault.Code);
            }
        }
    }
}

namespace System.Net.Sockets
{
    public class SocketException : Exception
    {
        public SocketException(SocketError errorCode)
            : base("Exception was thrown: System.Net.Sockets.SocketException") => ErrorCode = (int)errorCode;

        public int ErrorCode { get; }
    }

    public sealed class Socket : IDisposable
    {
        public Socket(AddressFamily addressFamily, SocketType socketType, ProtocolType protocolType)
        {
        }

        internal BoardSocket Inner { get; } = new();

        public void Connect(EndPoint remoteEP) => Translate.Run(() => Inner.Connect(remoteEP));

        public int ReceiveTimeout
        {
            get => Inner.ReceiveTimeout;
            set => Inner.ReceiveTimeout = value;
        }

        public bool Poll(int microSeconds, SelectMode mode)
        {
            bool isThere = false;
            Translate.Run(() => isThere = Inner.Poll(microSeconds));
            return isThere;
        }

        public void SetSocketOption(SocketOptionLevel optionLevel, SocketOptionName optionName, bool optionValue) =>
            Inner.Set((int)optionLevel, (int)optionName, optionValue);

        public void Close() => Inner.Close();

        public void Dispose() => Inner.Close();
    }

    internal static class Translate
    {
        public static void Run(Action action)
        {
            try
            {
                action();
            }
            catch (BoardSocketException fault)
            {
                throw new SocketException((SocketError)fault.Code);
            }
        }
    }
}

namespace System.Net.Security
{
    [Flags]
    public enum SslProtocols
    {
        None = 0,
        Tls12 = 3072,
        Tls13 = 12288,
    }

    public class SslStream : IDisposable
    {
        private readonly BoardSocket socket;

        public SslStream(Sockets.Socket socket) => this.socket = socket.Inner;

        public bool UseStoredDeviceCertificate { get; set; }

        public bool DataAvailable => socket.DataAvailable;

        public void AuthenticateAsClient(
            string targetHost,
            System.Security.Cryptography.X509Certificates.X509Certificate clientCertificate,
            System.Security.Cryptography.X509Certificates.X509Certificate ca,
            SslProtocols enabledSslProtocols) =>
            Sockets.Translate.Run(() => socket.Authenticate(targetHost, ca.Roots, (enabledSslProtocols & SslProtocols.Tls13) != 0));

        public int Read(byte[] buffer, int offset, int size)
        {
            int read = 0;
            Sockets.Translate.Run(() => read = socket.Read(buffer, offset, size));
            return read;
        }

        public void Write(byte[] buffer, int offset, int size) => Sockets.Translate.Run(() => socket.Write(buffer, offset, size));

        public void Flush()
        {
        }

        public void Close() => socket.Close();

        public void Dispose() => socket.Close();
    }
}

namespace System.Net.NetworkInformation
{
    public class NetworkInterface
    {
        public static bool GetIsNetworkAvailable()
        {
            Machine.Pass();
            return Machine.WifiUp;
        }
    }

    public class NetworkAvailabilityEventArgs : EventArgs
    {
        public NetworkAvailabilityEventArgs(bool isAvailable) => IsAvailable = isAvailable;

        public bool IsAvailable { get; }
    }

    public delegate void NetworkAvailabilityChangedEventHandler(object sender, NetworkAvailabilityEventArgs e);

    public static class NetworkChange
    {
        public static event NetworkAvailabilityChangedEventHandler NetworkAvailabilityChanged;

        static NetworkChange() =>
            Machine.NetworkChanged += up => NetworkAvailabilityChanged?.Invoke(null, new NetworkAvailabilityEventArgs(up));
    }
}

namespace System.Security.Cryptography.X509Certificates
{
    /// <summary>Takes PEM text, several certificates in one; each must parse.</summary>
    public class X509Certificate
    {
        public X509Certificate(string certificate)
        {
            Roots = [];
            Roots.ImportFromPem(certificate);
            int announced = Regex.Matches(certificate, "BEGIN CERTIFICATE").Count;
            if (Roots.Count == 0 || Roots.Count != announced)
            {
                throw new ArgumentException("Exception was thrown: System.ArgumentException");
            }
        }

        internal X509Certificate2Collection Roots { get; }
    }
}
