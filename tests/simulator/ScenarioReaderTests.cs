using System.Text;
using Agent.Input;
using Agent.World;

namespace Agent.Tests.Simulator;

public class ScenarioReaderTests
{
    private const string Fleet = """ "fleet": [ { "sdk": "dotnet", "count": 1 } ] """;

    [Fact]
    public void Every_key_of_the_contract_is_understood()
    {
        Scenario scenario = Read(
            """
            {
              "title": "t", "why": "w", "seed": 42, "runFor": "1.00:00:00", // a comment
              "network": { "roundTripMs": 40, "tlsRoundTrips": 2 },
              "hub": { "tokenGrace": { "min": "00:05:00", "max": "00:10:00" }, "tier": "S1", "units": 1,
                       "throttle": false, "clockSkewAllowed": "00:05:00" },
              "fleet": [ { "name": "a", "sdk": "dotnet", "count": 1000, "behaviour": "source", "lifetime": "00:20:00",
                           "renewAt": 0.90, "keepAlive": "00:05:00", "heartbeatEvery": "00:01:00", "startSpread": "00:05:00",
                           "features": ["twin", "methods", "c2d"], "timeline": true } ],
              "faults": [ { "at": "02:00:00", "for": "00:10:00", "kind": "networkDown", "fleet": "a", "share": 0.1 } ],
              "detectors": [ { "kind": "heartbeat", "missed": 2 }, { "kind": "eventGrid", "debounce": "00:05:00" } ],
              "expect": [ { "fleet": "a", "periodMedianSeconds": { "min": 1799, "max": 1802 } } ],
            }
            """);
        Assert.Equal((42UL, 86_400_000L), (scenario.Seed, scenario.RunForMs));
        Assert.Equal((300_000L, 600_000L), (scenario.Hub.GraceMinMs, scenario.Hub.GraceMaxMs));
        Assert.Equal(1200, scenario.Fleets[0].Settings.LifetimeSeconds);
        Assert.Equal(7_200_000, scenario.Faults[0].AtMs);
        Assert.Equal(1799, scenario.Expectations[0].Min);
    }

    [Theory]
    [InlineData("""{ "runFor": "01:00:00", "speed": 2, FLEET }""", "$: unknown key \"speed\"")]
    [InlineData("""{ "runFor": "-01:00:00", FLEET }""", "$.runFor: \"-01:00:00\" is negative")]
    [InlineData("""{ "runFor": "24:00:00", FLEET }""", "$.runFor: \"24:00:00\" has 24 hours")]
    [InlineData("""{ "runFor": "99:00:00", FLEET }""", "at most 23")]
    [InlineData("""{ "runFor": 3600, FLEET }""", "$.runFor: expected a duration, found a number")]
    [InlineData("""{ "runFor": "1 hour", FLEET }""", "$.runFor: \"1 hour\" is not a duration")]
    [InlineData("""{ "runFor": "7", FLEET }""", "$.runFor: \"7\" is not a duration")]
    [InlineData("""{ FLEET }""", "$.runFor: missing")]
    [InlineData("""{ "runFor": "01:00:00" }""", "$.fleet: missing or empty")]
    [InlineData("""{ "runFor": "01:00:00", "fleet": {} }""", "$.fleet: expected a list")]
    [InlineData("""{ "runFor": "01:00:00", "fleet": [ { "sdk": "cobol", "count": 1 } ] }""", "$.fleet[0].sdk: unknown SDK \"cobol\"")]
    [InlineData("""{ "runFor": "01:00:00", "fleet": [ { "count": 1 } ] }""", "$.fleet[0].sdk: missing")]
    [InlineData("""{ "runFor": "01:00:00", "fleet": [ { "sdk": "java", "count": 0 } ] }""", "$.fleet[0].count: 0 is out of range")]
    [InlineData("""{ "runFor": "01:00:00", "fleet": [ { "sdk": "java", "count": 1.5 } ] }""", "$.fleet[0].count: expected a whole number")]
    [InlineData("""{ "runFor": "01:00:00", "fleet": [ { "sdk": "python", "count": 1, "renewAt": 0.5 } ] }""", "$.fleet[0].renewAt")]
    [InlineData("""{ "runFor": "01:00:00", "fleet": [ { "sdk": "node", "count": 1, "renewAt": 1.0 } ] }""", "$.fleet[0].renewAt: 1 is out of range")]
    [InlineData("""{ "runFor": "01:00:00", "fleet": [ { "sdk": "nanoframework", "count": 1, "lifetime": "01:00:00" } ] }""", "fixed lifetime")]
    [InlineData("""{ "runFor": "01:00:00", "fleet": [ { "sdk": "agent", "count": 1, "behaviour": "documented" } ] }""", "$.fleet[0].behaviour")]
    [InlineData("""{ "runFor": "01:00:00", "fleet": [ { "sdk": "java", "count": 1 }, { "sdk": "java", "count": 1 } ] }""", "$.fleet[1].name")]
    [InlineData("""{ "runFor": "01:00:00", FLEET, "hub": { "tokenGrace": { "min": "00:10:00", "max": "00:05:00" } } }""", "$.hub.tokenGrace")]
    [InlineData("""{ "runFor": "01:00:00", FLEET, "hub": { "tier": "S9" } }""", "$.hub.tier: unknown value \"S9\"")]
    [InlineData("""{ "runFor": "01:00:00", FLEET, "faults": [ { "at": "00:01:00", "kind": "rain" } ] }""", "$.faults[0].kind: unknown fault \"rain\"")]
    [InlineData("""{ "runFor": "01:00:00", FLEET, "faults": [ { "at": "00:01:00", "kind": "crash", "share": 1.1 } ] }""", "$.faults[0].share")]
    [InlineData("""{ "runFor": "01:00:00", FLEET, "faults": [ { "at": "00:01:00", "kind": "crash", "fleet": "x" } ] }""", "no fleet is called \"x\"")]
    [InlineData("""{ "runFor": "01:00:00", FLEET, "faults": [ { "at": "00:01:00", "kind": "crash", "code": 3 } ] }""", "unknown key \"code\"")]
    [InlineData("""{ "runFor": "01:00:00", FLEET, "detectors": [ { "kind": "nose" } ] }""", "$.detectors[0].kind")]
    [InlineData("""{ "runFor": "01:00:00", FLEET, "expect": [ { "happiness": { "min": 1 } } ] }""", "unknown figure \"happiness\"")]
    [InlineData("""{ "runFor": "01:00:00", FLEET, "expect": [ { "drops": {} } ] }""", "give min, max or both")]
    [InlineData("""{ "runFor": "01:00:00", "runFor": "02:00:00", FLEET }""", "not valid JSON")]
    [InlineData("""[1]""", "$: expected an object")]
    [InlineData("""{ "runFor": "01:00""", "line 1")]
    [InlineData("", "not valid JSON")]
    [InlineData("null", "$: expected an object, found null")]
    public void Bad_input_is_refused_in_one_line_that_names_the_place(string text, string expected)
    {
        string message = Assert.Throws<BadInputException>(() => Read(text.Replace("FLEET", Fleet))).Message;
        Assert.Contains(expected, message);
        Assert.DoesNotContain('\n', message);
        Assert.True(message.Length < 1000, message);
    }

    [Fact]
    public void Ten_megabytes_of_opening_brackets_are_refused_at_once()
    {
        string path = Path.GetTempFileName();
        File.WriteAllText(path, new string('[', 10_000_000));
        string message = Assert.Throws<BadInputException>(() => ScenarioReader.ReadFile(path)).Message;
        Assert.StartsWith(path + ": line 1", message);
        File.Delete(path);
    }

    [Fact]
    public void Every_prefix_and_two_thousand_mutations_of_a_good_file_end_in_a_scenario_or_in_one_line()
    {
        byte[] good = File.ReadAllBytes(Path.Combine(Root.Path, "simulator", "scenarios", "published-dotnet.json"));
        for (int length = 0; length < good.Length; length++)
        {
            TryRead(good.AsSpan(0, length).ToArray());
        }

        for (int i = 0; i < 2000; i++)
        {
            byte[] bad = [.. good];
            for (uint change = 0; change < 3; change++)
            {
                ulong draw = Randomness.Draw(11, i, change);
                bad[draw % (ulong)bad.Length] = (byte)(draw >> 40);
            }

            TryRead(bad);
        }
    }

    private static void TryRead(byte[] bytes)
    {
        try
        {
            ScenarioReader.Read(bytes);
        }
        catch (BadInputException problem)
        {
            Assert.DoesNotContain('\n', problem.Message);
        }
    }

    private static Scenario Read(string text) => ScenarioReader.Read(Encoding.UTF8.GetBytes(text));
}
