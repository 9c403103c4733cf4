using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Agent.Service;
using Microsoft.AspNetCore.Builder;

namespace Agent.Tests.Service;

public sealed class ServerTests : IAsyncLifetime
{
    private readonly SetClock clock = new() { Now = HubMessages.Start };
    private readonly HttpClient client = new();
    private WebApplication application = null!;

    public async ValueTask InitializeAsync()
    {
        application = Server.Build(new ServiceOptions { Port = 0, Liveness = Told.Settings with { DevicesMax = 3 } }, clock);
        await application.StartAsync();
        client.BaseAddress = new Uri(application.Urls.First());
    }

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        await application.DisposeAsync();
    }

    [Fact]
    public async Task It_listens_on_the_loopback_address()
    {
        Assert.Equal("127.0.0.1", client.BaseAddress!.Host);
        JsonElement health = await GetAsync("/healthz");
        Assert.Equal("ok", health.GetProperty("status").GetString());
    }

    [Fact]
    public async Task A_device_goes_from_online_to_late_to_silent_and_back()
    {
        await PostAsync(HubMessages.Heartbeat("a", 0));
        Assert.Equal("online", await StatusAsync("a"));

        clock.Now = HubMessages.Start.AddSeconds(70);
        Assert.Equal("late", await StatusAsync("a"));

        clock.Now = HubMessages.Start.AddSeconds(130);
        Assert.Equal("silent", await StatusAsync("a"));

        await PostAsync(HubMessages.Heartbeat("a", 129, seq: "2"));
        Assert.Equal("online", await StatusAsync("a"));
    }

    [Fact]
    public async Task A_device_is_shown_with_the_facts_its_status_rests_on()
    {
        await PostAsync(
            HubMessages.Heartbeat("a", 0, renewal: "50"),
            HubMessages.Connection("a", connected: false, 40, order: 3));
        clock.Now = HubMessages.Start.AddSeconds(101);

        JsonElement device = await GetAsync("/devices/a");

        Assert.Equal("late", device.GetProperty("status").GetString());
        Assert.Equal("2026-03-01T12:01:40.000Z", device.GetProperty("since").GetString());
        Assert.Equal("2026-03-01T12:00:50.000Z", device.GetProperty("plannedRenewal").GetString());
        Assert.Equal("disconnected", device.GetProperty("hubSays").GetString());
        Assert.Equal(
            "last sign of life 101 s ago, a heartbeat every 60 s was announced; the planned renewal was allowed for; "
            + "the hub reported it disconnected; it went to renew its token and did not come back",
            device.GetProperty("reason").GetString());
    }

    [Fact]
    public async Task The_list_counts_every_device_and_shows_a_page()
    {
        await PostAsync(HubMessages.Heartbeat("a", 0), HubMessages.Heartbeat("b", 55), HubMessages.Telemetry("c", 0));
        clock.Now = HubMessages.Start.AddSeconds(80);

        JsonElement all = await GetAsync("/devices?limit=2");
        Assert.Equal(
            [3, 1, 1, 0, 1],
            new[] { "total", "online", "late", "silent", "unknown" }.Select(name => all.GetProperty(name).GetInt32()));
        Assert.Equal(["a", "b"], Ids(all));
        Assert.Equal(2, all.GetProperty("next").GetInt32());
        Assert.Equal(["c"], Ids(await GetAsync("/devices?from=2")));
        Assert.Equal(["b"], Ids(await GetAsync("/devices?status=online")));
    }

    [Theory]
    [InlineData("/devices?limit=0")]
    [InlineData("/devices?limit=1001")]
    [InlineData("/devices?from=-1")]
    [InlineData("/devices?status=Online")]
    public async Task A_wrong_question_gets_400_and_one_line(string question)
    {
        using HttpResponseMessage answer = await client.GetAsync(question);

        await AssertOneLineAsync(HttpStatusCode.BadRequest, answer);
    }

    [Fact]
    public async Task A_device_id_with_signs_in_it_is_found()
    {
        await PostAsync(HubMessages.Heartbeat("a%2b?#(1)", 0));

        Assert.Equal("online", await StatusAsync("a%2b?#(1)"));
    }

    [Fact]
    public async Task A_device_nobody_heard_of_gets_404()
    {
        using HttpResponseMessage answer = await client.GetAsync("/devices/nobody");

        await AssertOneLineAsync(HttpStatusCode.NotFound, answer);
    }

    [Fact]
    public async Task The_handshake_is_answered()
    {
        using HttpResponseMessage answer = await SendAsync("""
            [{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"the-code"}}]
            """);

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("""{"validationResponse":"the-code"}""", await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task The_handshake_of_CloudEvents_is_answered()
    {
        using var request = new HttpRequestMessage(HttpMethod.Options, "/events");
        request.Headers.Add("WebHook-Request-Origin", "eventgrid.azure.net");
        using HttpResponseMessage answer = await client.SendAsync(request);

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("eventgrid.azure.net", answer.Headers.GetValues("WebHook-Allowed-Origin").Single());
        Assert.Single(answer.Headers.GetValues("WebHook-Allowed-Rate"));

        using HttpResponseMessage refused = await client.SendAsync(new HttpRequestMessage(HttpMethod.Options, "/events"));
        await AssertOneLineAsync(HttpStatusCode.BadRequest, refused);
    }

    [Fact]
    public async Task Records_of_the_hubs_log_are_taken_in()
    {
        string record = """
            {"time":"2026-03-01T12:00:00Z","category":"Connections","operationName":"deviceDisconnect","level":"Error",
             "resultType":"404104","properties":"{\"deviceId\":\"a\"}"}
            """;
        using HttpResponseMessage answer = await client.PostAsync(
            "/logs", new StringContent($"{{\"records\":[{record}]}}", Encoding.UTF8, "application/json"));

        Assert.Equal("""{"applied":1,"ignored":0,"problems":[]}""", await answer.Content.ReadAsStringAsync());
        JsonElement device = await GetAsync("/devices/a");
        Assert.Equal("late", device.GetProperty("status").GetString());
        Assert.Equal(404104, device.GetProperty("hubCode").GetInt32());
        Assert.Equal("closedRemotely", device.GetProperty("cause").GetString());
    }

    [Fact]
    public async Task An_alarm_is_listed_while_it_is_open_and_after()
    {
        await PostAsync(HubMessages.Heartbeat("a", 0));
        clock.Now = HubMessages.Start.AddSeconds(130);
        JsonElement open = (await GetAsync("/alarms")).GetProperty("alarms")[0];
        Assert.Equal(("deviceSilent", "a"), (open.GetProperty("kind").GetString(), open.GetProperty("subject").GetString()));
        Assert.Equal("2026-03-01T12:02:10.000Z", open.GetProperty("beganAt").GetString());

        await PostAsync(HubMessages.Telemetry(
            "a", 130, """{ "type":"heartbeat","seq":"2","interval":"60","reason":"128" }"""));
        Assert.Equal(0, (await GetAsync("/alarms")).GetProperty("open").GetInt32());
        JsonElement closed = (await GetAsync("/alarms?state=closed")).GetProperty("alarms")[0];
        Assert.Equal("watchdog", closed.GetProperty("deviceReason").GetString());
        Assert.Equal(1, closed.GetProperty("number").GetInt64());
    }

    [Fact]
    public async Task The_document_names_every_route_and_nothing_else()
    {
        IEnumerable<string> documented = (await GetAsync("/openapi.json")).GetProperty("paths").EnumerateObject()
            .SelectMany(path => path.Value.EnumerateObject().Select(method => $"{method.Name.ToUpperInvariant()} {path.Name}"));
        IEnumerable<string> mapped = ((Microsoft.AspNetCore.Routing.IEndpointRouteBuilder)application).DataSources
            .SelectMany(source => source.Endpoints)
            .OfType<Microsoft.AspNetCore.Routing.RouteEndpoint>()
            .SelectMany(endpoint => endpoint.Metadata.GetMetadata<Microsoft.AspNetCore.Routing.HttpMethodMetadata>()!.HttpMethods
                .Select(method => $"{method} {endpoint.RoutePattern.RawText}"));

        Assert.Equal(mapped.Order(StringComparer.Ordinal), documented.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_page_in_a_browser_cannot_come_by_a_name_of_its_own()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/devices");
        request.Headers.Host = "evil.example";
        using HttpResponseMessage answer = await client.SendAsync(request);

        await AssertOneLineAsync(HttpStatusCode.Forbidden, answer);
    }

    [Fact]
    public async Task A_batch_with_one_bad_event_changes_nothing()
    {
        using HttpResponseMessage answer = await SendAsync("[" + HubMessages.Heartbeat("a", 0) + ", {}]");

        await AssertOneLineAsync(HttpStatusCode.BadRequest, answer);
        Assert.Equal(0, (await GetAsync("/devices")).GetProperty("total").GetInt32());
    }

    [Fact]
    public async Task A_batch_that_does_not_fit_changes_nothing_and_may_come_again()
    {
        using HttpResponseMessage answer = await SendAsync(
            "[" + string.Join(",", "abcd".Select(id => HubMessages.Heartbeat(id.ToString(), 0))) + "]");

        await AssertOneLineAsync(HttpStatusCode.ServiceUnavailable, answer);
        Assert.Equal(0, (await GetAsync("/devices")).GetProperty("total").GetInt32());
    }

    [Fact]
    public async Task An_event_from_the_future_may_come_again_when_the_clock_is_right()
    {
        string early = "[" + HubMessages.Heartbeat("a", 601) + "]";
        using HttpResponseMessage refused = await SendAsync(early);
        await AssertOneLineAsync(HttpStatusCode.ServiceUnavailable, refused);

        clock.Now = HubMessages.Start.AddSeconds(1);
        using HttpResponseMessage accepted = await SendAsync(early);
        Assert.Equal(HttpStatusCode.OK, accepted.StatusCode);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_body_over_the_limit_is_refused_and_the_next_one_served(bool isLengthToldAhead)
    {
        using var body = new ByteArrayContent(new byte[Server.BodyBytesMax + 1]);
        body.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, "/events") { Content = body };
        request.Headers.TransferEncodingChunked = !isLengthToldAhead;
        // Without this the client may still be sending when the server closes, and would report that instead of the answer.
        request.Headers.ExpectContinue = true;
        using HttpResponseMessage answer = await client.SendAsync(request);

        await AssertOneLineAsync(HttpStatusCode.RequestEntityTooLarge, answer);
        await PostAsync(HubMessages.Heartbeat("a", 0));
    }

    [Fact]
    public async Task A_body_of_another_type_is_refused()
    {
        using HttpResponseMessage answer = await client.PostAsync("/events", new StringContent("[]", Encoding.UTF8, "text/plain"));

        await AssertOneLineAsync(HttpStatusCode.UnsupportedMediaType, answer);
    }

    private static IEnumerable<string?> Ids(JsonElement list) =>
        list.GetProperty("devices").EnumerateArray().Select(device => device.GetProperty("id").GetString());

    private static async Task AssertOneLineAsync(HttpStatusCode expected, HttpResponseMessage answer)
    {
        string text = await answer.Content.ReadAsStringAsync();
        Assert.Equal(expected, answer.StatusCode);
        Assert.Matches("^[^\n]+\n$", text);
    }

    private async Task<string?> StatusAsync(string device) =>
        (await GetAsync("/devices/" + Uri.EscapeDataString(device))).GetProperty("status").GetString();

    private async Task<JsonElement> GetAsync(string path)
    {
        using JsonDocument document = JsonDocument.Parse(await client.GetStringAsync(path));
        return document.RootElement.Clone();
    }

    private async Task PostAsync(params string[] events)
    {
        using HttpResponseMessage answer = await SendAsync("[" + string.Join(",", events) + "]");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    private Task<HttpResponseMessage> SendAsync(string body) =>
        client.PostAsync("/events", new StringContent(body, Encoding.UTF8, "application/json"));

    /// <summary>A clock that stands where the test puts it.</summary>
    private sealed class SetClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; }

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
