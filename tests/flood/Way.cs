namespace Agent.Tests.Flooding;

/// <summary>How a connection misbehaves.</summary>
internal enum Way
{
    /// <summary>TCP, and not one byte.</summary>
    Silent,

    /// <summary>The first hundred bytes of a ClientHello of five hundred.</summary>
    HalfHello,

    /// <summary>Random bytes instead of TLS.</summary>
    Garbage,

    /// <summary>TLS, and then not one byte.</summary>
    TlsSilent,

    /// <summary>TLS, and random bytes in it.</summary>
    TlsGarbage,

    /// <summary>A CONNECT of two hundred bytes, one byte a second.</summary>
    SlowConnect,

    /// <summary>The longest CONNECT there may be, but for its last byte.</summary>
    FatConnect,

    /// <summary>To the HTTPS port: TCP, and not one byte.</summary>
    HttpSilent,

    /// <summary>To the HTTPS port: half a ClientHello.</summary>
    HttpHalfHello,

    /// <summary>To the HTTPS port: TLS, and then not one byte.</summary>
    HttpTlsSilent,

    /// <summary>A request's headers, one byte a second.</summary>
    SlowHeaders,

    /// <summary>Headers without end, as fast as they are taken.</summary>
    HugeHeaders,

    /// <summary>A body of a megabyte, one byte a second.</summary>
    SlowBody,

    /// <summary>A WebSocket, and then not one byte of MQTT.</summary>
    WebSocketSilent,

    /// <summary>A WebSocket frame of two hundred bytes, one byte a second.</summary>
    WebSocketSlow,
}
