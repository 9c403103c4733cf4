using System.Globalization;
using System.Text;
using Agent.Real;
using Microsoft.Azure.Devices.Client;
using Microsoft.Azure.Devices.Shared;

// Drives the genuine Microsoft.Azure.Devices.Client over MQTT. It can dial no other port than 8883, so the hub must be there;
// our CA is trusted by the transport's own validation callback.

if (DriverOptions.Read(args) is not { } options)
{
    return 2;
}

var transport = new MqttTransportSettings(TransportType.Mqtt_Tcp_Only)
{
    RemoteCertificateValidationCallback = (_, certificate, _, errors) => options.IsTrusted(certificate, errors),
};
var settings = new ClientOptions();
if (options.LifetimeSeconds is { } lifetime)
{
    settings.SasTokenTimeToLive = TimeSpan.FromSeconds(lifetime);
    if (options.MarginSeconds is { } margin)
    {
        settings.SasTokenRenewalBuffer = (int)Math.Round(100 * margin / lifetime);
    }
}

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, press) =>
{
    press.Cancel = true;
    stop.Cancel();
};
using DeviceClient client = DeviceClient.CreateFromConnectionString(options.ConnectionString, [transport], settings);
client.SetConnectionStatusChangesHandler((status, reason) => DriverOptions.Say(
    status == ConnectionStatus.Connected ? "connected" : "disconnected",
    ("status", status.ToString()), ("reason", reason.ToString())));
await client.OpenAsync(stop.Token);
DriverOptions.Say("opened");
await SwitchOnAsync();
stop.CancelAfter(TimeSpan.FromSeconds(options.Seconds));
try
{
    await Task.WhenAll(options.SendHeartbeatsAsync(SendAsync, stop.Token), Task.Delay(Timeout.Infinite, stop.Token));
}
catch (OperationCanceledException)
{
    DriverOptions.Say("stopping");
}

await client.CloseAsync();
DriverOptions.Say("closed");
return 0;

async Task SwitchOnAsync()
{
    if (options.Features.Contains("c2d"))
    {
        await client.SetReceiveMessageHandlerAsync(
            async (message, _) =>
            {
                DriverOptions.Say("message", ("length", message.GetBytes().Length));
                await client.CompleteAsync(message);
            },
            null,
            stop.Token);
    }

    if (options.Features.Contains("methods"))
    {
        await client.SetMethodDefaultHandlerAsync(
            (request, _) =>
            {
                DriverOptions.Say("method", ("name", request.Name));
                return Task.FromResult(new MethodResponse(Encoding.UTF8.GetBytes("null"), 200));
            },
            null,
            stop.Token);
    }

    if (options.Features.Contains("twin"))
    {
        Twin twin = await client.GetTwinAsync(stop.Token);
        DriverOptions.Say("twin", ("desiredVersion", twin.Properties.Desired.Version));
        await client.SetDesiredPropertyUpdateCallbackAsync(
            (desired, _) =>
            {
                DriverOptions.Say("desired", ("version", desired.Version));
                return Task.CompletedTask;
            },
            null,
            stop.Token);
    }
}

async Task SendAsync(int number)
{
    using var message = new Message([]);
    message.Properties.Add("type", "heartbeat");
    message.Properties.Add("sequence", number.ToString(CultureInfo.InvariantCulture));
    await client.SendEventAsync(message, stop.Token);
}
