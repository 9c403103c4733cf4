using Agent.Fleet;

namespace Agent.Verify;

/// <summary>One trial: what the application uses, what disturbs it, how long it is watched. Times count from the first CONNECT.</summary>
public sealed record VerifyCase
{
    public required string Name { get; init; }

    /// <summary>One line for people.</summary>
    public required string About { get; init; }

    public Features Features { get; init; }

    /// <summary>How often the application sends, ms; 0 = never.</summary>
    public long HeartbeatEveryMs { get; init; }

    /// <summary>When the connection is dropped, ms; null = never.</summary>
    public long? DropAtMs { get; init; }

    /// <summary>By RST instead of FIN.</summary>
    public bool ByReset { get; init; }

    /// <summary>For how long after the drop CONNECT is answered with code 5, ms.</summary>
    public long RefuseForMs { get; init; }

    /// <summary>How long it is watched, ms: at least one renewal after the last disturbance.</summary>
    public required long RunForMs { get; init; }

    /// <summary>Names a user may give, in the order in which they are shown.</summary>
    public static IReadOnlyList<string> Names { get; } = ["calm", "fin", "rst", "refuse", "twin", "silent"];

    /// <summary>Plans the cases around the length of one cycle (from one CONNECT to the next, undisturbed), ms.</summary>
    public static IEnumerable<VerifyCase> Plan(IEnumerable<string> names, long cycleMs, long refuseForMs)
    {
        // Sends lie in the middle between renewals and drops: an acknowledgement on its way would move them.
        long sends = Math.Max(1, cycleMs / 4000);
        long everyMs = (long)(cycleMs / (sends + 0.5));
        long dropMs = (long)((Math.Max(0, Math.Round((0.4 * cycleMs / everyMs) - 0.5)) + 0.5) * everyMs);
        long slackMs = cycleMs / 4;
        return names.Distinct().Select(name => name switch
        {
            "calm" => new VerifyCase
            {
                Name = name,
                About = "undisturbed, every feature on, sends",
                Features = Features.Twin | Features.Methods | Features.CloudToDevice,
                HeartbeatEveryMs = everyMs,
                RunForMs = (2 * cycleMs) + slackMs,
            },
            "fin" => new VerifyCase
            {
                Name = name,
                About = "TCP ended by FIN in mid-life, methods on",
                Features = Features.Methods,
                DropAtMs = dropMs,
                RunForMs = dropMs + cycleMs + slackMs,
            },
            "rst" => new VerifyCase
            {
                Name = name,
                About = "TCP ended by RST in mid-life, methods on, the application goes on sending",
                Features = Features.Methods,
                HeartbeatEveryMs = everyMs,
                DropAtMs = dropMs,
                ByReset = true,
                RunForMs = dropMs + everyMs + cycleMs + slackMs,
            },
            "refuse" => new VerifyCase
            {
                Name = name,
                About = "FIN in mid-life, then CONNACK 5 for a while, methods on",
                Features = Features.Methods,
                DropAtMs = dropMs,
                RefuseForMs = refuseForMs,
                RunForMs = dropMs + refuseForMs + cycleMs + slackMs,
            },
            "twin" => new VerifyCase
            {
                Name = name,
                About = "FIN in mid-life, desired properties on",
                Features = Features.Twin,
                DropAtMs = dropMs,
                RunForMs = dropMs + cycleMs + slackMs,
            },
            _ => new VerifyCase
            {
                Name = name,
                About = "FIN in mid-life, no feature on, nothing sent",
                DropAtMs = dropMs,
                RunForMs = dropMs + cycleMs + slackMs,
            },
        });
    }
}
