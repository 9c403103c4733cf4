namespace Agent.Fleet;

/// <summary>
/// The rhythm of a standing connection as its driver keeps it: when something was last sent and heard, and what is due. Moments in ms of
/// the run, -1 = none.
/// </summary>
public struct Pulse
{
    public long ConnackMs;
    public long LastSentMs;
    public long LastReceivedMs;
    public long PingDueMs;
    public long SendDueMs;

    /// <summary>When the ping went out whose answer is awaited.</summary>
    public long PingSentMs;

    /// <summary>Since when something has been on its way without an acknowledgement.</summary>
    public long UnackedSinceMs;

    /// <summary>Since when the connection has stood without delivering anything.</summary>
    public long DeafSinceMs;

    /// <summary>When the client last looked whether a ping is due.</summary>
    public long LookedMs;

    /// <summary>Heartbeats without an acknowledgement.</summary>
    public int Unacked;

    /// <summary>A connection that is not there.</summary>
    public static Pulse Idle => new()
    {
        PingDueMs = -1,
        SendDueMs = -1,
        PingSentMs = -1,
        UnackedSinceMs = -1,
        DeafSinceMs = -1,
    };

    /// <summary>A connection whose CONNACK has just come in.</summary>
    public static Pulse From(long connackMs) =>
        Idle with { ConnackMs = connackMs, LastSentMs = connackMs, LastReceivedMs = connackMs, LookedMs = connackMs };

    /// <summary>How long the connection stood without delivering anything, told once.</summary>
    public long TakeDeafMs(long nowMs)
    {
        long deafMs = DeafSinceMs < 0 ? 0 : nowMs - DeafSinceMs;
        DeafSinceMs = -1;
        return deafMs;
    }

    /// <summary>The client looks whether a ping is due. While an answer is outstanding no second ping goes out.</summary>
    public bool Look(in PingPolicy policy, long nowMs)
    {
        LookedMs = nowMs;
        return PingSentMs < 0 && policy.Rule switch
        {
            PingRule.SinceSent => nowMs - LastSentMs >= policy.EveryMs,
            PingRule.SinceEither => nowMs - Math.Min(LastSentMs, LastReceivedMs) >= policy.EveryMs,
            PingRule.FixedTick => true,
            _ => nowMs - LastReceivedMs >= policy.EveryMs,
        };
    }

    /// <summary>Works out when the client looks next, into <see cref="PingDueMs"/>; false = it never pings.</summary>
    public bool ArmPing(in PingPolicy policy, long nowMs)
    {
        if (policy.EveryMs <= 0)
        {
            return false;
        }

        if (policy.Rule is PingRule.SinceSent or PingRule.SinceEither)
        {
            // With an answer outstanding: again a period from now.
            long quietSinceMs = policy.Rule == PingRule.SinceSent ? LastSentMs : Math.Min(LastSentMs, LastReceivedMs);
            PingDueMs = (PingSentMs < 0 ? quietSinceMs : nowMs) + policy.EveryMs;
        }
        else if (policy.Rule == PingRule.TickIfQuiet)
        {
            PingDueMs = Math.Max(nowMs, LookedMs + policy.EveryMs);
        }
        else
        {
            long ticks = ((nowMs - ConnackMs) / policy.EveryMs) + 1;
            PingDueMs = ConnackMs + (ticks * policy.EveryMs);
        }

        return true;
    }
}
