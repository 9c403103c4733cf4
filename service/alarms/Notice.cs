using System.Globalization;

namespace Agent.Service.Alarms;

/// <summary>What happened to an episode. The numbers are written to disk and stay as they are.</summary>
public enum NoticeEdge : byte
{
    /// <summary>The trouble began.</summary>
    Raised = 1,

    /// <summary>Somebody said that they know.</summary>
    Acknowledged = 2,

    /// <summary>The trouble ended.</summary>
    Cleared = 3,

    /// <summary>Nothing happened: the button that tests a destination was pressed.</summary>
    Test = 4,
}

/// <summary>How bad it is, in rising order. The numbers are written to disk and stay as they are.</summary>
public enum Severity : byte
{
    Information = 0,
    Warning = 1,
    Error = 2,

    /// <summary>Is sent in quiet hours too.</summary>
    Critical = 3,
}

/// <summary>One edge of one episode of trouble, as it is told to people and programs outside.</summary>
/// <remarks>
/// It carries everything that is said about it, so that a repetition an hour later says the same: the outside world is told what was
/// known at the edge, not what has become of it since.
/// </remarks>
public sealed record Notice
{
    /// <summary>Longest <see cref="Explanation"/> and fact, in characters; what is longer is cut.</summary>
    public const int SentenceMax = 400;

    /// <summary>Longest name of an installation, subject, kind or person. A device id has at most 128 (facts/iothub.md §1.2).</summary>
    public const int NameMax = 128;

    /// <summary>Most facts that are told.</summary>
    public const int FactsMax = 16;

    /// <summary>Which checker says so; the same for all replicas of one, different for any two that share a receiver.</summary>
    public required string Installation { get; init; }

    /// <summary>Number of the episode within the installation, 1 or more; rising in the order in which episodes begin.</summary>
    public required long Episode { get; init; }

    public required NoticeEdge Edge { get; init; }

    /// <summary>
    /// What it is about: <c>deviceSilent</c>, <c>deviceFlapping</c>, <c>siteLost</c>, <c>fleetLost</c>, <c>renewalStorm</c>.
    /// </summary>
    public required string Kind { get; init; }

    public required Severity Severity { get; init; }

    /// <summary>The device's id, the site's name, or the hub's.</summary>
    public required string Subject { get; init; }

    /// <summary>When this edge happened, UTC milliseconds.</summary>
    public required long AtMs { get; init; }

    /// <summary>
    /// When the trouble began, UTC milliseconds; for a silent device its deadline, for a storm the moment it is expected.
    /// </summary>
    public required long BeganAtMs { get; init; }

    /// <summary>How many devices it concerns.</summary>
    public int Devices { get; init; } = 1;

    /// <summary>Name of the cause for programs, such as <c>closedRemotely</c>; empty = not known.</summary>
    public string Reason { get; init; } = "";

    /// <summary>The cause for people, one sentence; empty = not known.</summary>
    public string Explanation { get; init; } = "";

    /// <summary>What it rests on, a sentence each.</summary>
    public IReadOnlyList<string> Facts { get; init; } = [];

    /// <summary>Who acknowledged it; null = nobody.</summary>
    public string? By { get; init; }

    /// <summary>Where to look; null = the checker does not know its own address.</summary>
    public Uri? Link { get; init; }

    /// <summary>
    /// The same for every repetition of this edge, from every replica and after every crash; different for any other edge. It is by
    /// this that a receiver knows a repetition.
    /// </summary>
    public string Id => string.Create(CultureInfo.InvariantCulture, $"{HeaderSafe(Installation)}-{Episode}-{EdgeName}");

    /// <summary>The edge as the wire spells it.</summary>
    public string EdgeName => Edge switch
    {
        NoticeEdge.Raised => "raised",
        NoticeEdge.Acknowledged => "acknowledged",
        NoticeEdge.Cleared => "cleared",
        _ => "test",
    };

    /// <summary>The severity as the wire spells it.</summary>
    public string SeverityName => Severity switch
    {
        Severity.Critical => "critical",
        Severity.Error => "error",
        Severity.Warning => "warning",
        _ => "information",
    };

    /// <summary>
    /// The same with every text within its bound and on one line, so that no queue and no mail header can be overrun by it.
    /// </summary>
    public Notice Bounded() => this with
    {
        Installation = OneLine(Installation, NameMax),
        Kind = OneLine(Kind, NameMax),
        Subject = OneLine(Subject, NameMax),
        Reason = OneLine(Reason, NameMax),
        Explanation = OneLine(Explanation, SentenceMax),
        Facts = [.. Facts.Take(FactsMax).Select(fact => OneLine(fact, SentenceMax))],
        By = By is null ? null : OneLine(By, NameMax),
    };

    private static string HeaderSafe(string name) =>
        string.Concat(name.Take(NameMax).Select(letter => char.IsAsciiLetterOrDigit(letter) || letter == '_' ? letter : '-'));

    // Control and format characters (line ends, but also the ones that turn the direction of writing) become spaces: a site's name
    // comes from a twin's tags, and whoever may write those must not write mail headers.
    private static string OneLine(string text, int lengthMax)
    {
        int length = Math.Min(text.Length, lengthMax);
        length -= length < text.Length && char.IsHighSurrogate(text[length - 1]) ? 1 : 0;
        return string.Create(length, text, static (line, source) =>
        {
            for (int i = 0; i < line.Length; i++)
            {
                bool isPlain = CharUnicodeInfo.GetUnicodeCategory(source[i])
                    is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
                        or UnicodeCategory.ParagraphSeparator);
                line[i] = isPlain ? source[i] : ' ';
            }
        });
    }
}
