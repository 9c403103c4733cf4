using System.Globalization;
using Agent.Cli;
using Agent.Fleet;
using Agent.Hub;
using Agent.World;

namespace Agent.Verify;

/// <summary>A case played by many devices of the model in virtual time, over a network without delay, as loopback is.</summary>
public static class ModelSide
{
    // Refused for so much longer, every device makes the retries that in the case itself only the unlucky ones make.
    private const long RefusedLongerMs = 60_000;

    /// <summary>
    /// The stories from which the bands of single retries are taken: with the refusal going on, so that the late tries, too,
    /// are those of all devices and not of the few that happened to need them.
    /// </summary>
    public static List<List<Step>> RunRefused(VerifyPlan plan, VerifyCase verifyCase) => verifyCase.RefuseForMs == 0 ? []
        : Run(plan, verifyCase with
        {
            RefuseForMs = verifyCase.RefuseForMs + RefusedLongerMs,
            RunForMs = verifyCase.DropAtMs!.Value + verifyCase.RefuseForMs + RefusedLongerMs,
        });

    /// <summary>A timeline per device, in the words of <see cref="HubWatch"/>.</summary>
    public static List<List<Step>> Run(VerifyPlan plan, VerifyCase verifyCase, ulong seed = 1)
    {
        RunResult result = Runner.Run(ScenarioOf(plan, verifyCase, seed), shards: 1);
        FleetResult fleet = result.Fleets[0];
        PacketStyle style = PacketStyle.Of(plan.Sdk.Model);
        return [.. fleet.Timeline.GroupBy(entry => entry.Device).Select(entries => Translate(entries, fleet.Model.Connect, style))];
    }

    private static Scenario ScenarioOf(VerifyPlan plan, VerifyCase verifyCase, ulong seed)
    {
        var faults = new List<FaultPlan>();
        if (verifyCase.DropAtMs is { } dropMs)
        {
            faults.Add(new FaultPlan { AtMs = dropMs, Kind = FaultKind.TcpDrop, Hard = verifyCase.ByReset });
            if (verifyCase.RefuseForMs > 0)
            {
                faults.Add(new FaultPlan { AtMs = dropMs, ForMs = verifyCase.RefuseForMs, Kind = FaultKind.Refuse, Code = 5 });
            }
        }

        long graceMs = plan.GraceSeconds * 1000;
        return new Scenario
        {
            Title = "verify " + verifyCase.Name,
            Seed = seed,
            RunForMs = verifyCase.RunForMs,
            Network = new NetworkPlan(RoundTripMs: 0),
            Hub = new HubOptions { GraceMinMs = graceMs, GraceMaxMs = graceMs },
            Fleets =
            [
                new FleetPlan
                {
                    Name = plan.Sdk.Model,
                    Sdk = plan.Sdk.Model,
                    Count = VerifyPlan.ModelDevices,
                    Settings = plan.Settings with
                    {
                        Features = verifyCase.Features,
                        HeartbeatEveryMs = verifyCase.HeartbeatEveryMs,
                    },
                    Timeline = true,
                },
            ],
            Faults = faults,
        };
    }

    private static List<Step> Translate(IEnumerable<TimelineEntry> entries, ConnectFields fields, PacketStyle style)
    {
        var steps = new List<Step>();
        long? firstMs = null;
        long dialMs = 0;
        foreach (TimelineEntry entry in entries)
        {
            if (entry.Event == Seen.Connect)
            {
                firstMs ??= entry.AtMs;
            }

            if (entry.Event == Seen.Dial)
            {
                dialMs = entry.AtMs;
            }

            if (firstMs is not { } first)
            {
                continue;
            }

            double atMs = entry.AtMs - first;
            Step? step = entry.Event switch
            {
                Seen.Connect => new Step(atMs, StepKind.Connect)
                {
                    DialMs = dialMs - first,
                    Connect = ConnectReading.Of(fields, style, (entry.Expiry * 1000) - entry.AtMs),
                },
                Seen.Connack => new Step(atMs, StepKind.Connack, entry.Code.ToString(CultureInfo.InvariantCulture)),
                Seen.Subscribe => new Step(atMs, StepKind.Subscribe, Filters(entry.Topics, style)),
                Seen.TwinGet => new Step(atMs, StepKind.TwinGet),
                Seen.Pingreq => new Step(atMs, StepKind.Pingreq),
                Seen.Disconnect => new Step(atMs, StepKind.Disconnect),
                Seen.Close => new Step(atMs, StepKind.Close, entry.ByHub ? "hub" : "device"),
                _ => null,
            };
            if (step is not null)
            {
                steps.Add(step);
            }
        }

        return steps;
    }

    private static string Filters(Topics topics, PacketStyle style) => HubWatch.JoinFilters(
        Enum.GetValues<Topics>()
            .Where(topic => topic != Topics.None && topics.HasFlag(topic))
            .Select(topic => HubWatch.FilterText(TopicNames.Filters(topic, "{id}").Single(), "{id}", style.Qos(topic))));
}
