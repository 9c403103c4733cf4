using Agent.Hub;
using Agent.Logs;

namespace Agent.Tests.Logs;

/// <summary>A rhythm suggests an SDK and a lifetime: the check values of facts/sdk-renewal.md §12, with handshakes.</summary>
public sealed class RhythmTests
{
    private const string Dotnet = ".NET/1.42.3 (.NET 8.0; Linux; X64)";
    private const string Java = "com.microsoft.azure.sdk.iot.iot-device-client/2.5.1 (17.0; Linux; amd64)";

    [Theory]
    [InlineData(2700.1, "", "node", 3600)]
    [InlineData(2881.2, "", "c", 3600)]
    [InlineData(3480, "", "python", 3600)]
    [InlineData(3571, "", "arduino-central", 3600)]
    [InlineData(3600.3, "", "arduino-esp32", 3600)]
    [InlineData(85_801.4, "", "nanoframework", 86_400)]
    [InlineData(2702.5, "azure-iot-device/1.18.4 (node v20.20.2; Linux; x64)", "node", 3600)]
    [InlineData(961.2, "iothubclient/1.15.0 (native; Linux; x86_64)", "c", 1200)]
    [InlineData(1080, "azure-iot-device-iothub-py/2.14.0(3.11.7;Linux;x86_64)", "python", 1200)]
    [InlineData(1171, "c/1.1.8(ard;esp32)", "arduino-central", 1200)]
    [InlineData(1200, "c/1.1.8(ard;esp32)", "arduino-esp32", 1200)]
    [InlineData(954, "agent/1.0", "agent", null)]
    [InlineData(1234.5, "", null, null)]
    public void Announced_renewals_suggest_an_SDK(double period, string sdkVersion, string? sdk, int? lifetime)
    {
        using var log = new LogLines();
        RhythmSuggestion suggestion = log.Renewals(period, 5, sdk: sdkVersion).Suggestion();

        Assert.Equal(sdk, suggestion.Sdk);
        Assert.Equal(lifetime, suggestion.LifetimeSeconds is { } seconds ? (int)Math.Round(seconds) : null);
        Assert.Contains("suggests", suggestion.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(4200.1, "", "dotnet", 3600)]
    [InlineData(4201.1, "", "java", 3600)]
    [InlineData(3900.1, "", "dotnet", 3600)]
    [InlineData(4201.5, Dotnet, "dotnet", 3600)]
    [InlineData(4200.9, Java, "java", 3600)]
    [InlineData(1800.2, Dotnet, "dotnet", 1200)]
    [InlineData(901.1, Java, "java", 300)]
    [InlineData(7800, "azsdk-c/1.6.0", "embedded-c", 7200)]
    [InlineData(4210, "azure-iot-middleware-freertos/1.3.0", "freertos", 3610)]
    [InlineData(1800.2, "", null, 1200)]
    public void Cuts_of_expired_tokens_suggest_an_SDK_that_lets_the_hub_cut_it(double period, string sdkVersion, string? sdk, int lifetime)
    {
        using var log = new LogLines();
        RhythmSuggestion suggestion = log.Cuts(period, 5, sdk: sdkVersion, gap: 0).Suggestion();

        Assert.Equal((sdk, lifetime), (suggestion.Sdk, (int)Math.Round(suggestion.LifetimeSeconds!.Value)));
        Assert.Contains("suggests", suggestion.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_grace_that_varies_is_taken_into_account()
    {
        using var log = new LogLines();
        log.Add(0, LogKind.Connect, sdk: Dotnet);
        double at = 0;
        foreach (int grace in new[] { 300, 450, 600, 520, 380, 560, 310, 590 })
        {
            at += 1200 + grace;
            log.Cut(at, sdk: Dotnet).Add(at, LogKind.Connect, sdk: Dotnet);
        }

        Assert.Equal("suggests .NET: token of about 20 min, cut by the hub 5 to 10 min after it expired", log.Suggestion().Text);
        Assert.Equal((8, 0), (log.Counts().HealthyRenewals, log.Counts().UnexplainedDrops));
    }

    [Fact]
    public void The_two_records_of_a_cut_are_one_disconnect()
    {
        using var log = new LogLines();
        DeviceHistory history = log.Cuts(4200, 4).History();

        Assert.Equal((4, 0), (history.Disconnects, history.CleanDisconnects));
        Assert.Equal(4200, history.Periods.Median, 1);
    }

    [Fact]
    public void Drops_at_random_suggest_drops()
    {
        using var log = new LogLines();
        log.Add(0, LogKind.Connect);
        foreach (int at in new[] { 300, 2000, 9000, 9500, 30_000, 31_000, 50_000 })
        {
            log.Add(at, LogKind.DisconnectClosedRemotely).Add(at + 5, LogKind.Connect);
        }

        Assert.StartsWith("irregular: suggests drops", log.Suggestion().Text, StringComparison.Ordinal);
        Assert.Equal((0, 7), (log.Counts().HealthyRenewals, log.Counts().UnexplainedDrops));
    }

    [Theory]
    [InlineData(270, "keep-alive loss: 270 s of silence is 1.5 x the default of Node.js")]
    [InlineData(1234, "ends idle connections")]
    public void Regular_drops_without_a_word_about_the_token_are_no_renewals(int session, string expected)
    {
        using var log = new LogLines();
        for (int i = 0; i < 5; i++)
        {
            log.Add(i * (session + 10), LogKind.Connect).Add((i * (session + 10)) + session, LogKind.DisconnectClosedRemotely);
        }

        Assert.Contains(expected, log.Suggestion().Text, StringComparison.Ordinal);
        Assert.Equal(0, log.Counts().HealthyRenewals);
    }

    [Fact]
    public void Two_clients_with_one_identity_are_named()
    {
        using var log = new LogLines();
        log.Add(0, LogKind.Connect);
        for (int i = 1; i < 10; i++)
        {
            log.Add(i * 10, LogKind.DisconnectTakenOver).Add(i * 10, LogKind.Connect);
        }

        Assert.Contains("two clients with one identity", log.Suggestion().Text, StringComparison.Ordinal);
        Assert.Equal((0, 9), (log.Counts().HealthyRenewals, log.Counts().UnexplainedDrops));
    }

    [Theory]
    [InlineData(0, "no disconnect")]
    [InlineData(1, "suggests Node.js: 60 min token, renewed 15 min before it expires (from one period only)")]
    public void Little_is_said_of_little(int renewals, string expected)
    {
        using var log = new LogLines();
        Assert.Equal(expected, log.Renewals(2700, renewals).Suggestion().Text);
    }
}
