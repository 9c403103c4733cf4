using System.Text;
using Agent.Cli;
using Agent.World;

namespace Agent.Tests.Simulator;

/// <summary>The check values of facts/sdk-renewal.md §12: ideal network, first CONNECT at 0, grace 600 s.</summary>
public class SdkModelTests
{
    [Theory]
    [InlineData("dotnet", "", new double[] { 4200, 8400, 12600 })]
    [InlineData("dotnet", """, "lifetime": "00:20:00" """, new double[] { 1800, 3600 })]
    [InlineData("dotnet", """, "lifetime": "00:20:00", "renewAt": 0.5 """, new double[] { 1800, 3600 })]
    [InlineData("java", "", new double[] { 4201, 8402 })]
    [InlineData("java", """, "lifetime": "00:05:00" """, new double[] { 901, 1802 })]
    [InlineData("node", "", new double[] { 2700, 5400, 8100 })]
    [InlineData("node", """, "lifetime": "00:05:00", "renewBefore": "00:02:00" """, new double[] { 180, 360 })]
    [InlineData("python", "", new double[] { 3480, 6960 })]
    [InlineData("nanoframework", "", new double[] { 85800, 171601 })]
    [InlineData("c", "", new double[] { 2881, 5762 })]
    [InlineData("dotnet-v2", "", new double[] { 4200, 8400 })]
    [InlineData("arduino-esp32", "", new double[] { 3600, 7200 })]
    [InlineData("arduino-central", "", new double[] { 3571, 7142 })]
    [InlineData("embedded-c", "", new double[] { 7800, 15610 })]
    [InlineData("python-v3", "", new double[] { 4200, 8410 })]
    [InlineData("freertos", "", new double[] { 4200, 8410 })]
    [InlineData("esp8266", "", new double[] { 4200, 8405 })]
    public void A_connection_ends_when_the_table_of_check_values_says(string sdk, string keys, double[] expectedSeconds)
    {
        List<double> ends = Ends(sdk, keys, "");
        for (int i = 0; i < expectedSeconds.Length; i++)
        {
            Assert.InRange(ends[i], expectedSeconds[i] - 0.001, expectedSeconds[i] + (0.5 * (i + 1)));
        }
    }

    // The socket is killed at 600 s and everything is back at once.
    [Theory]
    [InlineData("dotnet", "", 4200)]
    [InlineData("java", "", 600 + 4201)]
    [InlineData("node", """, "features": ["methods"] """, 600 + 2700)]
    [InlineData("python", "", 3480)]
    [InlineData("nanoframework", "", 85800 + 85801)]
    [InlineData("c", "", 600 + 2881)]
    [InlineData("dotnet-v2", "", 4200)]
    public void After_a_blip_each_sdk_keeps_or_moves_its_next_disconnect_as_its_source_says(
        string sdk, string keys, double expectedSeconds)
    {
        List<double> ends = Ends(sdk, keys, """, "faults": [ { "at": "00:10:00", "kind": "tcpDrop" } ] """);
        Assert.Equal(600, ends[0]);
        Assert.InRange(ends[1], expectedSeconds - 0.001, expectedSeconds + 1.3);
    }

    [Theory]
    [InlineData("dotnet", "deviceDisconnect/Error/404104")]
    [InlineData("java", "deviceDisconnect/Error/404104")]
    [InlineData("node", "deviceDisconnect/Information")]
    [InlineData("python", "deviceDisconnect/Information")]
    [InlineData("agent", "deviceDisconnect/Information")]
    public void The_log_of_a_calm_day_shows_what_it_should_and_nothing_else(string sdk, string expected)
    {
        RunResult result = Run(sdk, "", "");
        var keys = result.Fleets[0].LogCounts().Select(pair => pair.Key).ToList();
        Assert.Contains(expected, keys);
        bool cutByHub = expected.Contains("404104", StringComparison.Ordinal);
        Assert.Equal(cutByHub, keys.Contains("deviceDisconnect/Error/401003"));
        Assert.Equal(cutByHub, !keys.Contains("deviceDisconnect/Information"));
    }

    [Fact]
    public void Heartbeats_counted_in_closed_form_equal_those_that_ran_as_events()
    {
        foreach (string sdk in (string[])["dotnet", "java", "node", "python", "nanoframework"])
        {
            const string Keys = """, "heartbeatEvery": "00:00:07", "startSpread": "00:01:00" """;
            long counted = Run(sdk, Keys, "").Fleets[0].Statistics.Heartbeats;
            long asEvents = Run(sdk, Keys + """, "timeline": true """, "").Fleets[0].Statistics.Heartbeats;
            Assert.True(counted > 1000);
            Assert.Equal(counted, asEvents);
        }
    }

    private static List<double> Ends(string sdk, string keys, string more)
    {
        RunResult result = Run(sdk, keys + """, "timeline": true """, more);
        return
        [
            .. result.Fleets[0].Timeline
                .Where(entry => entry.Event == Seen.Close)
                .Select(entry => entry.AtMs / 1000.0),
        ];
    }

    private static RunResult Run(string sdk, string keys, string more)
    {
        string text = $$"""
            { "runFor": "2.00:00:00", "network": { "roundTripMs": 0 },
              "fleet": [ { "sdk": "{{sdk}}", "count": 1 {{keys}} } ] {{more}} }
            """;
        return Runner.Run(ScenarioReader.Read(Encoding.UTF8.GetBytes(text)));
    }
}
