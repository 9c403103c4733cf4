using System.Globalization;
using Agent.Tests.Flooding;

// Everything a stranger without a key can do to a hub on this machine, for as long as asked:
//
//     agent-flood MQTT-PORT HTTPS-PORT CONNECTIONS SECONDS
//     agent-flood http PORT CONNECTIONS SECONDS             the same to a heartbeat checker
//
// Each connection misbehaves in one way until the hub ends it, then comes back some seconds later. Four tenths come from
// 127.0.0.1, the others from three neighbours of it, so that a bound for each address and one for all are both met. Ends with
// one line a kind: dialled, ended by the hub, dials that failed.

if (args.Length != 4)
{
    Console.Error.WriteLine("usage: agent-flood (MQTT-PORT HTTPS-PORT | http PORT) CONNECTIONS SECONDS");
    return 2;
}

if (args[0] == "http")
{
    int[] limits = [.. args[1..].Select(arg => int.Parse(arg, CultureInfo.InvariantCulture))];
    var callers = new HttpFlood(limits[0]);
    await callers.RunAsync(limits[1], TimeSpan.FromSeconds(limits[2]));
    Console.WriteLine(callers.Report());
    return 0;
}

int[] numbers = [.. args.Select(arg => int.Parse(arg, CultureInfo.InvariantCulture))];
using var over = new CancellationTokenSource(TimeSpan.FromSeconds(numbers[3]));
var flood = new Flood(numbers[0], numbers[1]);
await flood.RunAsync(numbers[2], over.Token);
Console.WriteLine(flood.Report());
return 0;
