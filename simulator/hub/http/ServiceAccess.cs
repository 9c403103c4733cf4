using System.Text;
using Microsoft.AspNetCore.Http;

namespace Agent.Hub;

/// <summary>Whether a request may do what it asks: <c>Authorization: SharedAccessSignature …</c>, signed with a policy's key.</summary>
/// <remarks>
/// An expired token is accepted for five minutes more, as the vendor's clients see it on HTTP (facts/iothub.md §1.4,
/// azure-iot-sdk-csharp issue 565): clocks differ. The answer says what is wrong with the credential and never repeats any of it.
/// </remarks>
internal static class ServiceAccess
{
    /// <summary>How long ago a token may have expired, in seconds.</summary>
    public const long ExpirySlackSeconds = 300;

    /// <summary>Null = allowed. <paramref name="path"/>: decoded, from the first slash, without the last.</summary>
    public static HubError? Refusal(HttpRequest request, Registry registry, string path, AccessRights right, long utcMs)
    {
        if (request.Headers.Authorization.Count > 1)
        {
            return HttpErrors.Unauthorized("more than one Authorization header");
        }

        string token = request.Headers.Authorization.ToString();
        if (token.Length > 0 && !token.StartsWith("SharedAccessSignature ", StringComparison.Ordinal))
        {
            return HttpErrors.Unauthorized("this hub knows shared access signatures only: SharedAccessSignature sr=…&sig=…&se=…&skn=…");
        }

        SasVerdict verdict = SasVerifier.VerifyService(Encoding.UTF8.GetBytes(token), registry, Encoding.UTF8.GetBytes(path), right);
        return !verdict.IsAccepted ? HttpErrors.Unauthorized(Describe(verdict.Fault))
            : utcMs / 1000 > verdict.ExpirySeconds + ExpirySlackSeconds ? HttpErrors.Unauthorized("the token has expired")
            : null;
    }

    /// <summary>
    /// Null = the query names a version in the form of one: a date, and perhaps <c>-preview</c>. Which ones the cloud serves
    /// changes; a client that works with any of them is to work here.
    /// </summary>
    public static HubError? VersionRefusal(HttpRequest request)
    {
        string version = request.Query["api-version"].ToString();
        string date = version.EndsWith("-preview", StringComparison.Ordinal) ? version[..^"-preview".Length] : version;
        return DateOnly.TryParseExact(date, "yyyy-MM-dd", out _)
            ? null
            : HttpErrors.InvalidProtocolVersion("The query must say api-version=YYYY-MM-DD, for example 2021-04-12.");
    }

    private static string Describe(CredentialFault fault) => fault switch
    {
        CredentialFault.Missing => "no Authorization header",
        CredentialFault.Malformed => "the Authorization header is not a well-formed SAS token",
        CredentialFault.WrongDevice => "the token's sr does not cover this path",
        _ => SasVerifier.Describe(fault),
    };
}
