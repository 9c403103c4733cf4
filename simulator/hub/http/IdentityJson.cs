using System.Text.Json;

namespace Agent.Hub;

/// <summary>An identity as the cloud shows it (facts/iothub.md §7, and the models of azure-iothub). Holds the keys.</summary>
internal static class IdentityJson
{
    /// <summary>Writes the object of a device or of a module.</summary>
    public static void Write(Utf8JsonWriter writer, HubServer hub, Device device)
    {
        ConnectionView view = hub.ViewOf(device);
        writer.WriteStartObject();
        if (device.ModuleId is { } module)
        {
            writer.WriteString("moduleId", module);
            writer.WriteString("managedBy", device.ManagedBy);
        }

        writer.WriteString("deviceId", device.Id);
        writer.WriteString("generationId", device.GenerationId);
        writer.WriteString("etag", device.ETag);
        writer.WriteString("connectionState", view.IsConnected ? "Connected" : "Disconnected");
        if (device.ModuleId is null)
        {
            writer.WriteString("status", device.IsEnabled ? "enabled" : "disabled");
            writer.WriteString("statusReason", device.StatusReason);
            writer.WriteString("statusUpdatedTime", UtcText.Of(device.StatusUpdatedUtcMs));
        }

        writer.WriteString("connectionStateUpdatedTime", UtcText.Of(view.UpdatedUtcMs));
        writer.WriteString("lastActivityTime", UtcText.Of(view.LastActivityUtcMs));
        writer.WriteNumber("cloudToDeviceMessageCount", view.CommandCount);
        WriteAuthentication(writer, device);
        if (device.ModuleId is null)
        {
            WriteEdge(writer, device);
        }

        writer.WriteEndObject();
    }

    private static void WriteAuthentication(Utf8JsonWriter writer, Device device)
    {
        bool hasKeys = device.Authentication == AuthenticationType.Sas;
        writer.WriteStartObject("authentication");
        writer.WriteStartObject("symmetricKey");
        writer.WriteString("primaryKey", hasKeys ? Convert.ToBase64String(device.PrimaryKey) : null);
        writer.WriteString("secondaryKey", hasKeys ? Convert.ToBase64String(device.SecondaryKey) : null);
        writer.WriteEndObject();
        writer.WriteStartObject("x509Thumbprint");
        writer.WriteString("primaryThumbprint", device.PrimaryThumbprint);
        writer.WriteString("secondaryThumbprint", device.SecondaryThumbprint);
        writer.WriteEndObject();
        writer.WriteString("type", device.Authentication.Name());
        writer.WriteEndObject();
    }

    private static void WriteEdge(Utf8JsonWriter writer, Device device)
    {
        writer.WriteStartObject("capabilities");
        writer.WriteBoolean("iotEdge", device.IsEdge);
        writer.WriteEndObject();
        if (device.IsEdge)
        {
            writer.WriteString("deviceScope", $"ms-azure-iot-edge://{device.Id}-{device.GenerationId}");
            writer.WriteStartArray("parentScopes");
            writer.WriteEndArray();
        }
    }
}
