using System.Net;
using System.Text;
using System.Text.Json;
using Agent.Service;
using Agent.Service.Alarms;
using Agent.Tests.Events;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Agent.Tests.Service.Alarms;

/// <summary>From a heartbeat that stays away to the receiver's socket, in virtual time.</summary>
[Collection(RealTime.Name)]
public sealed class AlarmDispatchTests : IAsyncDisposable
{
    private readonly string folder = Path.Combine(Path.GetTempPath(), $"dispatch-{Guid.NewGuid():N}");
    private readonly ManualTime time = new();
    private readonly HttpClient client = new();
    private WebApplication? application;
    private Receiver receiver = null!;
    private string address = "";

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        await StopAsync();
        await receiver.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_silence_is_raised_acknowledged_and_cleared_once_each()
    {
        receiver = await Receiver.StartAsync(time);
        await StartAsync(isTelling: true);
        await BeatAsync(0);
        time.Advance(TimeSpan.FromSeconds(130));

        JsonElement raised = await NextAsync("alarm.raised", "plant-7-1-raised");
        Assert.Equal(("deviceSilent", "error", "a"), (Text(raised, "kind"), Text(raised, "severity"), Text(raised, "subject")));
        Assert.Equal("2026-03-01T12:02:10.000Z", Text(raised, "began"));
        Assert.Contains(
            "a heartbeat every 60 s was announced", raised.GetProperty("facts").EnumerateArray().Select(fact => fact.GetString()));
        Assert.Equal("https://checker.example/#a", Text(raised, "link"));

        Assert.Equal(HttpStatusCode.OK, await PostAsync("/alarms/1/acknowledge", """{"by":"kim"}"""));
        Assert.Equal("kim", Text(await NextAsync("alarm.acknowledged", "plant-7-1-acknowledged"), "by"));
        Assert.Equal(HttpStatusCode.OK, await PostAsync("/alarms/1/acknowledge", """{"by":"robin"}"""));

        await BeatAsync(130, 2);
        await NextAsync("alarm.cleared", "plant-7-1-cleared");
        Assert.Equal(HttpStatusCode.NotFound, await PostAsync("/alarms/1/acknowledge", """{"by":"kim"}"""));
        Assert.False(receiver.HasMore);
    }

    [Fact]
    public async Task What_the_journal_has_and_the_outbox_missed_is_told_at_the_next_start_and_only_then()
    {
        receiver = await Receiver.StartAsync(time);
        await StartAsync(isTelling: true); // From here on the destination is known.
        await StartAsync(isTelling: false); // As if each of the two had been killed between journal and outbox.
        await BeatAsync(0);
        time.Advance(TimeSpan.FromSeconds(130));
        await client.GetStringAsync(address + "/alarms");

        await StartAsync(isTelling: true);
        await NextAsync("alarm.raised", "plant-7-1-raised");

        await StartAsync(isTelling: false);
        await BeatAsync(130, 2);
        await StartAsync(isTelling: true);
        await NextAsync("alarm.cleared", "plant-7-1-cleared");

        await StartAsync(isTelling: true);
        Assert.Equal(HttpStatusCode.OK, await PostAsync("/alarms/test", """{"destination":"ops"}"""));
        Assert.Contains("\"type\":\"test\"", (await receiver.NextAsync()).Text, StringComparison.Ordinal);
        Assert.False(receiver.HasMore);
    }

    [Fact]
    public async Task The_test_button_says_what_came_of_it()
    {
        receiver = await Receiver.StartAsync(time);
        await StartAsync(isTelling: true);
        receiver.Answer = _ => 500;
        using var body = new StringContent("""{"destination":"ops"}""", Encoding.UTF8, "application/json");
        using HttpResponseMessage answer = await client.PostAsync(address + "/alarms/test", body);
        JsonElement result = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;

        Assert.Equal(
            (HttpStatusCode.OK, "failed", 500), (answer.StatusCode, Text(result, "outcome"), result.GetProperty("status").GetInt32()));
    }

    [Theory]
    [InlineData("/alarms/test", """{"destination":"nobody"}""", "application/json", 404)]
    [InlineData("/alarms/test", """{"destination":""}""", "application/json", 400)]
    [InlineData("/alarms/test", """{"destination":"ops","more":1}""", "application/json", 400)]
    [InlineData("/alarms/test", """["ops"]""", "application/json", 400)]
    [InlineData("/alarms/test", """{"destination":"\ud800"}""", "application/json", 400)]
    [InlineData("/alarms/test", """{"destination":"ops"}""", "text/plain", 415)]
    [InlineData("/alarms/7/acknowledge", """{"by":"kim"}""", "application/json", 404)]
    [InlineData("/alarms/x/acknowledge", """{"by":"kim"}""", "application/json", 404)]
    [InlineData("/alarms/7/acknowledge", """{"by":"a\nb"}""", "application/json", 400)]
    [InlineData("/alarms/7/acknowledge", "{", "application/json", 400)]
    public async Task A_wrong_request_is_refused_in_one_line(string path, string body, string type, int status)
    {
        receiver = await Receiver.StartAsync(time);
        await StartAsync(isTelling: true);
        Assert.Equal((HttpStatusCode)status, await PostAsync(path, body, type));
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, await PostAsync("/alarms/test", new string(' ', 5000)));

        await StartAsync(isTelling: false);
        Assert.Equal(HttpStatusCode.Conflict, await PostAsync("/alarms/test", """{"destination":"ops"}"""));
        Assert.False(receiver.HasMore);
    }

    private static string? Text(JsonElement of, string name) => of.GetProperty(name).GetString();

    private async Task<JsonElement> NextAsync(string type, string id)
    {
        Received post = await receiver.NextAsync();
        JsonElement body = JsonDocument.Parse(post.Text).RootElement;
        Assert.Equal((type, id), (Text(body, "type"), post.Headers[WebhookSecret.IdHeader]));
        Assert.True(Notices.Secret().Verify(
            id, post.Headers[WebhookSecret.TimestampHeader], post.Headers[WebhookSecret.SignatureHeader], post.Body, time.GetUtcNow()));
        // A stop between the receiver's answer and its record would post it again, by the same id.
        AlarmDispatch dispatch = application!.Services.GetRequiredService<AlarmDispatch>();
        Assert.True(SpinWait.SpinUntil(() => dispatch.Waiting("ops") == 0, TimeSpan.FromSeconds(30)));
        return body.GetProperty("data");
    }

    private async Task<HttpStatusCode> PostAsync(string path, string body, string type = "application/json")
    {
        using var content = new StringContent(body, Encoding.UTF8, type);
        using HttpResponseMessage answer = await client.PostAsync(address + path, content);
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode || (text.IndexOf('\n', StringComparison.Ordinal) == text.Length - 1), text);
        return answer.StatusCode;
    }

    private async Task BeatAsync(int at, int number = 1) => Assert.Equal(
        HttpStatusCode.OK, await PostAsync("/events", $"[{HubMessages.Heartbeat("a", at, seq: $"{number}")}]"));

    private async Task StartAsync(bool isTelling)
    {
        await StopAsync();
        application = Server.Build(
            new ServiceOptions
            {
                Port = 0,
                Folder = folder,
                Liveness = Told.Settings with { SlowStartMs = 0 },
                Alarms = !isTelling ? null : new AlarmSettings
                {
                    Installation = "plant-7",
                    Page = new Uri("https://checker.example/"),
                    Destinations = [Notices.To(receiver.Url)],
                },
            },
            time);
        await application.StartAsync();
        address = application.Urls.First();
    }

    private async Task StopAsync()
    {
        if (application is not null)
        {
            await application.DisposeAsync();
            application = null;
        }
    }
}
