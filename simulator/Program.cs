using System.CommandLine;
using System.CommandLine.Parsing;
using Agent.Cli;
using Agent.Hub;
using Agent.Input;
using Agent.Report;
using Agent.Verify;
using Agent.World;
using Command = System.CommandLine.Command;

// The command line. Verbs are thin: they read their options here and live in cli/ and hub/.

var jsonOption = new Option<bool>("--json")
{
    Description = "Print one JSON document on standard output, nothing else.",
    Recursive = true,
};
var outOption = new Option<string?>("--out")
{
    Description = "Folder for result.json, connections.jsonl, events.jsonl and report.html.",
    HelpName = "DIR",
};

RootCommand root = new(
    "Azure IoT device liveness, rehearsed: every SDK's token renewal in virtual time, and a local IoT Hub to test against.\n\n" +
    "Without a verb: 24 hours of every SDK in virtual time, the table of what each does and what the hub's log shows of it,\n" +
    "and out/report.html. Exit codes: 0 done, 1 an expectation failed, 2 bad input, 3 the outside world failed.")
{
    jsonOption,
    outOption,
    RunCommand(),
    WireCommands.Fleet(jsonOption, seed => seed.Validators.Add(AtLeast(seed, 0))),
    WireCommands.Merge(jsonOption),
    HubCommand.Create(jsonOption),
    TokenCommand(),
    VerifyCommand(),
    LogsVerb.Command(jsonOption),
    ScoreVerb.Command(jsonOption),
    AdviseVerb.Command(jsonOption),
    ListCommand(),
    SoakVerb.Command(jsonOption),
    BenchCommand(),
};
root.SetAction(parsed => MainJob.Run(parsed.GetValue(jsonOption), parsed.GetValue(outOption) ?? "out"));

ParseResult parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    Console.Error.WriteLine($"{parsed.Errors[0].Message.ReplaceLineEndings(" ")} (try --help)");
    return ExitCode.BadInput;
}

try
{
    return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false }).ConfigureAwait(false);
}
catch (BadInputException problem)
{
    Console.Error.WriteLine(problem.Message.ReplaceLineEndings(" "));
    return ExitCode.BadInput;
}
catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
{
    Console.Error.WriteLine(problem.Message.ReplaceLineEndings(" "));
    return ExitCode.WorldFailed;
}

Command RunCommand()
{
    var scenario = new Argument<string>("SCENARIO") { Description = "A scenario file; `list` names those that come along." };
    var seed = new Option<long?>("--seed")
    {
        Description = "Instead of the file's seed, 0 or more.",
        HelpName = "N",
    };
    seed.Validators.Add(AtLeast(seed, 0));
    var folder = new Option<string?>("--out")
    {
        Description = outOption.Description,
        HelpName = "DIR",
    };
    var records = new Option<long>("--log-records")
    {
        Description = "Most lines kept in connections.jsonl, and in events.jsonl.",
        HelpName = "N",
        DefaultValueFactory = _ => RunFiles.LinesKeptDefault,
    };
    var telemetry = new Option<bool>("--telemetry-events")
    {
        Description = "An event for each message in events.jsonl too, not only connection states; not with --wire.",
    };
    var command = new Command("run", "Runs a scenario in virtual time, or on the wire, and checks its expectations.")
    {
        scenario, seed, folder, records, telemetry,
    };
    var wire = new WireCommands();
    wire.AddTo(command);
    command.SetAction((parsed, cancellation) => wire.IsAsked(parsed, notWith: telemetry)
        ? WireVerb.RunAsync(
            wire.Read(
                parsed, parsed.GetRequiredValue(scenario), parsed.GetValue(seed), parsed.GetValue(folder),
                parsed.GetValue(jsonOption)),
            cancellation)
        : Task.FromResult(RunVerb.Run(
            parsed.GetRequiredValue(scenario), parsed.GetValue(seed), parsed.GetValue(folder), parsed.GetValue(records),
            parsed.GetValue(telemetry), parsed.GetValue(jsonOption))));
    return command;
}

Command TokenCommand()
{
    var connectionString = new Option<string>("--connection-string")
    {
        Description = "A device's or a service's connection string.",
        Required = true,
        HelpName = "CS",
    };
    var lifetime = new Option<long>("--lifetime")
    {
        Description = "Seconds from now; negative makes an expired token.",
        DefaultValueFactory = _ => 3600,
    };
    var command = new Command("token", "Prints a SAS token.") { connectionString, lifetime };
    command.SetAction(parsed =>
    {
        var token = new StringWriter();
        int code = TokenVerb.Run(parsed.GetValue(connectionString), parsed.GetValue(lifetime), token, Console.Error);
        if (code != ExitCode.Done)
        {
            return code;
        }

        if (parsed.GetValue(jsonOption))
        {
            JsonOutput.Print(json =>
            {
                json.WriteStartObject();
                json.WriteString("token", token.ToString().Trim());
                json.WriteEndObject();
            });
        }
        else
        {
            Console.Out.Write(token.ToString());
        }

        return ExitCode.Done;
    });
    return command;
}

Command VerifyCommand()
{
    var sdk = new Argument<string>("SDK") { Description = string.Join(", ", GenuineSdk.All.Select(one => one.Id)) };
    var lifetime = new Option<double?>("--lifetime") { Description = "Of the token.", HelpName = "SECONDS" };
    var margin = new Option<double?>("--margin") { Description = "How long before its end to renew.", HelpName = "SECONDS" };
    var cases = new Option<string?>("--case") { Description = string.Join(",", VerifyCase.Names), HelpName = "NAMES" };
    var command = new Command("verify", "Runs a genuine SDK and its model against a hub and lays their timelines side by side.")
    {
        sdk, lifetime, margin, cases,
    };
    command.SetAction((parsed, cancellation) => VerifyVerb.RunAsync(
        parsed.GetRequiredValue(sdk), parsed.GetValue(lifetime), parsed.GetValue(margin), parsed.GetValue(cases),
        parsed.GetValue(jsonOption), cancellation));
    return command;
}

Command ListCommand()
{
    var command = new Command("list", "Lists SDK models, fault kinds, detector kinds and scenarios.");
    command.SetAction(parsed => ListVerb.Run(parsed.GetValue(jsonOption)));
    return command;
}

Command BenchCommand()
{
    var devices = new Option<int>("--devices")
    {
        Description = "Devices, the four SDKs evenly.",
        DefaultValueFactory = _ => 1_000_000,
    };
    var hours = new Option<double>("--hours")
    {
        Description = "Simulated hours.",
        DefaultValueFactory = _ => 24,
    };
    var shards = new Option<int>("--shards")
    {
        Description = "Shards; 0 = one per processor.",
        DefaultValueFactory = _ => 0,
    };
    var oneShard = new Option<bool>("--beside-one-shard")
    {
        Description = "Run the same with one shard afterwards and tell the ratio.",
    };
    devices.Validators.Add(Between(devices, 1, ScenarioReader.MaxDevices));
    hours.Validators.Add(result =>
    {
        if (result.GetValue(hours) is not (> 0 and <= 87_600))
        {
            result.AddError("--hours: allowed: more than 0, at most 87600");
        }
    });
    shards.Validators.Add(Between(shards, 0, 256));
    var virtualTime = new Command("virtual", "A large fleet for a day in virtual time.") { devices, hours, shards, oneShard };
    virtualTime.SetAction(parsed => BenchVirtual.Run(
        parsed.GetValue(devices), parsed.GetValue(hours), parsed.GetValue(shards), parsed.GetValue(oneShard),
        parsed.GetValue(jsonOption)));
    var bench = new Command("bench", "Benchmarks; --json gives the figures.") { virtualTime };
    foreach (Command one in BenchCommands.Create(jsonOption))
    {
        bench.Subcommands.Add(one);
    }

    return bench;
}

static Action<OptionResult> AtLeast(Option<long?> option, long min) => result =>
{
    if (result.GetValue(option) is { } value && value < min)
    {
        result.AddError($"{option.Name}: {value} is out of range; allowed: {min} or more");
    }
};

static Action<OptionResult> Between(Option<int> option, int min, int max) => result =>
{
    int value = result.GetValue(option);
    if (value < min || value > max)
    {
        result.AddError($"{option.Name}: {value} is out of range; allowed: {min} to {max}");
    }
};
