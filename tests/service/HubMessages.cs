using System.Globalization;
using System.Text;

namespace Agent.Tests.Service;

/// <summary>Event Grid bodies in the vendor's documented shape, written as text so that no reader of ours helped to make them.</summary>
internal static class HubMessages
{
    public static readonly DateTimeOffset Start = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    public static long StartMs => Start.ToUnixTimeMilliseconds();

    public static string Moment(double secondsFromStart) =>
        Start.AddSeconds(secondsFromStart).ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", CultureInfo.InvariantCulture);

    public static string Heartbeat(string device, double at, string seq = "1", string interval = "60", string? renewal = "3000")
    {
        string planned = renewal is null ? "" : $$""", "renewal": "{{renewal}}" """;
        return Telemetry(device, at, $$"""{ "type": "heartbeat", "seq": "{{seq}}", "interval": "{{interval}}"{{planned}} }""");
    }

    public static string Telemetry(string device, double at, string properties = "{}") => $$"""
        {
          "id": "9af86784-8d40-fe2g-8b2a-bab65e106785",
          "topic": "/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/H",
          "subject": "devices/{{device}}",
          "eventType": "Microsoft.Devices.DeviceTelemetry",
          "eventTime": "{{Moment(at)}}",
          "data": {
            "body": "",
            "properties": {{properties}},
            "systemProperties": {
              "iothub-connection-device-id": "{{device}}",
              "iothub-connection-auth-method": "{\"scope\":\"device\",\"type\":\"sas\",\"issuer\":\"iothub\"}",
              "iothub-connection-auth-generation-id": "637000000000000000",
              "iothub-enqueuedtime": "{{Moment(at)}}",
              "iothub-message-source": "Telemetry"
            }
          },
          "dataVersion": "",
          "metadataVersion": "1"
        }
        """;

    public static string Connection(string device, bool connected, double at, int order) => $$"""
        {
          "id": "fbfd8ee1-cf78-74c6-dbcf-e1c58638ccbd",
          "topic": "/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/H",
          "subject": "devices/{{device}}",
          "eventType": "Microsoft.Devices.Device{{(connected ? "Connected" : "Disconnected")}}",
          "eventTime": "{{Moment(at)}}",
          "data": {
            "deviceConnectionStateEventInfo": {
              "sequenceNumber": "000000000000000001D4132452F67CE20000000200000000000000{{order:X10}}"
            },
            "hubName": "H",
            "deviceId": "{{device}}"
          },
          "dataVersion": "1",
          "metadataVersion": "1"
        }
        """;

    public static byte[] Batch(params string[] events) => Encoding.UTF8.GetBytes("[" + string.Join(",\n", events) + "]");
}
