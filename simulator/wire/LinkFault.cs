namespace Agent.Wire;

/// <summary>
/// Why a dial failed. Numbered in ranges, never reused: 0x1- DNS, 0x2- TCP, 0x3- TLS, 0x8- this machine's own limits.
/// </summary>
public enum LinkFault : byte
{
    /// <summary>The host name could not be resolved.</summary>
    DnsFailed = 0x10,

    /// <summary>The host answered, nobody listens on the port.</summary>
    TcpRefused = 0x20,

    /// <summary>No answer to the connection attempt.</summary>
    TcpTimedOut = 0x21,

    /// <summary>No route to the host or its network.</summary>
    TcpUnreachable = 0x22,

    /// <summary>Any other failure to connect.</summary>
    TcpFailed = 0x23,

    /// <summary>The handshake failed: not TLS, no common version, or the server closed.</summary>
    TlsFailed = 0x30,

    /// <summary>The server did not finish the handshake in time.</summary>
    TlsTimedOut = 0x31,

    /// <summary>The server's certificate does not lead to a trusted root.</summary>
    TlsUntrustedRoot = 0x32,

    /// <summary>The server's certificate is for another name.</summary>
    TlsNameMismatch = 0x33,

    /// <summary>The server's certificate is expired or not yet valid (or this machine's clock is wrong).</summary>
    TlsExpired = 0x34,

    /// <summary>The server's certificate is bad in another way, or was not sent.</summary>
    TlsBadCertificate = 0x35,

    /// <summary>All ports of the source address are in use, or it is not this machine's.</summary>
    LocalAddressUnavailable = 0x80,

    /// <summary>This process may open no more sockets.</summary>
    TooManyOpenFiles = 0x81,
}
