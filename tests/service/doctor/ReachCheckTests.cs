using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Agent.Hub;
using Agent.Service;
using Agent.Service.Doctor;
using Agent.Tests.Hub;
using Agent.Tests.Service.Page;
using Microsoft.AspNetCore.Builder;

namespace Agent.Tests.Service.Doctor;

/// <summary>"Is it reachable now?", asked of the real local hub and of devices on its socket.</summary>
[Collection(RealTime.Name)]
public sealed class ReachCheckTests
{
    private const string Messages = "devices/device-0001/messages/devicebound/#";

    [Fact]
    public async Task Who_takes_the_message_is_reachable_who_lets_it_expire_is_not_and_feedback_of_others_is_left_alone()
    {
        await using var hub = new HubRig();
        await using HubHttp http = await HubHttp.StartAsync(hub.Server, IPAddress.Loopback, 0);
        await using TestDevice device = await TestDevice.ConnectAsync(hub.Server, 0);
        await device.SubscribeAsync(0, Messages);
        ServiceConnection connection = ConnectionOf(hub);
        using HttpClient other = HubRig.ClientOf(hub.Server, http);
        other.DefaultRequestHeaders.TryAddWithoutValidation(
            "Authorization", connection.Token(DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 600));
        using HttpResponseMessage sent = await other.PostAsJsonAsync(
            "/local/devices/device-0001/messages/devicebound", new { body = "x", messageId = "of-another", ack = "full" });
        Assert.True(sent.IsSuccessStatusCode);
        using var check = new ReachCheck(
            connection, http.Address.Port, TestDevice.TrustOnly(hub.Server.Data.AuthorityPath).CustomTrustStore, TimeProvider.System);

        Task<ReachFinding> there = check.AskAsync("device-0001", 20, CancellationToken.None);
        Task<ReachFinding> away = check.AskAsync("device-0002", 1, CancellationToken.None);
        Task<ReachFinding> nobody = check.AskAsync("nobody", 1, CancellationToken.None);

        Assert.Equal((ReachOutcome.NotFound, (bool?)null), Brief(await nobody));
        Assert.Equal((ReachOutcome.Answered, true), Brief(await there));
        Assert.Equal((ReachOutcome.Expired, false), Brief(await away));
        var seen = new List<string>();
        for (int turn = 0; turn < 100 && seen.Count == 0; turn++, await Task.Delay(200))
        {
            var feedback = new Uri("/messages/serviceBound/feedback?api-version=2021-04-12", UriKind.Relative);
            using HttpResponseMessage batch = await other.GetAsync(feedback);
            string text = await batch.Content.ReadAsStringAsync();
            seen.AddRange(text.Contains("of-another", StringComparison.Ordinal) ? [text] : []);
        }

        Assert.Single(seen);
    }

    [Fact]
    public async Task A_policy_without_the_right_and_a_hub_without_the_way_say_so()
    {
        await using var hub = new HubRig();
        await using HubHttp http = await HubHttp.StartAsync(hub.Server, IPAddress.Loopback, 0);
        Assert.True(ServiceConnection.TryParse(
            "HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey=c2VjcmV0", out ServiceConnection? wrong, out _));
        using var check = new ReachCheck(
            wrong!, http.Address.Port, TestDevice.TrustOnly(hub.Server.Data.AuthorityPath).CustomTrustStore, TimeProvider.System);
        Assert.Equal((ReachOutcome.Refused, (bool?)null), Brief(await check.AskAsync("device-0001", 1, CancellationToken.None)));

        // Nothing trusts this hub's authority here, which is as good as no hub.
        using var blind = new ReachCheck(wrong!, http.Address.Port, null, TimeProvider.System);
        Assert.Equal((ReachOutcome.NoWord, (bool?)null), Brief(await blind.AskAsync("device-0001", 1, CancellationToken.None)));
    }

    [Fact]
    public async Task The_route_and_the_doctors_step_tell_it_too()
    {
        await using var hub = new HubRig();
        await using HubHttp http = await HubHttp.StartAsync(hub.Server, IPAddress.Loopback, 0);
        await using TestDevice device = await TestDevice.ConnectAsync(hub.Server, 0);
        await device.SubscribeAsync(0, Messages);
        using var folder = new HubFolder();
        string file = folder["connection"];
        await File.WriteAllTextAsync(file, TextOf(hub));
        string[] arguments =
        [
            "--port", "0", "--data", "none", "--hub-connection", file, "--hub-ca", hub.Server.Data.AuthorityPath,
            "--hub-port", $"{hub.Server.EndPoint.Port}", "--hub-https-port", $"{http.Address.Port}",
        ];
        await using WebApplication application = Server.Build(CommandLine.Parse(arguments, _ => null).Options, TimeProvider.System);
        await application.StartAsync();
        using var client = new HttpClient { BaseAddress = new Uri(application.Urls.First()) };

        JsonElement found = await PostAsync(client, "/devices/device-0001/reach", """{"withinSeconds":20}""");
        Assert.Equal(("answered", true), (found.GetProperty("outcome").GetString(), found.GetProperty("reachable").GetBoolean()));

        JsonElement diagnosis = await PostAsync(client, "/devices/device-0001/doctor", "{}");
        Assert.Equal("good", Verdict(diagnosis, "registered"));
        Assert.Equal("good", Verdict(diagnosis, "port8883"));
        using HttpResponseMessage wrong = await client.PostAsync("/devices/device-0001/reach", Json("""{"withinSeconds":0}"""));
        Assert.Equal(HttpStatusCode.BadRequest, wrong.StatusCode);
        using var form = new FormUrlEncodedContent([]);
        using HttpResponseMessage unasked = await client.PostAsync("/devices/device-0001/reach", form);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, unasked.StatusCode);

        using var output = new StringWriter();
        using var error = new StringWriter();
        int exitCode = await DoctorVerb.RunAsync(
            [
                "device-0002", "--connection-string", TextOf(hub), "--ca", hub.Server.Data.AuthorityPath, "--reach", "1", "--json",
                "--port", $"{hub.Server.EndPoint.Port}", "--https-port", $"{http.Address.Port}",
            ],
            _ => null,
            (_, _) => Task.FromResult(new CheckerWord(null, null, "not asked")),
            output,
            error,
            TimeProvider.System,
            CancellationToken.None);
        Assert.Equal((1, ""), (exitCode, error.ToString()));
        Assert.Equal("trouble", Verdict(JsonSerializer.Deserialize<JsonElement>(output.ToString()), "reachable"));
    }

    [Fact]
    public async Task Without_a_hub_the_route_says_so()
    {
        await using PageRig rig = await PageRig.StartAsync();
        using HttpResponseMessage answer = await rig.Client.PostAsync("/devices/a/reach", Json("{}"));

        Assert.Equal(HttpStatusCode.Conflict, answer.StatusCode);
    }

    private static (ReachOutcome, bool?) Brief(ReachFinding finding) => (finding.Outcome, finding.IsReachable);

    private static string? Verdict(JsonElement diagnosis, string step) => diagnosis.GetProperty("steps").EnumerateArray()
        .Single(each => each.GetProperty("id").GetString() == step).GetProperty("verdict").GetString();

    private static ByteArrayContent Json(string text)
    {
        var content = new ByteArrayContent(System.Text.Encoding.UTF8.GetBytes(text));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return content;
    }

    private static async Task<JsonElement> PostAsync(HttpClient client, string path, string body)
    {
        using HttpResponseMessage answer = await client.PostAsync(path, Json(body));
        string text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, text);
        return JsonSerializer.Deserialize<JsonElement>(text);
    }

    private static string TextOf(HubRig hub)
    {
        Assert.True(hub.Server.Registry.TryFindPolicy("iothubowner"u8, out AccessPolicy? owner));
        return hub.Server.Registry.ConnectionStringOf(owner);
    }

    private static ServiceConnection ConnectionOf(HubRig hub)
    {
        Assert.True(ServiceConnection.TryParse(TextOf(hub), out ServiceConnection? connection, out string problem), problem);
        return connection!;
    }
}
