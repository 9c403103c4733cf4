namespace Agent.Wire;

/// <summary>A dial failed. The text names host, port and cause and holds no secret.</summary>
public sealed class LinkException : Exception
{
    /// <summary>Makes the text from the fault.</summary>
    public LinkException(LinkFault fault, string remote, Exception? cause = null)
        : base($"{remote}: {Text(fault)}", cause)
    {
        Fault = fault;
    }

    /// <summary>What failed.</summary>
    public LinkFault Fault { get; }

    private static string Text(LinkFault fault) => fault switch
    {
        LinkFault.DnsFailed => "the host name could not be resolved",
        LinkFault.TcpRefused => "connection refused, nobody listens on this port",
        LinkFault.TcpTimedOut => "no answer to the connection attempt",
        LinkFault.TcpUnreachable => "no route to the host",
        LinkFault.TcpFailed => "the connection failed",
        LinkFault.TlsFailed => "the TLS handshake failed",
        LinkFault.TlsTimedOut => "the TLS handshake was not finished in time",
        LinkFault.TlsUntrustedRoot => "the server's certificate does not lead to a trusted root",
        LinkFault.TlsNameMismatch => "the server's certificate is for another name",
        LinkFault.TlsExpired => "the server's certificate is expired or not yet valid",
        LinkFault.TlsBadCertificate => "the server's certificate is missing or bad",
        LinkFault.LocalAddressUnavailable => "the source address has no free port or is not this machine's",
        LinkFault.TooManyOpenFiles => "this process may open no more sockets",
        _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, "not a fault"),
    };
}
