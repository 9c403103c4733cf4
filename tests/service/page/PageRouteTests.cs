using System.Net;
using System.Text.Json;
using Agent.Service;

namespace Agent.Tests.Service.Page;

/// <summary>What the page is answered, and the stream it listens to.</summary>
[Collection(RealTime.Name)]
public sealed class PageRouteTests
{
    [Fact]
    public async Task The_worst_come_first_and_page_by_page()
    {
        await using PageRig rig = await PageRig.StartAsync();
        await rig.BeatAsync(250, i => ($"device-{i:d3}", i % 2 == 0 ? 60 : i % 5 == 0 ? 120 : 7200, i % 4 == 0 ? "north" : null));
        rig.MoveTo(135); // Even ones are silent, odd multiples of five late.

        var ids = new List<string>();
        string? from = "";
        int pages = 0;
        while (from is not null)
        {
            JsonElement page = await rig.GetAsync("/worst?limit=40" + (from.Length > 0 ? "&from=" + from : ""));
            ids.AddRange(page.GetProperty("devices").EnumerateArray().Select(device =>
                $"{device.GetProperty("status").GetString()} {device.GetProperty("id").GetString()}"));
            Assert.Equal(150, page.GetProperty("total").GetInt32());
            from = page.GetProperty("next").GetString();
            pages++;
        }

        Assert.Equal(
            [
                .. Enumerable.Range(0, 125).Select(i => $"silent device-{2 * i:d3}"),
                .. Enumerable.Range(0, 25).Select(i => $"late device-{(10 * i) + 5:d3}"),
            ],
            ids);
        Assert.Equal(4, pages);
        JsonElement north = await rig.GetAsync("/worst?site=north&limit=1000");
        Assert.Equal(63, north.GetProperty("devices").GetArrayLength());
        Assert.Equal(0, (await rig.GetAsync("/worst?site=nowhere")).GetProperty("devices").GetArrayLength());
    }

    [Theory]
    [InlineData("/worst?limit=0")]
    [InlineData("/worst?from=3.0")]
    [InlineData("/worst?from=0")]
    [InlineData("/worst?from=-1.0")]
    [InlineData("/worst?from=0.99999999999")]
    [InlineData("/sites?limit=1001")]
    [InlineData("/fleet?span=year")]
    public async Task A_wrong_question_gets_400_and_one_line(string question)
    {
        await using PageRig rig = await PageRig.StartAsync();
        using HttpResponseMessage answer = await rig.Client.GetAsync(question);

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.Matches("^[^\n]+\n$", await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_device_has_a_lane_with_its_changes_and_marks()
    {
        await using PageRig rig = await PageRig.StartAsync();
        await rig.PostAsync(HubMessages.Heartbeat("a", 0), HubMessages.Connection("a", connected: true, 0, order: 1));
        rig.MoveTo(130);
        await rig.GetAsync("/devices/a/history");
        await rig.PostAsync(HubMessages.Telemetry(
            "a", 130, """{ "type":"heartbeat","seq":"2","interval":"60","reason":"128","down":"70" }"""));

        JsonElement lane = await rig.GetAsync("/devices/a/history");

        Assert.Equal(
            ["unknown>online", "online>silent", "silent>online"],
            lane.GetProperty("changes").EnumerateArray().Select(change =>
                $"{change.GetProperty("from").GetString()}>{change.GetProperty("to").GetString()}"));
        Assert.Equal(
            ["connect", "heartbeat", "heartbeat", "told"],
            lane.GetProperty("marks").EnumerateArray().Select(mark => mark.GetProperty("kind").GetString()));
        Assert.Equal(
            "the device says: watchdog; it was away 70 s",
            lane.GetProperty("marks")[3].GetProperty("text").GetString());
        using HttpResponseMessage nobody = await rig.Client.GetAsync("/devices/nobody/history");
        Assert.Equal(HttpStatusCode.NotFound, nobody.StatusCode);
    }

    [Theory]
    [InlineData("/fleet", "Fleet")]
    [InlineData("/sites", "Sites")]
    [InlineData("/worst", "Worst")]
    [InlineData("/devices/a/history", "History")]
    [InlineData("/devices/a", "Device")]
    [InlineData("/devices", "Page")]
    [InlineData("/alarms", "Alarms")]
    public async Task An_answer_has_the_properties_the_document_names(string path, string schema)
    {
        await using PageRig rig = await PageRig.StartAsync(isTelling: true);
        await rig.BeatAsync(1, _ => ("a", 60, "north"));
        rig.MoveTo(130);
        while ((await rig.GetAsync("/fleet")).GetProperty("samples").GetArrayLength() == 0)
        {
            await Task.Delay(20);
        }

        JsonElement schemas = (await rig.GetAsync("/openapi.json")).GetProperty("components").GetProperty("schemas");

        AssertSame(schemas, schemas.GetProperty(schema), await rig.GetAsync(path), schema);
    }

    [Fact]
    public async Task The_stream_tells_totals_changes_and_alarms_and_resumes()
    {
        await using PageRig rig = await PageRig.StartAsync();
        using var enough = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        string id;
        await using (var stream = await LiveListener.OpenAsync(rig, null, enough.Token))
        {
            Assert.Equal("reset", (await stream.NextAsync()).Name);
            await rig.BeatAsync(101, i => ($"device-{i}", 60, null));
            LiveEvent totals = await stream.UntilAsync(found => found.Name == "totals" && found.Data.Contains("\"online\":101"));
            LiveEvent changes = await stream.UntilAsync(found => found.Name == "changes");
            Assert.Equal(100, changes.Json.GetProperty("changes").GetArrayLength());
            Assert.Equal(1, changes.Json.GetProperty("more").GetInt32());
            Assert.Equal("device-0", changes.Json.GetProperty("changes")[0].GetProperty("device").GetString());
            id = changes.Id;
        }

        rig.MoveTo(75);
        await rig.GetAsync("/alarms"); // All are late at once, by which the checker knows that it is not each of them.
        rig.MoveTo(130);
        await using (var stream = await LiveListener.OpenAsync(rig, id, enough.Token))
        {
            // Everything that came since, and first of all no "reset".
            Assert.Equal("totals", (await stream.NextAsync()).Name);
            LiveEvent alarms = await stream.UntilAsync(found => found.Name == "alarms");
            Assert.Equal("fleetLost", alarms.Json.GetProperty("alarms")[0].GetProperty("kind").GetString());
        }

        await using (var stream = await LiveListener.OpenAsync(rig, "1-1", enough.Token))
        {
            Assert.Equal("reset", (await stream.NextAsync()).Name);
        }
    }

    [Fact]
    public async Task One_listener_too_many_is_refused_and_a_place_that_is_left_is_free()
    {
        await using PageRig rig = await PageRig.StartAsync();
        using var enough = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var listeners = new List<LiveListener>();
        for (int i = 0; i < LiveRoute.ListenersMax; i++)
        {
            listeners.Add(await LiveListener.OpenAsync(rig, null, enough.Token));
        }

        using (HttpResponseMessage refused = await rig.Client.GetAsync("/live", HttpCompletionOption.ResponseHeadersRead))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        }

        await listeners[0].DisposeAsync();
        HttpStatusCode code = HttpStatusCode.ServiceUnavailable;
        while (code != HttpStatusCode.OK)
        {
            await Task.Delay(20, enough.Token);
            using HttpResponseMessage answer = await rig.Client.GetAsync("/live", HttpCompletionOption.ResponseHeadersRead);
            code = answer.StatusCode;
        }

        foreach (LiveListener listener in listeners.Skip(1))
        {
            await listener.DisposeAsync();
        }
    }

    [Fact]
    public async Task The_page_is_open_to_all_and_its_data_is_not()
    {
        await using PageRig rig = await PageRig.StartAsync(isKeyAsked: true);
        foreach (string path in new[] { "/", "/page.css", "/page.js", "/lane.js", "/stream.js" })
        {
            using HttpResponseMessage answer = await rig.Client.GetAsync(path);
            string policy = answer.Headers.GetValues("Content-Security-Policy").Single();
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.Contains("default-src 'none'", policy, StringComparison.Ordinal);
            Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        }

        foreach (string path in new[] { "/live", "/worst", "/sites", "/fleet", "/devices/a/history", "/page.html" })
        {
            using HttpResponseMessage answer = await rig.Client.GetAsync(path);
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        }
    }

    private static void AssertSame(JsonElement schemas, JsonElement schema, JsonElement value, string place)
    {
        if (schema.TryGetProperty("$ref", out JsonElement reference))
        {
            schema = schemas.GetProperty(reference.GetString()!.Split('/')[^1]);
        }

        if (value.ValueKind == JsonValueKind.Array)
        {
            Assert.True(value.GetArrayLength() > 0, place + " is empty: nothing is compared");
            foreach (JsonElement item in value.EnumerateArray().Take(1))
            {
                AssertSame(schemas, schema.GetProperty("items"), item, place + "[]");
            }
        }
        else if (value.ValueKind == JsonValueKind.Object)
        {
            JsonElement named = schema.GetProperty("properties");
            Assert.Equal(
                named.EnumerateObject().Select(property => $"{place}.{property.Name}").Order(StringComparer.Ordinal),
                value.EnumerateObject().Select(property => $"{place}.{property.Name}").Order(StringComparer.Ordinal));
            foreach (JsonProperty property in value.EnumerateObject())
            {
                AssertSame(schemas, named.GetProperty(property.Name), property.Value, $"{place}.{property.Name}");
            }
        }
    }
}
