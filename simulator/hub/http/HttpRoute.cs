namespace Agent.Hub;

/// <summary>One line of the table of routes: what is asked, who may ask it, and who answers.</summary>
/// <param name="Method">HTTP method, upper case.</param>
/// <param name="Path">
/// Segments; <c>{id}</c>, <c>{mid}</c> and <c>{lockToken}</c> stand for one each. Literal segments match in any case, because the
/// vendor's own texts write both <c>serviceBound</c> and <c>servicebound</c>.
/// </param>
/// <param name="Summary">One line for a person, shown at <c>GET /local</c>.</param>
/// <param name="Handle">Makes the answer, or writes it itself and returns <see cref="HttpAnswer.Written"/>.</param>
internal sealed record HttpRoute(string Method, string Path, string Summary, Func<HttpCall, Task<HttpAnswer>> Handle)
{
    private readonly string[] pattern = Path.Split('/', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>What the policy of the token must grant; None = no credential is asked for.</summary>
    public AccessRights Right { get; init; }

    /// <summary>Longest body in bytes; 0 = a body is not looked at.</summary>
    public int BodyLengthMax { get; init; }

    /// <summary>The throttle that a request counts against; null = none, or the hub itself counts what the route does.</summary>
    public ThrottleKind? Throttle { get; init; }

    /// <summary>Errors as JSON within JSON, the form direct methods have (see <see cref="HttpErrors"/>).</summary>
    public bool NestsErrors { get; init; }

    /// <summary>Ours, not the cloud's: needs no <c>api-version</c>.</summary>
    public bool IsOurs => pattern is [] or ["local", ..] or ["healthz"];

    /// <summary>Whether this path, already split and decoded, is one of this route's; with the values of its parameters.</summary>
    public bool Matches(IReadOnlyList<string> segments, Dictionary<string, string> values)
    {
        if (segments.Count != pattern.Length)
        {
            return false;
        }

        values.Clear();
        for (int i = 0; i < pattern.Length; i++)
        {
            if (pattern[i] is ['{', .. string name, '}'])
            {
                values[name] = segments[i];
            }
            else if (!pattern[i].Equals(segments[i], StringComparison.OrdinalIgnoreCase))
            {
                return false;
            }
        }

        return true;
    }
}
