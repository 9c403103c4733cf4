using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>The errors only HTTP has, and the two forms in which the cloud words any error.</summary>
/// <remarks>
/// <para>The problem: real answers come in two forms. Identities, twins and queries say <c>{"Message":"ErrorCode:DeviceNotFound;text",
/// "ExceptionMessage":"Tracking ID:…-G:0-TimeStamp:08/15/2026 09:07:13"}</c> (ErrorPayload2 of azure-iot-sdk-csharp, answers quoted in
/// azure-iot-sdks issue 711 and azure-iot-sdk-java issue 1108); direct methods put a whole JSON document with the number into
/// <c>Message</c> (ErrorPayload1 there, facts/iothub.md §7).</para>
/// <para>The rule: each route answers in its own form. It matters: the npm package <c>azure-iothub</c> understands only the first and
/// makes its typed errors (<c>DeviceNotFoundError</c>) from it; with the second it says "Not found" (azure-iot-sdk-node issue 971).
/// The .NET SDK reads both, and everybody the header <c>iothub-errorcode</c>.</para>
/// </remarks>
internal static class HttpErrors
{
    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>401 whatever is wrong with the credential; the text says what.</summary>
    public static HubError Unauthorized(string why) => new(401002, "IotHubUnauthorizedAccess", "Unauthorized: " + why);

    public static HubError InvalidProtocolVersion(string why) => new(400001, "InvalidProtocolVersion", why);

    public static HubError NotFound() => new(404000, "GenericNotFound", "There is nothing at this path. GET /local lists what there is.");

    public static HubError MethodNotAllowed(string allowed) =>
        new(405000, "GenericMethodNotAllowed", $"Nothing at this path answers this method; it answers {allowed}.");

    public static HubError BodyTooLarge(int max) => HubError.MessageTooLarge($"The body is longer than {max} bytes.");

    /// <summary>The client took longer over its body than the server waits.</summary>
    public static HubError BodyTooSlow() => new(408000, "RequestTimedOut", "The body did not arrive in time.");

    public static HubError LockLost() =>
        new(412002, "DeviceMessageLockLost", "The lock token is not known, or its lock has ended.");

    /// <summary>Something in here went wrong; the client learns only what kind of thing.</summary>
    public static HubError ServerError(Exception exception) =>
        HubError.ServerError($"The hub failed while answering ({exception.GetType().Name}).");

    /// <summary>A fresh name for one error, in the cloud's form.</summary>
    public static string TrackingId(long utcMs) => string.Create(
        CultureInfo.InvariantCulture,
        $"{Guid.NewGuid():N}-G:0-TimeStamp:{DateTime.UnixEpoch.AddMilliseconds(utcMs):MM/dd/yyyy HH:mm:ss}");

    /// <summary>The first form.</summary>
    public static byte[] Body(HubError error, string trackingId)
    {
        // Clients cut at the next semicolon. An id may contain one, but none with a blank behind it.
        string text = error.Text.Replace("; ", ", ", StringComparison.Ordinal);
        return Encoding.UTF8.GetBytes(JsonSerializer.Serialize(
            new { Message = $"ErrorCode:{error.Name};{text}", ExceptionMessage = "Tracking ID:" + trackingId }, Relaxed));
    }
}
