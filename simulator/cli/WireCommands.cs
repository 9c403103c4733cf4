using System.CommandLine;
using Agent.Input;
using Agent.Wire;

namespace Agent.Cli;

/// <summary>The options of verbs that drive real connections: <c>run --wire</c>, <c>fleet</c>, <c>merge</c>.</summary>
public sealed class WireCommands
{
    private readonly Option<bool> wire = new("--wire")
    {
        Description = "In real time over TCP, TLS and MQTT; without --hub against a hub of the run's own.",
    };

    private readonly Option<string?> hub = new("--hub")
    {
        Description = "A hub to connect to.",
        HelpName = "HOST:PORT",
    };

    private readonly Option<string?> authority = new("--ca")
    {
        Description = "PEM file with the authority to trust instead of the system's.",
        HelpName = "FILE",
    };

    private readonly Option<string?> policy = new("--connection-string")
    {
        Description = "A policy that may connect devices (iothubowner, device); devices are then named FLEET-000000 and on.",
        HelpName = "CS",
    };

    private readonly Option<string?> devices = new("--connection-strings")
    {
        Description = "One device a line, in the order of the scenario's devices; what `hub` prints will do.",
        HelpName = "FILE",
    };

    private readonly Option<bool> allowRemote = new("--allow-remote")
    {
        Description = "Allow a hub on another machine.",
    };

    private readonly Option<TlsEngine> tls = TlsOption.Create();

    /// <summary>Adds <c>--wire</c> and what belongs to it to <c>run</c>.</summary>
    public void AddTo(Command run)
    {
        run.Options.Add(wire);
        AddHub(run);
    }

    /// <summary>Whether <c>run</c> is to be on the wire.</summary>
    /// <exception cref="BadInputException">Options for the wire without <c>--wire</c>, or one for virtual time with it.</exception>
    public bool IsAsked(ParseResult parsed, Option<bool> notWith)
    {
        bool asked = parsed.GetValue(wire);
        if (asked && parsed.GetValue(notWith))
        {
            throw new BadInputException($"{notWith.Name}: not with --wire");
        }

        if (!asked && ((parsed.GetValue(hub) ?? parsed.GetValue(authority)) is not null || parsed.GetValue(tls) != default))
        {
            throw new BadInputException("--hub, --ca and --tls belong to --wire");
        }

        return asked;
    }

    /// <summary>What was asked for.</summary>
    public WireVerbOptions Read(ParseResult parsed, string scenario, long? seed, string? outDirectory, bool json) => new()
    {
        Scenario = scenario,
        Seed = seed,
        Hub = parsed.GetValue(hub),
        Authority = parsed.GetValue(authority),
        Policy = parsed.GetValue(policy),
        Devices = parsed.GetValue(devices),
        AllowRemote = parsed.GetValue(allowRemote),
        TlsEngine = parsed.GetValue(tls),
        OutDirectory = outDirectory,
        Json = json,
    };

    /// <summary>The verb <c>fleet</c>.</summary>
    public static Command Fleet(Option<bool> json, Action<Option<long?>> checkSeed)
    {
        var options = new WireCommands();
        options.hub.Required = true;
        var scenario = new Argument<string>("SCENARIO") { Description = "A scenario file." };
        var seed = new Option<long?>("--seed") { Description = "Instead of the file's seed, 0 or more.", HelpName = "N" };
        checkSeed(seed);
        var folder = new Option<string?>("--out") { Description = "Write result.json and report.html there.", HelpName = "DIR" };
        var shard = new Option<string?>("--shard")
        {
            Description = "Only every N-th device, from the I-th: one process of N.",
            HelpName = "I/N",
        };
        var command = new Command("fleet", "Only a scenario's devices, in real time, against any hub; `merge` adds the results up.")
        {
            scenario, seed, folder, shard,
        };
        options.AddHub(command);
        command.SetAction((parsed, cancellation) => WireVerb.RunAsync(
            options.Read(
                parsed, parsed.GetRequiredValue(scenario), parsed.GetValue(seed), parsed.GetValue(folder), parsed.GetValue(json))
            with
            { Shard = parsed.GetValue(shard) ?? "1/1" },
            cancellation));
        return command;
    }

    /// <summary>The verb <c>merge</c>.</summary>
    public static Command Merge(Option<bool> json)
    {
        var results = new Argument<string[]>("RESULT")
        {
            Description = "Results of `fleet --shard` (result.json, or what --json printed).",
            Arity = ArgumentArity.OneOrMore,
        };
        var command = new Command("merge", "Adds the results of shards up to one.") { results };
        command.SetAction(parsed => MergeVerb.Run(parsed.GetRequiredValue(results), parsed.GetValue(json)));
        return command;
    }

    private void AddHub(Command command)
    {
        foreach (Option option in (ReadOnlySpan<Option>)[hub, authority, policy, devices, allowRemote, tls])
        {
            command.Options.Add(option);
        }
    }
}
