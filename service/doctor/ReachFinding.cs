namespace Agent.Service.Doctor;

/// <summary>How calling a device ended.</summary>
public enum ReachOutcome : byte
{
    /// <summary>It took the message: it is reachable.</summary>
    Answered,

    /// <summary>It did not take the message before that ended: it is not connected, or does not listen for messages.</summary>
    Expired,

    /// <summary>It is there and refused the message.</summary>
    Rejected,

    /// <summary>The hub does not know it, or has it disabled.</summary>
    NotFound,

    /// <summary>50 messages wait for it already: it has been away for long.</summary>
    QueueFull,

    /// <summary>The connection string is not accepted, or lacks the right ServiceConnect.</summary>
    Refused,

    /// <summary>The hub has no such way over HTTPS: it is the cloud's.</summary>
    NotOffered,

    /// <summary>The hub could not be asked, or gave no word in time.</summary>
    NoWord,
}

/// <summary>What came of calling a device.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="TookMs">From sending to the word about it.</param>
/// <param name="WithinSeconds">How long the message lived.</param>
public sealed record ReachFinding(ReachOutcome Outcome, long TookMs, int WithinSeconds)
{
    /// <summary>Whether it can be reached now; null = that is not known.</summary>
    public bool? IsReachable => Outcome switch
    {
        ReachOutcome.Answered or ReachOutcome.Rejected => true,
        ReachOutcome.Expired or ReachOutcome.QueueFull => false,
        _ => null,
    };

    /// <summary>A sentence for a person.</summary>
    public string Text => Outcome switch
    {
        ReachOutcome.Answered => "It took a message just now.",
        ReachOutcome.Expired =>
            $"It did not take a message within {WithinSeconds} s: it is not connected, or does not subscribe to messages from the cloud.",
        ReachOutcome.Rejected => "It refused a message just now, so it is there.",
        ReachOutcome.NotFound => "The hub does not know it, or has it disabled.",
        ReachOutcome.QueueFull => "50 messages wait for it already, so it has not taken any for long (403004).",
        ReachOutcome.Refused => "The hub does not accept the connection string, or the policy lacks ServiceConnect.",
        ReachOutcome.NotOffered => "This hub takes messages to devices over AMQP only; see the service's README for the command.",
        _ => "The hub could not be asked, or gave no word in time.",
    };
}
