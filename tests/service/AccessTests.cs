using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using Agent.Service;
using Microsoft.AspNetCore.Builder;

namespace Agent.Tests.Service;

/// <summary>Who is let in, and what the service does about those who mean it ill.</summary>
[Collection(RealTime.Name)]
public sealed class AccessTests
{
    private const string Key = "a key of more than sixteen characters";

    [Theory]
    [InlineData("/devices", null, HttpStatusCode.Unauthorized)]
    [InlineData("/devices", "a key of more than sixteen characterS", HttpStatusCode.Unauthorized)]
    [InlineData("/devices", Key, HttpStatusCode.OK)]
    [InlineData("/devices?key=a+key+of+more+than+sixteen+characters", null, HttpStatusCode.Unauthorized)]
    [InlineData("/alarms", null, HttpStatusCode.Unauthorized)]
    [InlineData("/nowhere", null, HttpStatusCode.Unauthorized)]
    [InlineData("/healthz", null, HttpStatusCode.OK)]
    public async Task With_a_key_set_everything_but_the_health_needs_it(string path, string? key, HttpStatusCode expected)
    {
        await using WebApplication application = await StartAsync(new ServiceOptions { Port = 0, Key = AccessKey.Of(Key) });
        using HttpClient client = ClientOf(application);
        foreach (string header in new[] { "Authorization", "x-agent-key" })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path);
            if (key is not null)
            {
                request.Headers.TryAddWithoutValidation(header, header == "Authorization" ? "Bearer " + key : key);
            }

            using HttpResponseMessage answer = await client.SendAsync(request);
            Assert.Equal(expected, answer.StatusCode);
            Assert.DoesNotContain(Key, await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_webhook_may_carry_its_key_in_the_address()
    {
        await using WebApplication application = await StartAsync(new ServiceOptions { Port = 0, Key = AccessKey.Of(Key) });
        using HttpClient client = ClientOf(application);
        using HttpResponseMessage answer = await client.PostAsync("/events?key=" + Uri.EscapeDataString(Key), Json("[]"));

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    [Fact]
    public void An_address_outside_this_machine_without_a_key_is_refused()
    {
        Assert.Throws<ArgumentException>(() => Server.Build(new ServiceOptions { Port = 0, Address = IPAddress.Any }, TimeProvider.System));
        Assert.Throws<CommandLineException>(() => CommandLine.Parse(["--bind", "0.0.0.0"], _ => null));
        Assert.Throws<CommandLineException>(() => CommandLine.Parse([], _ => "short"));
        Assert.NotNull(CommandLine.Parse(["--bind", "0.0.0.0"], name => name == CommandLine.KeyVariable ? Key : null).Options.Key);
    }

    [Theory]
    [InlineData("--port")]
    [InlineData("--port", "65536")]
    [InlineData("--port", "-1")]
    [InlineData("--colour")]
    [InlineData("import")]
    [InlineData("import", "f", "--port", "1")]
    [InlineData("serve")]
    [InlineData("bench", "--devices", "0")]
    public void What_is_not_understood_is_refused(params string[] arguments) =>
        Assert.Throws<CommandLineException>(() => CommandLine.Parse(arguments, _ => null));

    [Fact]
    public async Task Too_many_requests_get_429_and_too_much_in_flight_503()
    {
        await using WebApplication few = await StartAsync(new ServiceOptions { Port = 0, RequestsPerSecondMax = 5 });
        using HttpClient client = ClientOf(few);
        var codes = new List<HttpStatusCode>();
        for (int i = 0; i < 50; i++)
        {
            using HttpResponseMessage answer = await client.GetAsync("/healthz");
            codes.Add(answer.StatusCode);
        }

        Assert.Contains(HttpStatusCode.TooManyRequests, codes);
        Assert.Contains(HttpStatusCode.OK, codes);

        await using WebApplication small = await StartAsync(new ServiceOptions { Port = 0, BodyBytesInFlightMax = 10 });
        using HttpClient other = ClientOf(small);
        using HttpResponseMessage refused = await other.PostAsync("/events", Json("[                    ]"));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
    }

    [Fact]
    public async Task A_body_of_a_gigabyte_two_thousand_idle_callers_and_slow_ones_leave_the_heartbeats_of_others_alone()
    {
        await using WebApplication application = await StartAsync(new ServiceOptions { Port = 0 });
        using HttpClient client = ClientOf(application);
        int port = client.BaseAddress!.Port;
        List<Socket> idle = [];
        try
        {
            GC.Collect();
            long before = Environment.WorkingSet;
            for (int i = 0; i < 2000; i++)
            {
                Socket socket = await ConnectAsync(port);
                idle.Add(socket);
                if (i % 4 == 0)
                {
                    await socket.SendAsync(Head(10));
                }
            }

            using Socket huge = await ConnectAsync(port);
            await huge.SendAsync(Head(1024 * 1024 * 1024));
            byte[] answer = new byte[64];
            int read = await huge.ReceiveAsync(answer);
            Assert.StartsWith("HTTP/1.1 413", Encoding.ASCII.GetString(answer, 0, read));

            string now = DateTimeOffset.UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);
            string body = "[" + HubMessages.Heartbeat("a", 0).Replace(HubMessages.Moment(0), now, StringComparison.Ordinal) + "]";
            using HttpResponseMessage taken = await client.PostAsync("/events", Json(body));
            Assert.Equal(HttpStatusCode.OK, taken.StatusCode);
            Assert.InRange(Environment.WorkingSet - before, long.MinValue, 200L * 1024 * 1024);
        }
        finally
        {
            idle.ForEach(socket => socket.Dispose());
        }
    }

    private static byte[] Head(int length) => Encoding.ASCII.GetBytes(
        $"POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");

    private static async Task<Socket> ConnectAsync(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, port);
        return socket;
    }

    private static StringContent Json(string text) => new(text, Encoding.UTF8, new MediaTypeHeaderValue("application/json"));

    private static async Task<WebApplication> StartAsync(ServiceOptions options)
    {
        WebApplication application = Server.Build(options, TimeProvider.System);
        await application.StartAsync();
        return application;
    }

    private static HttpClient ClientOf(WebApplication application) => new() { BaseAddress = new Uri(application.Urls.First()) };
}
