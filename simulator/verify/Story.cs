namespace Agent.Verify;

// Two timelines of one client never agree line by line: a retry drawn from a jitter band comes three times here and four times
// there, and what an application subscribes first is its own affair. So a timeline is folded into a story: connections that
// were accepted, each with its packets, and before each the attempts that were refused. Stories are equal or not; their
// moments are compared place by place, each with its own place in the other story.

/// <summary>One CONNECT and what became of it.</summary>
public sealed class Attempt(Step connect)
{
    public Step Connect { get; } = connect;

    /// <summary>CONNACK's code as text; null when none came.</summary>
    public string? Code { get; set; }

    public bool IsAccepted => Code == "0";

    /// <summary>Everything after CONNECT, the close included.</summary>
    public List<Step> Rest { get; } = [];

    /// <summary>The end of TCP; null while it stands.</summary>
    public Step? Close => Rest is [.., { Kind: StepKind.Close } last] ? last : null;
}

/// <summary>A timeline folded into connections and the attempts before them.</summary>
public sealed class Story
{
    private Story(List<Attempt> attempts)
    {
        Attempts = attempts;
        Shape = [.. Fold(attempts)];
    }

    public IReadOnlyList<Attempt> Attempts { get; }

    /// <summary>The order of things without their moments; refused attempts in a row are one line.</summary>
    public IReadOnlyList<string> Shape { get; }

    /// <summary>Whether the last connection still stands.</summary>
    public bool EndsConnected => Attempts is [.., { IsAccepted: true, Close: null }];

    /// <summary>Folds a timeline, which must be in order; what came before the first CONNECT is left out.</summary>
    public static Story Of(IEnumerable<Step> timeline)
    {
        var attempts = new List<Attempt>();
        foreach (Step step in timeline)
        {
            if (step.Kind == StepKind.Connect)
            {
                attempts.Add(new Attempt(step));
            }
            else if (step.Kind != StepKind.Pingreq && attempts is [.., { Close: null } current])
            {
                current.Rest.Add(step);
                if (step.Kind == StepKind.Connack)
                {
                    current.Code = step.Text;
                }
            }
        }

        foreach (Attempt attempt in attempts)
        {
            SortSubscriptions(attempt.Rest);
        }

        return new Story(attempts);
    }

    /// <summary>Every place of the story with the length of time that decides when it happens.</summary>
    public IEnumerable<Place> Places()
    {
        int gap = 0;
        int tries = 0;
        double freeMs = 0;
        foreach (Attempt attempt in Attempts)
        {
            tries++;
            bool isFirst = gap == 0 && tries == 1;
            yield return new Place(
                new PlaceKey(gap, tries, attempt.IsAccepted, 0),
                attempt.Connect,
                isFirst ? 0 : attempt.Connect.DialMs - freeMs,
                PastExpiry: false);
            for (int i = 0; i < attempt.Rest.Count; i++)
            {
                Step step = attempt.Rest[i];
                (double lengthMs, bool pastExpiry) = LengthOf(step, attempt.Connect);
                yield return new Place(new PlaceKey(gap, tries, attempt.IsAccepted, i + 1), step, lengthMs, pastExpiry);
            }

            freeMs = attempt.Close?.AtMs ?? attempt.Connect.AtMs;
            if (attempt.IsAccepted)
            {
                gap++;
                tries = 0;
            }
        }
    }

    /// <summary>For every accepted connection but the first: attempts refused before it, and from the close to its CONNACK.</summary>
    public IEnumerable<(int Gap, int Refused, double LengthMs)> Gaps()
    {
        int gap = 0;
        int refused = 0;
        double? fromMs = null;
        foreach (Attempt attempt in Attempts)
        {
            if (!attempt.IsAccepted)
            {
                refused++;
                continue;
            }

            if (fromMs is { } start)
            {
                yield return (gap, refused, attempt.Rest[0].AtMs - start);
            }

            gap++;
            refused = 0;
            fromMs = attempt.Close?.AtMs;
        }
    }

    // A client counts its renewal from the making of the token, just before it dials; TLS may take its time in between.
    private static (double LengthMs, bool PastExpiry) LengthOf(Step step, Step connect)
    {
        if (step.Kind == StepKind.Disconnect || step is { Kind: StepKind.Close, Text: "device" })
        {
            return (step.AtMs - connect.DialMs, false);
        }

        double ageMs = step.AtMs - connect.AtMs;
        double leftMs = connect.Connect?.TokenMsLeft ?? double.MaxValue;
        return step.Kind == StepKind.Close && ageMs > leftMs ? (ageMs - leftMs, true) : (ageMs, false);
    }

    // The order in which an application switches its features on is not the SDK's: subscriptions are told by name, the
    // twin GET, which needs one of them, after them.
    private static void SortSubscriptions(List<Step> steps)
    {
        for (int from = 0; from < steps.Count; from++)
        {
            int to = from;
            while (to < steps.Count && steps[to].Kind is (StepKind.Subscribe or StepKind.TwinGet))
            {
                to++;
            }

            steps.Sort(from, to - from, Comparer<Step>.Create((a, b) =>
                a.Kind != b.Kind ? a.Kind.CompareTo(b.Kind) : string.CompareOrdinal(a.Text, b.Text)));
            from = to;
        }
    }

    private static IEnumerable<string> Fold(List<Attempt> attempts)
    {
        string? refusal = null;
        foreach (Attempt attempt in attempts)
        {
            if (!attempt.IsAccepted)
            {
                string text = $"CONNECT refused ({attempt.Code ?? "no CONNACK"}), once or more";
                if (text != refusal)
                {
                    yield return refusal = text;
                }

                continue;
            }

            refusal = null;
            yield return "CONNECT";
            foreach (Step step in attempt.Rest)
            {
                yield return step.Title;
            }
        }
    }
}

/// <summary>Where in a story: accepted connections before, number of the attempt since, line within the attempt.</summary>
/// <param name="Gap">Connections accepted before.</param>
/// <param name="Try">Number of the attempt since then, from 1.</param>
/// <param name="Accepted">Whether this attempt was accepted.</param>
/// <param name="Line">0 = CONNECT, then what followed.</param>
public readonly record struct PlaceKey(int Gap, int Try, bool Accepted, int Line)
{
    /// <summary>The key under which lengths are gathered: within a connection it does not matter how many tries it took.</summary>
    public PlaceKey Band => Line == 0 ? this with { Accepted = false } : Accepted ? this with { Try = 0 } : this;
}

/// <summary>One line of a story with its length of time.</summary>
/// <param name="Key">Where.</param>
/// <param name="Step">What.</param>
/// <param name="LengthMs">
/// For CONNECT: TCP's opening since the close before. For the client's own end of it: since TCP's opening. For the hub's cut of
/// an expired token: since the expiry, which is stamped in whole seconds. For the rest: since this attempt's CONNECT.
/// </param>
/// <param name="PastExpiry">Whether the length counts from the expiry.</param>
public readonly record struct Place(PlaceKey Key, Step Step, double LengthMs, bool PastExpiry);
