using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Primitives;

namespace Agent.Service;

/// <summary>The key callers must present. It is kept as a hash, so that no dump, log or exception text can show it.</summary>
public sealed class AccessKey
{
    /// <summary>Shorter keys can be guessed.</summary>
    public const int LengthMin = 16;

    private const int LengthMax = 1024;
    private const string Bearer = "Bearer ";

    private readonly byte[] hash;

    private AccessKey(byte[] hash) => this.hash = hash;

    /// <summary>A key of 16 to 1024 characters; null = it is none.</summary>
    public static AccessKey? Of(string? text) =>
        text is { Length: >= LengthMin and <= LengthMax } ? new AccessKey(SHA256.HashData(Encoding.UTF8.GetBytes(text))) : null;

    /// <summary>
    /// Whether a request presents the key: in <c>Authorization: Bearer</c>, in <c>x-agent-key</c> (Event Grid can add a secret header
    /// to its deliveries, facts/iothub.md §4), or, for webhooks only, as <c>?key=</c>.
    /// </summary>
    public bool IsPresentedBy(HttpRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (PresentedBy(request) is { } presented)
        {
            return Is(presented);
        }

        bool isWebhook = request.Path.StartsWithSegments("/events", StringComparison.Ordinal)
            || request.Path.StartsWithSegments("/logs", StringComparison.Ordinal);
        return isWebhook && request.Query.TryGetValue("key", out StringValues query) && Is(query);
    }

    /// <summary>What a request presents in its headers, be it a key or a token; null = nothing.</summary>
    public static string? PresentedBy(HttpRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        string? authorization = request.Headers.Authorization;
        return authorization is not null && authorization.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase)
            ? authorization[Bearer.Length..]
            : request.Headers.TryGetValue("x-agent-key", out StringValues header) ? header.ToString() : null;
    }

    // Hashes are of one length, and comparing them takes the same time wherever they differ.
    private bool Is(string? presented) =>
        presented is { Length: <= LengthMax }
        && CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(presented)), hash);
}
