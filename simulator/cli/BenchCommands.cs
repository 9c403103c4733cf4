using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Agent.Load;
using Agent.Load.Peers;
using Agent.Wire;

namespace Agent.Cli;

/// <summary><c>bench wire</c>, <c>bench peers</c> and the processes they start of this program.</summary>
public static class BenchCommands
{
    /// <summary>The commands; those for its own processes are hidden.</summary>
    public static IEnumerable<Command> Create(Option<bool> json) =>
        [Wire(json), Peers(json), HubProcess(), FleetProcess(isPeer: false), FleetProcess(isPeer: true), LibsslProcess()];

    private static Command Wire(Option<bool> json)
    {
        Option<int> connections = Number("--connections", "Devices in all.", 1000, 1, 1_000_000);
        Option<int> rate = Number("--messages-per-second", "QoS 1 messages over all devices.", 10_000, 1, 1_000_000);
        Option<int?> seconds = NumberOrNone(
            "--seconds",
            "How long messages are sent: alone, then while a tenth renews. Without it 10, or as long as 190 renewals a second take.",
            1, 3600);
        Option<int> dials = Number("--dials", "Dials under way at once, in each fleet.", 32, 1, 500);
        Option<TlsEngine> tls = TlsOption.Create();
        var resume = new Option<bool>("--resume") { Description = "Resume TLS sessions instead of full handshakes." };
        var command = new Command(
            "wire", "A fleet and a hub in processes of their own over TLS: connections, memory, messages, renewals.")
        {
            connections, rate, seconds, dials, tls, resume,
        };
        command.SetAction((parsed, _) => BenchWire.RunAsync(
            new WireLoadOptions
            {
                Connections = parsed.GetValue(connections),
                MessagesPerSecond = parsed.GetValue(rate),
                Seconds = parsed.GetValue(seconds),
                DialsAtOnce = parsed.GetValue(dials),
                Engine = parsed.GetValue(tls),
                Resume = parsed.GetValue(resume),
            },
            parsed.GetValue(json)));
        return command;
    }

    private static Command Peers(Option<bool> json)
    {
        Option<int> connections = Number("--connections", "Held in each pairing.", 500, 50, 10_000);
        Option<int> seconds = Number("--seconds", "How long each kind of message is sent, twice.", 2, 1, 600);
        Option<int> rounds = Number("--rounds", "How often all pairings are gone through; medians are told.", 3, 1, 99);
        var command = new Command(
            "peers", "Our hub beside mosquitto and our client engines beside mosquitto's, on the same work in one call.")
        {
            connections, seconds, rounds,
        };
        command.SetAction((parsed, _) => BenchPeers.RunAsync(
            new PeerOptions(parsed.GetValue(connections), parsed.GetValue(seconds), parsed.GetValue(rounds)), parsed.GetValue(json)));
        return command;
    }

    private static Command HubProcess()
    {
        Option<int> first = Number("--first", "Number of the first device.", 0, 0, 1_000_000);
        Option<int> count = Number("--count", "Devices.", 1, 1, 1_000_000);
        Option<TlsEngine> tls = TlsOption.Create();
        var command = new Command("wire-hub", "For bench itself: a hub that takes orders on standard input.") { first, count, tls };
        command.Hidden = true;
        command.SetAction((parsed, _) => HubChild.RunAsync(parsed.GetValue(first), parsed.GetValue(count), parsed.GetValue(tls)));
        return command;
    }

    private static Command FleetProcess(bool isPeer)
    {
        Option<int> port = Number("--port", "The server's.", 8883, 1, 65_535);
        Option<int> count = Number("--count", "Devices, where there is no file of them.", 1, 1, 1_000_000);
        var authority = new Option<string>("--ca") { Required = true };
        var devices = new Option<string?>("--connection-strings");
        Option<TlsEngine> tls = TlsOption.Create();
        var resume = new Option<bool>("--resume");
        var command = new Command(
            isPeer ? "peer-fleet" : "wire-fleet", "For bench itself: a fleet that takes orders on standard input.")
        {
            port, count, authority, devices, tls, resume,
        };
        command.Hidden = true;
        command.SetAction((parsed, _) =>
        {
            var start = new FleetStart(
                parsed.GetValue(port), parsed.GetRequiredValue(authority), parsed.GetValue(devices), parsed.GetValue(count),
                parsed.GetValue(tls), parsed.GetValue(resume));
            return isPeer ? PeerChild.RunAsync(start) : FleetChild.RunAsync(start);
        });
        return command;
    }

    private static Command LibsslProcess()
    {
        var command = new Command("wire-libssl", "For bench itself: OpenSSL alone, measured when standard input says so.");
        command.Hidden = true;
        command.SetAction((_, _) => BaselineChild.RunAsync());
        return command;
    }

    private static Option<int> Number(string name, string about, int standard, int min, int max)
    {
        var option = new Option<int>(name) { Description = about, DefaultValueFactory = _ => standard, HelpName = "N" };
        option.Validators.Add(result => Demand(result, result.GetValue(option), min, max));
        return option;
    }

    private static Option<int?> NumberOrNone(string name, string about, int min, int max)
    {
        var option = new Option<int?>(name) { Description = about, HelpName = "N" };
        option.Validators.Add(result => Demand(result, result.GetValue(option) ?? min, min, max));
        return option;
    }

    private static void Demand(OptionResult result, int value, int min, int max)
    {
        if (value < min || value > max)
        {
            result.AddError(string.Create(
                CultureInfo.InvariantCulture, $"{result.Option.Name}: {value} is out of range; allowed: {min} to {max}"));
        }
    }
}
