using System.CommandLine;
using Agent.Drive;
using Agent.Events;
using Agent.Hub;
using Agent.Wire;
using Agent.World;
using Command = System.CommandLine.Command;

namespace Agent.Cli;

/// <summary>The options of <c>hub</c>.</summary>
public static class HubCommand
{
    private static readonly Option<int> Port = new("--port")
    {
        Description = "MQTT over TLS.",
        DefaultValueFactory = _ => 8883,
    };

    private static readonly Option<int> HttpPort = new("--http-port")
    {
        Description = "HTTPS: registry, twins, methods, queries, logs; 0 = off.",
        DefaultValueFactory = _ => 8443,
    };

    private static readonly Option<string> Bind = new("--bind")
    {
        Description = "Address to listen on.",
        DefaultValueFactory = _ => "127.0.0.1",
    };

    private static readonly Option<string?> Data = new("--data")
    {
        Description = "Folder for certificates, identities, twins, waiting messages and records; made at the first start.",
        HelpName = "DIR",
    };

    private static readonly Option<TlsEngine> Tls = TlsOption.Create();

    private static readonly Option<int> Devices = new("--devices")
    {
        Description = "Identities to have at least.",
        DefaultValueFactory = _ => 2,
    };

    private static readonly Option<string?> Tier = new("--tier")
    {
        Description = "F1, B1, B2, B3, S1, S2 or S3: what the hub can do and, with --throttle, how much. Default S1.",
    };

    private static readonly Option<int?> Units = new("--units")
    {
        Description = "Units of the tier. Default 1.",
    };

    private static readonly Option<bool> Throttle = new("--throttle")
    {
        Description = "Apply the tier's throttles and its daily quota.",
    };

    private static readonly Option<string?> For = new("--for")
    {
        Description = "Also an identity for each device of a scenario, and the scenario's hub options; for `fleet`.",
        HelpName = "SCENARIO",
    };

    private static readonly Option<string?> Events = new("--events")
    {
        Description = "Deliver Event Grid events to this webhook (both handshakes, batches, retries, dead letters in DIR/dead-letters).",
        HelpName = "URL",
    };

    private static readonly Option<EventSchema> Schema = new("--events-schema")
    {
        Description = "Envelope of the events.",
        HelpName = "eventgrid|cloudevents",
        CustomParser = result =>
        {
            switch (result.Tokens[0].Value)
            {
                case "eventgrid":
                    return EventSchema.EventGrid;
                case "cloudevents":
                    return EventSchema.CloudEvents;
                default:
                    result.AddError($"--events-schema {result.Tokens[0].Value}: allowed are eventgrid and cloudevents");
                    return default;
            }
        },
    };

    private static readonly Option<string?> Logs = new("--logs")
    {
        Description = "Deliver the Connections records to this webhook, as {\"records\":[…]}.",
        HelpName = "URL",
    };

    private static readonly Option<string?> Otlp = new("--otlp")
    {
        Description = "Send the metrics to this OpenTelemetry collector (or OTEL_EXPORTER_OTLP_ENDPOINT).",
        HelpName = "URL",
    };

    /// <summary>The verb.</summary>
    public static Command Create(Option<bool> json)
    {
        var command = new Command(
            "hub",
            "Serves a local IoT Hub until Ctrl-C: devices on TLS 8883 with SAS tokens really checked, registry, twins, methods and\n"
            + "queries on HTTPS, Connections records, Event Grid events.")
        {
            Port, HttpPort, Bind, Data, Tls, Devices, For, Tier, Units, Throttle, Events, Schema, Logs, Otlp,
        };
        command.SetAction((parsed, cancellation) =>
        {
            HubVerbOptions options = Read(parsed);
            if (parsed.GetValue(For) is { } path)
            {
                Scenario served = ScenarioReader.ReadFile(path);
                options = options with { DeviceIds = DeviceKeys.Ids(served), Hub = served.Hub };
            }

            options = options with
            {
                Hub = options.Hub with
                {
                    Tier = parsed.GetValue(Tier) ?? options.Hub.Tier,
                    Units = parsed.GetValue(Units) ?? options.Hub.Units,
                    Throttle = parsed.GetValue(Throttle) || options.Hub.Throttle,
                },
            };

            TextWriter output = parsed.GetValue(json) ? new HubStartJson() : Console.Out;
            return HubVerb.RunAsync(options, output, Console.Error, cancellation);
        });
        return command;
    }

    private static HubVerbOptions Read(ParseResult parsed) => new()
    {
        Port = parsed.GetValue(Port),
        HttpPort = parsed.GetValue(HttpPort),
        Bind = parsed.GetValue(Bind)!,
        Data = parsed.GetValue(Data),
        TlsEngine = parsed.GetValue(Tls),
        Devices = parsed.GetValue(Devices),
        Events = parsed.GetValue(Events),
        EventsSchema = parsed.GetValue(Schema),
        Logs = parsed.GetValue(Logs),
        Otlp = parsed.GetValue(Otlp),
    };
}
