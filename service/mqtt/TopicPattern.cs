using System.Text;
using System.Text.Unicode;

namespace Agent.Service.Mqtt;

/// <summary>Where in a topic the device's id stands: <c>devices/{id}/messages/events/#</c>.</summary>
/// <remarks>
/// One text is both the subscription and the rule of who speaks. With a filter and a rule apart, the two could disagree, and a device
/// be heard under another's name. A level that is <c>{id}</c> or <c>{site}</c> is a <c>+</c> to the broker. A regular expression would say
/// more than a topic has: its parts are levels. With <c>$share/GROUP/</c> before it the broker gives each message to one of the group's
/// subscribers (MQTT 5 section 4.8.2; mosquitto and others do so for 3.1.1 too): what several replicas want.
/// </remarks>
public sealed class TopicPattern
{
    /// <summary>The hub's own form, which needs no change in the devices.</summary>
    public const string Default = "devices/{id}/messages/events/#";

    private const int LengthMax = 1024;
    private const string Shared = "$share";

    private readonly byte[][] levels;
    private readonly int idLevel;
    private readonly int siteLevel;

    private TopicPattern(string group, string[] levels)
    {
        this.levels = [.. levels.Select(Encoding.UTF8.GetBytes)];
        idLevel = Array.IndexOf(levels, "{id}");
        siteLevel = Array.IndexOf(levels, "{site}");
        Filter = group + string.Join('/', levels.Select(level => level is "{id}" or "{site}" ? "+" : level));
    }

    /// <summary>What to subscribe to.</summary>
    public string Filter { get; }

    /// <summary>Reads a pattern; null = it is none, and <paramref name="problem"/> says why.</summary>
    public static TopicPattern? TryParse(string text, out string problem)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] levels = text.Split('/');
        string group = "";
        if (levels[0] == Shared)
        {
            string name = levels.Length > 2 ? levels[1] : "";
            if (name.Length == 0 || name.IndexOfAny(['+', '#', '{', '}']) >= 0)
            {
                problem = "after $share/ comes the name of a group, without wildcards";
                return null;
            }

            (group, levels) = ($"{Shared}/{name}/", levels[2..]);
        }

        bool isFilter = text.Length is > 0 and <= LengthMax && !text.Contains('\0', StringComparison.Ordinal)
            && levels.Select((level, at) => level switch
            {
                "#" => at == levels.Length - 1,
                "+" or "{id}" or "{site}" => true,
                _ => level.IndexOfAny(['+', '#', '{', '}']) < 0,
            }).All(isGood => isGood);
        problem = !isFilter ? $"it must be a topic of at most {LengthMax} characters; +, #, {{id}} and {{site}} stand alone in their level"
            : levels.Count(level => level == "{id}") != 1 ? "exactly one level must be {id}: it says which device speaks"
            : levels.Count(level => level == "{site}") > 1 ? "at most one level may be {site}"
            : "";
        return problem.Length == 0 ? new TopicPattern(group, levels) : null;
    }

    /// <summary>Takes a topic apart; false = it is none of these, or its id is none.</summary>
    /// <param name="topic">As it was published.</param>
    /// <param name="id">The device that speaks.</param>
    /// <param name="site">Where it stands; empty when the pattern does not say.</param>
    /// <param name="rest">What the <c>#</c> stands for: the hub's form has the message's properties there.</param>
    public bool TryMatch(ReadOnlySpan<byte> topic, out ReadOnlySpan<byte> id, out ReadOnlySpan<byte> site, out ReadOnlySpan<byte> rest)
    {
        id = default;
        site = default;
        rest = default;
        bool isOver = false;
        for (int at = 0; at < levels.Length; at++)
        {
            byte[] level = levels[at];
            if (level is [(byte)'#'])
            {
                rest = topic;
                return IsGood(id, site);
            }

            if (isOver)
            {
                return false;
            }

            int end = topic.IndexOf((byte)'/');
            isOver = end < 0;
            ReadOnlySpan<byte> name = isOver ? topic : topic[..end];
            topic = isOver ? default : topic[(end + 1)..];
            if (at == idLevel)
            {
                id = name;
            }
            else if (at == siteLevel)
            {
                site = name;
            }
            else if (level is not [(byte)'+'] && !name.SequenceEqual(level))
            {
                return false;
            }
        }

        return isOver && IsGood(id, site);
    }

    private static bool IsGood(ReadOnlySpan<byte> id, ReadOnlySpan<byte> site) =>
        DeviceIds.IsValid(id) && site.Length <= Sites.NameLengthMax && Utf8.IsValid(site);
}
