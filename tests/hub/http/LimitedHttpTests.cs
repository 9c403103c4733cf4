using Agent.Hub;

namespace Agent.Tests.Hub.Http;

/// <summary>What a tier does not have, what is too much, and what is counted.</summary>
public sealed class LimitedHttpTests
{
    [Fact]
    public async Task A_basic_hub_has_identities_and_queries_and_nothing_else()
    {
        await using HttpRig rig = await HttpRig.StartAsync(options: new HubOptions { Tier = "B1" });

        (await rig.GetAsync("/devices/device-0001")).Ok();
        (await rig.SendAsync("POST", "/devices/query", """{"query":"SELECT * FROM devices"}""")).Ok();
        (await rig.GetAsync("/twins/device-0001")).Refused(403, "OperationNotAvailableInCurrentTier");
        (await rig.SendAsync("PATCH", "/twins/device-0001", "{}")).Refused(403, "OperationNotAvailableInCurrentTier");
        (await rig.SendAsync("POST", "/local/devices/device-0001/messages/devicebound", "{}"))
            .Refused(403, "OperationNotAvailableInCurrentTier");
    }

    [Theory]
    [InlineData("GET", "/devices", "")]
    [InlineData("GET", "/devices/device-0001", "")]
    [InlineData("GET", "/devices/device-0001/modules", "")]
    [InlineData("GET", "/statistics/devices", "")]
    [InlineData("POST", "/devices/query", """{"query":"SELECT * FROM devices"}""")]
    public async Task A_service_that_asks_too_much_is_told_when_to_come_back(string method, string path, string body)
    {
        await using HttpRig rig = await HttpRig.StartAsync(options: new HubOptions { Throttle = true });
        var asked = new List<Task<HttpReply>>();
        HttpReply? refused = null;

        // Those the throttle queues answer later; one that it refuses answers at once.
        for (int i = 0; i < 1000 && refused is null; i++)
        {
            asked.Add(rig.SendAsync(method, path, body == "" ? null : body));
            await Task.WhenAny(asked[^1], Task.Delay(i < 200 ? 0 : 50, TestContext.Current.CancellationToken));
            refused = asked.Where(task => task.IsCompletedSuccessfully).Select(task => task.Result)
                .FirstOrDefault(reply => reply.Status != 200);
        }

        Assert.NotNull(refused);
        refused.Refused(429, "ThrottlingException");
        Assert.InRange(int.Parse(refused.Headers["Retry-After"], System.Globalization.CultureInfo.InvariantCulture), 1, 120);
        _ = Task.WhenAll(asked).ContinueWith(all => all.Exception, TaskScheduler.Default);
    }

    [Fact]
    public async Task Twin_reads_and_queries_are_counted_good_and_bad()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        await rig.GetAsync("/twins/device-0001");
        await rig.GetAsync("/twins/nobody");
        await rig.SendAsync("POST", "/devices/query", """{"query":"SELECT * FROM devices"}""");
        await rig.SendAsync("POST", "/devices/query", "{}");

        rig.Time.Advance(TimeSpan.FromMinutes(1));
        rig.Server.AdvanceMetrics();

        foreach (HubMetric metric in new[]
        {
            HubMetric.ServiceTwinReadSuccess, HubMetric.ServiceTwinReadFailure, HubMetric.QuerySuccess, HubMetric.QueryFailure,
        })
        {
            Assert.Equal(1, rig.Server.Metrics.Sum(metric));
        }
    }
}
