using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Agent.Real;
using MQTTnet;
using MQTTnet.Formatter;
using MQTTnet.Protocol;

// Drives bare MQTTnet: a genuine MQTT stack that knows nothing of IoT Hub. What an SDK would do, this application does, the
// way the embedded C library's samples suggest it: a new token for every connection, no renewal, ten seconds of patience
// after every loss. That makes it the genuine counterpart of the simulator's embedded-c model.

const int KeepAliveSeconds = 240;
TimeSpan patience = TimeSpan.FromSeconds(10);

if (DriverOptions.Read(args) is not { } options)
{
    return 2;
}

Dictionary<string, string> parts = options.ConnectionString.Split(';', StringSplitOptions.RemoveEmptyEntries)
    .Select(part => part.Split('=', 2)).Where(part => part.Length == 2).ToDictionary(part => part[0], part => part[1]);
if (!parts.TryGetValue("HostName", out string? hub) || !parts.TryGetValue("DeviceId", out string? device)
    || !parts.TryGetValue("SharedAccessKey", out string? key))
{
    Console.Error.WriteLine("driver: --connection-string needs HostName, DeviceId and SharedAccessKey");
    return 2;
}

string[] gateway = parts.GetValueOrDefault("GatewayHostName", hub).Split(':', 2);
string host = gateway[0];
int port = gateway.Length == 2 ? int.Parse(gateway[1], CultureInfo.InvariantCulture) : 8883;
string[] topics = [.. Topics()];

using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(options.Seconds));
Console.CancelKeyPress += (_, press) =>
{
    press.Cancel = true;
    stop.Cancel();
};
using IMqttClient client = new MqttClientFactory().CreateMqttClient();
_ = options.SendHeartbeatsAsync(SendAsync, stop.Token);
try
{
    while (true)
    {
        await LiveOnceAsync();
        await Task.Delay(patience, stop.Token);
    }
}
catch (OperationCanceledException)
{
    DriverOptions.Say("stopping");
}

await client.TryDisconnectAsync();
DriverOptions.Say("closed");
return 0;

// One connection from its CONNECT to its end.
async Task LiveOnceAsync()
{
    var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    Task OnEnded(MqttClientDisconnectedEventArgs why)
    {
        DriverOptions.Say("disconnected", ("reason", why.Reason.ToString()));
        ended.TrySetResult();
        return Task.CompletedTask;
    }

    client.DisconnectedAsync += OnEnded;
    try
    {
        MqttClientConnectResult result = await client.ConnectAsync(Describe(), stop.Token);
        if (result.ResultCode != MqttClientConnectResultCode.Success)
        {
            DriverOptions.Say("error", ("during", "connect"), ("message", result.ResultCode.ToString()));
            return;
        }

        DriverOptions.Say("connected");
        foreach (string topic in topics)
        {
            await client.SubscribeAsync(topic, MqttQualityOfServiceLevel.AtLeastOnce, stop.Token);
        }

        await ended.Task.WaitAsync(stop.Token);
    }
    catch (Exception problem) when (problem is not OperationCanceledException)
    {
        DriverOptions.Say("error", ("during", "connect"), ("message", problem.Message));
    }
    finally
    {
        client.DisconnectedAsync -= OnEnded;
    }
}

MqttClientOptions Describe() => new MqttClientOptionsBuilder()
    .WithProtocolVersion(MqttProtocolVersion.V311)
    .WithTcpServer(host, port)
    .WithTlsOptions(tls => tls.UseTls().WithTargetHost(host).WithCertificateValidationHandler(
        peer => options.IsTrusted(peer.Certificate, peer.SslPolicyErrors)))
    .WithClientId(device)
    .WithCleanSession(false)
    .WithKeepAlivePeriod(TimeSpan.FromSeconds(KeepAliveSeconds))
    .WithCredentials($"{hub}/{device}/?api-version=2020-09-30&DeviceClientType=azsdk-c%2F1.6.0", Token())
    .Build();

string Token()
{
    string resource = Uri.EscapeDataString($"{hub}/devices/{device}");
    long expiry = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + (options.LifetimeSeconds ?? 3600);
    byte[] signature = HMACSHA256.HashData(
        Convert.FromBase64String(key), Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{resource}\n{expiry}")));
    string sig = Uri.EscapeDataString(Convert.ToBase64String(signature));
    return string.Create(CultureInfo.InvariantCulture, $"SharedAccessSignature sr={resource}&sig={sig}&se={expiry}");
}

IEnumerable<string> Topics()
{
    foreach (string feature in options.Features)
    {
        switch (feature)
        {
            case "methods":
                yield return "$iothub/methods/POST/#";
                break;
            case "c2d":
                yield return $"devices/{device}/messages/devicebound/#";
                break;
            default:
                yield return "$iothub/twin/res/#";
                yield return "$iothub/twin/PATCH/properties/desired/#";
                break;
        }
    }
}

async Task SendAsync(int number)
{
    string topic = string.Create(CultureInfo.InvariantCulture, $"devices/{device}/messages/events/type=heartbeat&sequence={number}");
    await client.PublishBinaryAsync(topic, [], MqttQualityOfServiceLevel.AtLeastOnce, false, stop.Token);
}
