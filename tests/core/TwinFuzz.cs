using System.Text;
using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>Twins as they come from people in a hurry, broken tools and bad luck.</summary>
internal static class TwinFuzz
{
    private static readonly string[] Values =
    [
        "60", "3600", "-1", "0", "99999999999", "1e400", "NaN", "3600.0", "3.5", "\"60\"", "true", "null", "{}", "[]",
        "{\"a\":{\"b\":[[[{}]]]}}", "\"prewarm\"", "\"clean\"", "\"full\"", "\"\\u0000\"", "1200", "85", "10", "2147483648",
    ];

    private static readonly string[] Names =
    [
        "token", "backoff", "heartbeat", "diagnostics", "lifetimeSeconds", "renewAtPercent", "renewBeforeSeconds", "spreadPercent",
        "renewMode", "minSeconds", "maxSeconds", "spreadSeconds", "keepAliveSeconds", "intervalSeconds", "level", "x", "", "$version",
    ];

    public static string Document(SeededRandom random)
    {
        StringBuilder text = new();
        text.Append("{\"desired\":{\"agent\":");
        text.Append(random.Next(8) == 0 ? Values[random.Next(Values.Length)] : Group(random, depth: 2));
        text.Append(",\"$version\":").Append(random.Next(20) == 0 ? Values[random.Next(Values.Length)] : "4");
        text.Append("},\"reported\":{\"agent\":").Append(random.Next(4) == 0 ? Values[random.Next(Values.Length)] : "{\"av\":3}");
        text.Append("}}");
        switch (random.Next(12))
        {
            case 0: return text.ToString(0, random.Next(text.Length)); // the second half is missing
            case 1: return text.ToString(random.Next(text.Length), 1); // and the first
            case 2:
                text[random.Next(text.Length)] = (char)random.Next(256);
                return text.ToString();
            default: return text.ToString();
        }
    }

    private static string Group(SeededRandom random, int depth)
    {
        int count = random.Next(4);
        string[] members = new string[count];
        for (int i = 0; i < count; i++)
        {
            bool isGroup = depth > 1 && random.Next(3) > 0;
            string name = Names[isGroup ? random.Next(4) : 4 + random.Next(Names.Length - 4)];
            members[i] = $"\"{name}\":{(isGroup ? Group(random, depth - 1) : Values[random.Next(Values.Length)])}";
        }

        return $"{{{string.Join(',', members)}}}";
    }
}
