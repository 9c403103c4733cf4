using System.Globalization;
using System.Net;
using Agent.Load;
using Agent.Real;
using Agent.Wire;

// A fleet of bare MQTTnet clients for `bench peers`, which starts this with the arguments of its own fleets and gives it the same
// orders: warm, connect, send, pump, settle, leave.

string? Value(string name)
{
    int at = Array.IndexOf(args, name);
    return at >= 0 && at + 1 < args.Length ? args[at + 1] : null;
}

if (Value("--port") is not { } port || Value("--ca") is not { } authority)
{
    Console.Error.WriteLine("fleet: needs --port and --ca; `bench peers` starts it");
    return 2;
}

var remote = new IPEndPoint(IPAddress.Loopback, int.Parse(port, CultureInfo.InvariantCulture));
var unused = new TlsClient("localhost");
LoadTarget target = Value("--connection-strings") is { } file
    ? LoadTarget.FromFile(remote, unused, file)
    : LoadTarget.Open(remote, unused, int.Parse(Value("--count") ?? "1", CultureInfo.InvariantCulture));
var fleet = new MqttnetFleet(target, authority);
using var parent = new ChildText();
parent.Say(new { devices = target.Count });
while (await parent.NextAsync() is { } order)
{
    parent.Say(await ObeyAsync(order));
}

return 0;

double Number(string word) => double.Parse(word, CultureInfo.InvariantCulture);

async Task<object> ObeyAsync(string[] order)
{
    fleet.Restart();
    int failed = 0;
    long sent = 0;
    long unsent = 0;
    switch (order[0])
    {
        case "warm":
            failed = await fleet.ConnectAsync(Math.Min((int)Number(order[1]), target.Count), (int)Number(order[2]));
            await fleet.LeaveAsync();
            break;
        case "connect":
            failed = await fleet.ConnectAsync((int)Number(order[2]), (int)Number(order[3]));
            break;
        case "send":
            (sent, unsent) = await fleet.SendAsync(Number(order[1]), Number(order[2]));
            break;
        case "pump":
            sent = await fleet.PumpAsync((int)Number(order[1]), (int)Number(order[2]), Number(order[3]));
            break;
        case "leave":
            await fleet.LeaveAsync();
            break;
        case "settle":
            ProcessFigures.Settle();
            break;
    }

    return PeerAnswer.Of(new { sent, unsent, failed }, fleet.OpenCount, fleet.Acknowledgements, fleet.Lag);
}
