namespace Agent.Wire;

/// <summary>What splitting the next packet off received bytes found.</summary>
public enum ReadStatus
{
    /// <summary>A whole packet is there.</summary>
    Ok,

    /// <summary>What is there is a legal beginning; more bytes are needed.</summary>
    NeedMore,

    /// <summary>No continuation can make this a legal packet.</summary>
    Malformed,

    /// <summary>The packet announces a body above the caller's limit; nothing of it was looked at.</summary>
    TooLarge,
}
