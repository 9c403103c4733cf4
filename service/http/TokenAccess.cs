using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Protocols;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;
using Microsoft.IdentityModel.Tokens;

namespace Agent.Service;

/// <summary>What a caller may do: application roles of Entra, each with its name in a token.</summary>
[Flags]
public enum AccessRoles
{
    None = 0,

    /// <summary><c>Facts.Write</c>: the two webhooks; for Event Grid and the log forwarder.</summary>
    WriteFacts = 1,

    /// <summary><c>Checker.Read</c>: every question.</summary>
    Read = 2,

    /// <summary><c>Checker.Operate</c>: questions, and what a person may do: acknowledge, test, examine.</summary>
    Operate = 4,
}

/// <summary>What a token is worth.</summary>
public enum TokenVerdict
{
    Accepted,

    /// <summary>Not one of ours, or not any more.</summary>
    Rejected,

    /// <summary>Ours, but without the role that is needed here.</summary>
    LacksRole,

    /// <summary>The authority's keys cannot be had at present.</summary>
    Unavailable,
}

/// <summary>Checks tokens of Microsoft Entra: issuer, audience, signature, lifetime, roles.</summary>
/// <remarks>
/// The library checks, with keys and issuer from the authority's own metadata, and fetches those anew when a key is rotated. Named here is
/// what it must not leave open: asymmetric algorithms only, so that nobody signs with the public key as a password or not at all, and an
/// expiry there must be. A token that was good is known by its hash until it ends, so that the next request costs no signature; anything
/// unknown must first get past <paramref name="strangers"/>, or checking would be a way to keep this machine busy.
/// </remarks>
public sealed class TokenAccess(EntraSettings settings, RateLimit strangers, TimeProvider time)
{
    private const int KnownMax = 1024;
    private const int TokenLengthMax = 12 * 1024;
    private static readonly TimeSpan Skew = TimeSpan.FromMinutes(2);

    private readonly ConcurrentDictionary<Hash, (AccessRoles Roles, DateTimeOffset Until)> known = [];
    private readonly JsonWebTokenHandler handler = new() { MapInboundClaims = false, MaximumTokenSizeInBytes = TokenLengthMax };
    private readonly ConfigurationManager<OpenIdConnectConfiguration> metadata = new(
        settings.Authority.AbsoluteUri.TrimEnd('/') + "/.well-known/openid-configuration",
        new OpenIdConnectConfigurationRetriever(),
        new HttpDocumentRetriever(new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false })
        {
            Timeout = TimeSpan.FromSeconds(10),
            MaxResponseContentBufferSize = 1 << 20,
        })
        {
            RequireHttps = settings.Authority.Scheme == "https",
        });

    /// <summary>Whether a credential has the form of a token: three parts with points between.</summary>
    public static bool IsToken(string? credential) =>
        credential is { Length: > 16 and <= TokenLengthMax } && credential.Count(letter => letter == '.') == 2;

    /// <summary>Checks a token against what is needed; any one of the roles will do.</summary>
    public async Task<TokenVerdict> CheckAsync(string token, AccessRoles needed, CancellationToken cancellation)
    {
        var hash = new Hash(SHA256.HashData(Encoding.UTF8.GetBytes(token)));
        if (!known.TryGetValue(hash, out (AccessRoles Roles, DateTimeOffset Until) entry) || entry.Until <= time.GetUtcNow())
        {
            known.TryRemove(hash, out _);
            if (!strangers.TryTake())
            {
                return TokenVerdict.Unavailable;
            }

            try
            {
                await metadata.GetConfigurationAsync(cancellation);
            }
            catch (InvalidOperationException)
            {
                return TokenVerdict.Unavailable;
            }

            TokenValidationResult result = await handler.ValidateTokenAsync(token, Parameters());
            if (!result.IsValid)
            {
                return TokenVerdict.Rejected;
            }

            entry = (RolesOf(result), result.SecurityToken.ValidTo);
            if (known.Count >= KnownMax)
            {
                known.Clear(); // Rare, and costs everybody one signature.
            }

            known[hash] = entry;
        }

        return (entry.Roles & needed) != 0 ? TokenVerdict.Accepted : TokenVerdict.LacksRole;
    }

    private TokenValidationParameters Parameters() => new()
    {
        ConfigurationManager = metadata,
        ValidAudience = settings.Audience,
        ValidAlgorithms = [SecurityAlgorithms.RsaSha256, SecurityAlgorithms.RsaSsaPssSha256, SecurityAlgorithms.EcdsaSha256],
        RequireSignedTokens = true,
        RequireExpirationTime = true,
        LifetimeValidator = (from, until, _, _) =>
            until is { } end && time.GetUtcNow() < end + Skew && (from is not { } start || time.GetUtcNow() >= start - Skew),
    };

    private static AccessRoles RolesOf(TokenValidationResult result)
    {
        AccessRoles roles = AccessRoles.None;
        foreach (string role in result.ClaimsIdentity.FindAll("roles").Select(claim => claim.Value))
        {
            roles |= role switch
            {
                "Facts.Write" => AccessRoles.WriteFacts,
                "Checker.Read" => AccessRoles.Read,
                "Checker.Operate" => AccessRoles.Operate,
                _ => AccessRoles.None,
            };
        }

        return roles;
    }

    // Compared whole: 256 bits of a hash are the token, as far as anybody can tell.
    private readonly record struct Hash(ulong A, ulong B, ulong C, ulong D)
    {
        public Hash(byte[] bytes)
            : this(
                BitConverter.ToUInt64(bytes, 0), BitConverter.ToUInt64(bytes, 8),
                BitConverter.ToUInt64(bytes, 16), BitConverter.ToUInt64(bytes, 24))
        {
        }
    }
}
