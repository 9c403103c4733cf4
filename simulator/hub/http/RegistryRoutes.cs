using System.Globalization;

namespace Agent.Hub;

/// <summary>Identities over HTTPS: one at a time, all of a hub or of a device, and how many there are (facts/iothub.md §7).</summary>
/// <remarks>
/// A PUT without <c>If-Match</c> creates, one with it changes: that is how the cloud and its SDKs tell the two apart. Whoever may
/// change identities may also see them, keys included, so a change asks for both rights.
/// </remarks>
internal static class RegistryRoutes
{
    /// <summary>Devices in one answer, and the default of <c>top</c> (the vendor's page).</summary>
    private const int TopMax = 1000;

    private const AccessRights ReadWrite = AccessRights.RegistryRead | AccessRights.RegistryWrite;

    public static IReadOnlyList<HttpRoute> All { get; } =
    [
        Read("/devices", "List devices: ?top=1..1000", ListAsync),
        new("POST", "/devices", "Create, change or delete up to 100 identities", BulkRoute.RunAsync)
        {
            Right = ReadWrite,
            BodyLengthMax = BulkRoute.BodyLengthMax,
        },
        .. OfOne("/devices/{id}", "an identity"),
        Read("/devices/{id}/modules", "List a device's modules", ListModulesAsync),
        .. OfOne("/devices/{id}/modules/{mid}", "a module"),
        Read("/statistics/devices", "How many devices there are, enabled and disabled", CountDevicesAsync),
        Read("/statistics/service", "How many are connected", CountConnectedAsync),
    ];

    /// <summary>Devices, without modules and without those deleted.</summary>
    public static IEnumerable<Device> DevicesOf(HubServer hub) =>
        hub.Registry.Devices.Where(device => !device.IsDeleted && device.ModuleId is null);

    private static HttpRoute Read(string path, string summary, Func<HttpCall, Task<HttpAnswer>> handle) =>
        new("GET", path, summary, handle) { Right = AccessRights.RegistryRead, Throttle = ThrottleKind.Registry };

    private static IEnumerable<HttpRoute> OfOne(string path, string what) =>
    [
        Read(path, $"Show {what}, with its keys", GetAsync),
        new("PUT", path, $"Create {what}; with If-Match (etag or *): change it", PutAsync)
        {
            Right = ReadWrite,
            BodyLengthMax = IdentityReader.BodyLengthMax,
        },
        new("DELETE", path, $"Delete {what}; If-Match: etag or *", DeleteAsync) { Right = ReadWrite },
    ];

    private static Task<HttpAnswer> ListAsync(HttpCall call)
    {
        string text = call.Context.Request.Query["top"].ToString();
        int top = TopMax;
        if (text.Length > 0
            && !(int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out top) && top is >= 1 and <= TopMax))
        {
            return Refuse(HubError.ArgumentInvalid($"top must be a whole number from 1 to {TopMax}"));
        }

        return List(call, DevicesOf(call.Hub).Take(top));
    }

    private static Task<HttpAnswer> ListModulesAsync(HttpCall call) => call.TryFind(out Device? device, out HubError? error)
        ? List(call, call.Hub.Registry.ModulesOf(device.Id))
        : Refuse(error);

    private static Task<HttpAnswer> List(HttpCall call, IEnumerable<Device> devices) => Task.FromResult(HttpAnswer.Json(writer =>
    {
        writer.WriteStartArray();
        foreach (Device device in devices)
        {
            IdentityJson.Write(writer, call.Hub, device);
        }

        writer.WriteEndArray();
    }));

    private static Task<HttpAnswer> GetAsync(HttpCall call) => call.TryFind(out Device? device, out HubError? error)
        ? Task.FromResult(Shown(call, device))
        : Refuse(error);

    private static async Task<HttpAnswer> PutAsync(HttpCall call)
    {
        if (!IdentityReader.TryParse(call.Body, call.DeviceId, call.ModuleId, out IdentityDraft? draft, out HubError? error))
        {
            return error!;
        }

        HubAnswer<Device> done = await (call.IfMatch is { } eTag
            ? call.Hub.UpdateAsync(draft!, eTag)
            : call.Hub.CreateAsync(draft!)).ConfigureAwait(false);
        return done.Error is { } refusal ? refusal : Shown(call, done.Value!);
    }

    private static async Task<HttpAnswer> DeleteAsync(HttpCall call) =>
        !call.TryFind(out Device? device, out HubError? error) ? error
        : await call.Hub.DeleteAsync(device, call.IfMatch).ConfigureAwait(false) is { } refusal ? refusal
        : HttpAnswer.NoContent;

    private static Task<HttpAnswer> CountDevicesAsync(HttpCall call)
    {
        int total = 0, disabled = 0;
        foreach (Device device in DevicesOf(call.Hub))
        {
            total++;
            disabled += device.IsEnabled ? 0 : 1;
        }

        return Task.FromResult(HttpAnswer.Json(writer =>
        {
            writer.WriteStartObject();
            writer.WriteNumber("totalDeviceCount", total);
            writer.WriteNumber("enabledDeviceCount", total - disabled);
            writer.WriteNumber("disabledDeviceCount", disabled);
            writer.WriteEndObject();
        }));
    }

    private static Task<HttpAnswer> CountConnectedAsync(HttpCall call) => Task.FromResult(HttpAnswer.Json(writer =>
    {
        writer.WriteStartObject();
        writer.WriteNumber("connectedDeviceCount", call.Hub.ConnectedCount);
        writer.WriteEndObject();
    }));

    private static HttpAnswer Shown(HttpCall call, Device device) =>
        HttpAnswer.Json(writer => IdentityJson.Write(writer, call.Hub, device), device.ETag);

    private static Task<HttpAnswer> Refuse(HubError error) => Task.FromResult<HttpAnswer>(error);
}
