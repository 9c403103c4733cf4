using System.Text;
using System.Text.Json;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>What an operator does to a hub's first device: desired.agent, what came back in reported, direct methods.</summary>
internal sealed class ServiceSide(HubRig hub)
{
    private readonly Device device = hub.Server.Registry.Devices[0];

    /// <summary>Sets members of desired.agent; the answer is the new desired version.</summary>
    public async Task<long> ChangeAsync(string agentMembers)
    {
        byte[] patch = Encoding.UTF8.GetBytes($"{{\"properties\":{{\"desired\":{{\"agent\":{agentMembers}}}}}}}");
        HubAnswer<Twin> answer = await hub.Server.ChangeTwinAsync(device, patch, null, replace: false);
        Assert.Null(answer.Error);
        return answer.Value!.DesiredVersion;
    }

    /// <summary>A section of reported properties; Undefined when there is none.</summary>
    public JsonElement Reported(string section)
    {
        JsonElement twin = JsonDocument.Parse(hub.Server.TwinOf(device).DeviceJson()).RootElement;
        return twin.GetProperty("reported").TryGetProperty(section, out JsonElement found) ? found : default;
    }

    /// <summary>Waits for the acknowledgement of a desired version with a code; answers with all of reported.agent.</summary>
    public async Task<JsonElement> AcknowledgedAsync(int code, long version, int seconds = 60)
    {
        JsonElement seen = default;
        await HubRig.WaitAsync(
            () =>
            {
                seen = Reported("agent");
                return seen.ValueKind == JsonValueKind.Object
                    && seen.GetProperty("ac").GetInt32() == code && seen.GetProperty("av").GetInt64() == version;
            },
            seconds);
        Assert.True(seen.ValueKind == JsonValueKind.Object, "nothing was reported");
        Assert.Equal((code, version), (seen.GetProperty("ac").GetInt32(), seen.GetProperty("av").GetInt64()));
        return seen;
    }

    /// <summary>Calls a method, waiting for a device that is just renewing.</summary>
    public async Task<(int Status, JsonElement Body)> CallAsync(string method, string payload = "{}")
    {
        MethodRequest request = new(method, Encoding.UTF8.GetBytes(payload), 30, 30);
        MethodOutcome outcome = await hub.Server.CallAsync(device, request, TestContext.Current.CancellationToken);
        Assert.Null(outcome.Error);
        JsonElement body = JsonDocument.Parse(outcome.Body()).RootElement;
        return (outcome.Status, body.TryGetProperty("payload", out JsonElement found) ? found : default);
    }
}
