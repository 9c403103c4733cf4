namespace Agent.Wire;

/// <summary>Who does the work of TLS and of waiting under a session. Rules and reasons are the same with both.</summary>
public enum TlsEngine : byte
{
    /// <summary>SslStream and .NET's sockets: everywhere, about 50 KB a connection.</summary>
    Portable,

    /// <summary>OpenSSL driven directly and an epoll loop a core: Linux with libssl.so.3, about 15 KB a connection.</summary>
    Native,
}
