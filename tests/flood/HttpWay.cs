namespace Agent.Tests.Flooding;

/// <summary>How a caller of the heartbeat checker misbehaves.</summary>
internal enum HttpWay
{
    /// <summary>TCP, and not one byte.</summary>
    Silent,

    /// <summary>A request's headers, one byte a second.</summary>
    SlowHeaders,

    /// <summary>Headers without end, as fast as they are taken.</summary>
    HugeHeaders,

    /// <summary>A body of two megabytes, one byte a second.</summary>
    SlowBody,

    /// <summary>A body announced as a gigabyte.</summary>
    GigabyteBody,

    /// <summary>A gigabyte in chunks whose sum is not announced, as fast as it is taken.</summary>
    EndlessChunks,

    /// <summary>JSON nested a hundred thousand deep, and well closed.</summary>
    DeepJson,

    /// <summary>A text that is not UTF-8.</summary>
    BadUtf8,

    /// <summary>JSON of a schema of its own.</summary>
    WrongSchema,

    /// <summary>Half a request, and then the sending side closed.</summary>
    HalfClosed,

    /// <summary>A TLS ClientHello, and noise.</summary>
    TlsGarbage,

    /// <summary>Random bytes.</summary>
    Garbage,

    /// <summary>Questions one after another, whose answers are never read.</summary>
    NeverReads,
}
