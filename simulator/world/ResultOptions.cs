using System.Globalization;
using System.Text.Json;
using Agent.Fleet;

namespace Agent.World;

/// <summary>Writes the <c>options</c> of a result: every value that was in force, defaults included.</summary>
internal static class ResultOptions
{
    public static void Write(Utf8JsonWriter json, RunResult result)
    {
        Scenario scenario = result.Scenario;
        json.WriteStartObject("options");
        json.WriteNumber("seed", scenario.Seed);
        json.WriteString("runFor", Text(scenario.RunForMs));
        json.WriteStartObject("network");
        json.WriteNumber("roundTripMs", scenario.Network.RoundTripMs);
        json.WriteNumber("tlsRoundTrips", scenario.Network.TlsRoundTrips);
        json.WriteEndObject();
        json.WriteStartObject("hub");
        json.WriteStartObject("tokenGrace");
        json.WriteString("min", Text(scenario.Hub.GraceMinMs));
        json.WriteString("max", Text(scenario.Hub.GraceMaxMs));
        json.WriteEndObject();
        json.WriteString("clockSkewAllowed", Text(scenario.Hub.ClockSkewAllowedMs));
        json.WriteString("tier", scenario.Hub.Tier);
        json.WriteNumber("units", scenario.Hub.Units);
        json.WriteBoolean("throttle", scenario.Hub.Throttle);
        json.WriteEndObject();
        json.WriteStartArray("fleet");
        foreach (FleetResult fleet in result.Fleets)
        {
            WriteFleet(json, fleet);
        }

        json.WriteEndArray();
        json.WriteNumber("faults", scenario.Faults.Count);
        json.WriteNumber("shards", result.Shards);
        json.WriteEndObject();
    }

    private static void WriteFleet(Utf8JsonWriter json, FleetResult fleet)
    {
        FleetPlan plan = fleet.Plan;
        json.WriteStartObject();
        json.WriteString("name", plan.Name);
        json.WriteString("sdk", plan.Sdk);
        json.WriteNumber("count", plan.Count);
        json.WriteString("behaviour", plan.Behaviour);
        json.WriteString("lifetime", Text(fleet.Model.LifetimeSeconds * 1000));
        if (fleet.Model.RenewalSeconds is { } renewal)
        {
            json.WriteString("renewAfter", Text((long)(renewal * 1000)));
        }
        else
        {
            json.WriteNull("renewAfter");
        }

        json.WriteString("keepAlive", Text(fleet.Model.Connect.KeepAliveSeconds * 1000L));
        json.WriteString("heartbeatEvery", Text(plan.Settings.HeartbeatEveryMs));
        json.WriteString("startSpread", Text(plan.StartSpreadMs));
        json.WriteStartArray("features");
        foreach ((Features feature, string name) in (ReadOnlySpan<(Features, string)>)
            [(Features.Twin, "twin"), (Features.Methods, "methods"), (Features.CloudToDevice, "c2d")])
        {
            if ((plan.Settings.Features & feature) != 0)
            {
                json.WriteStringValue(name);
            }
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static string Text(long ms) => TimeSpan.FromMilliseconds(ms).ToString("c", CultureInfo.InvariantCulture);
}
