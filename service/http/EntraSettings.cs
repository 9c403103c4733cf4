namespace Agent.Service;

/// <summary>Whose tokens are accepted: one tenant of Microsoft Entra, one application.</summary>
public sealed record EntraSettings
{
    /// <summary>What <c>--help</c> says.</summary>
    public const string Help = """
          --entra TENANT --entra-audience AUDIENCE accepts tokens of Microsoft Entra beside the key or in its place; TENANT may also be the
          whole address of an authority.
        """;

    private const string Cloud = "https://login.microsoftonline.com/";

    /// <summary>Where its metadata is, without <c>/.well-known/…</c>; https, or http on this machine.</summary>
    public required Uri Authority { get; init; }

    /// <summary>What tokens must be made for: the application's id, or its address such as <c>api://heartbeats</c>.</summary>
    public required string Audience { get; init; }

    /// <summary>The options this reads.</summary>
    public static bool IsOption(string name) => name is "--entra" or "--entra-audience";

    /// <summary>Puts the options together; null without a problem = neither was named.</summary>
    /// <param name="options">Values by name.</param>
    /// <param name="problem">What is wrong, in one line; empty = nothing.</param>
    public static EntraSettings? TryRead(IReadOnlyDictionary<string, string> options, out string problem)
    {
        ArgumentNullException.ThrowIfNull(options);
        problem = "";
        bool hasTenant = options.TryGetValue("--entra", out string? tenant);
        bool hasAudience = options.TryGetValue("--entra-audience", out string? audience);
        if (!hasTenant && !hasAudience)
        {
            return null;
        }

        if (!hasTenant || string.IsNullOrWhiteSpace(audience))
        {
            problem = "--entra TENANT and --entra-audience AUDIENCE go together";
            return null;
        }

        // Tokens of the shared authorities come from any tenant in the world.
        bool isTenant = tenant!.Length is > 0 and <= 128 && tenant.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '.')
            && tenant is not ("common" or "organizations" or "consumers");
        bool isAddress = Uri.TryCreate(isTenant ? $"{Cloud}{tenant}/v2.0" : tenant, UriKind.Absolute, out Uri? authority)
            && (authority.Scheme == "https" || (authority.Scheme == "http" && authority.IsLoopback))
            && authority.UserInfo.Length == 0 && authority.Query.Length == 0;
        problem = isAddress ? "" : "--entra takes one tenant's id or domain, or the https:// address of an authority";
        return isAddress ? new EntraSettings { Authority = authority!, Audience = audience } : null;
    }
}
