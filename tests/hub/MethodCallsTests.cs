using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class MethodCallsTests
{
    private readonly MethodCalls calls = new();

    [Fact]
    public void A_call_is_published_and_answered()
    {
        long call = calls.Start(0, 7, Request("""{"methodName":"reboot","payload":{"input1":"x"}}"""), isReady: true);
        Assert.True(calls.TryTakePublish(out MethodPublish publish));
        Assert.Equal((7, "$iothub/methods/POST/reboot/?$rid=1"), (publish.Device, publish.Topic));
        Assert.Equal("""{"input1":"x"}""", Text(publish.Payload));
        Assert.Equal(30_000, calls.NextWakeMs);
        Assert.True(MethodRequest.TryParseAnswer("201/?$rid=1"u8, out int status, out long id));
        Assert.True(calls.OnAnswer(500, 7, id, status, """{"a":1}"""u8.ToArray()));
        MethodOutcome outcome = Outcome();
        Assert.Equal((call, null, """{"status":201,"payload":{"a":1}}"""), (outcome.Call, outcome.Error, Text(outcome.Body())));
        Assert.Equal((0, long.MaxValue), (calls.Count, calls.NextWakeMs));
    }

    [Fact]
    public void An_offline_device_is_404103_at_once_or_after_the_connect_timeout()
    {
        calls.Start(0, 1, Request("""{"methodName":"m"}"""), isReady: false);
        Assert.Equal((404103, 0), (Outcome().Error!.Code, calls.Count));
        calls.Start(0, 1, Request("""{"methodName":"m","connectTimeoutInSeconds":60}"""), isReady: false);
        calls.OnWake(59_999);
        Assert.False(calls.TryTakeOutcome(out _));
        calls.OnWake(60_000);
        HubError error = Outcome().Error!;
        Assert.Equal((404103, 60), (error.Code, error.TimeoutSeconds));
    }

    [Fact]
    public void A_device_that_comes_in_time_gets_the_call_and_its_whole_response_timeout()
    {
        calls.Start(0, 1, Request("""{"methodName":"m","connectTimeoutInSeconds":60,"responseTimeoutInSeconds":5}"""), isReady: false);
        Assert.False(calls.TryTakePublish(out _));
        calls.OnReady(59_000, 1);
        Assert.True(calls.TryTakePublish(out _));
        Assert.Equal(64_000, calls.NextWakeMs);
        calls.OnReady(60_000, 1);
        Assert.False(calls.TryTakePublish(out _));
        calls.OnWake(64_000);
        Assert.Equal(504101, Outcome().Error!.Code);
    }

    [Fact]
    public void Late_repeated_and_foreign_answers_are_passed_over()
    {
        calls.Start(0, 1, Request("""{"methodName":"m","responseTimeoutInSeconds":5}"""), isReady: true);
        Assert.False(calls.OnAnswer(0, 2, 1, 200, default));
        Assert.False(calls.OnAnswer(0, 1, 2, 200, default));
        calls.OnWake(5_000);
        Assert.Equal(504, Outcome().Error!.HttpStatus);
        Assert.False(calls.OnAnswer(5_001, 1, 1, 200, default));
        calls.Start(6_000, 1, Request("""{"methodName":"m"}"""), isReady: true);
        Assert.True(calls.OnAnswer(6_001, 1, 2, 200, default));
        Assert.False(calls.OnAnswer(6_001, 1, 2, 200, default));
        Assert.Equal("""{"status":200,"payload":null}""", Text(Outcome().Body()));
        calls.Start(7_000, 1, Request("""{"methodName":"m"}"""), isReady: true);
        calls.Cancel(3);
        Assert.False(calls.OnAnswer(7_000, 1, 3, 200, default));
        Assert.False(calls.TryTakeOutcome(out _));
    }

    [Fact]
    public void An_answer_at_the_very_end_of_its_time_is_late()
    {
        calls.Start(0, 1, Request("""{"methodName":"m","responseTimeoutInSeconds":5}"""), isReady: true);
        Assert.False(calls.OnAnswer(5_000, 1, 1, 200, default));
        Assert.Equal(504101, Outcome().Error!.Code);
    }

    [Theory]
    [InlineData(true, 400027)]
    [InlineData(false, 404104)]
    public void The_end_of_the_connection_ends_what_was_sent_over_it(bool takenOver, int code)
    {
        calls.Start(0, 1, Request("""{"methodName":"m"}"""), isReady: true);
        calls.Start(0, 2, Request("""{"methodName":"m"}"""), isReady: true);
        calls.Start(0, 1, Request("""{"methodName":"m","connectTimeoutInSeconds":60}"""), isReady: false);
        calls.OnGone(10, 1, takenOver);
        Assert.Equal((1L, code), (Outcome() is var outcome ? outcome.Call : 0, outcome.Error!.Code));
        Assert.False(calls.TryTakeOutcome(out _));
        Assert.Equal(2, calls.Count);
    }

    [Fact]
    public void An_answer_that_is_no_JSON_or_too_long_is_not_passed_on()
    {
        foreach (byte[] answer in new[] { "{"u8.ToArray(), "1 2"u8.ToArray(), new byte[131_073], [0xFF] })
        {
            long call = calls.Start(0, 1, Request("""{"methodName":"m"}"""), isReady: true);
            Assert.True(calls.OnAnswer(0, 1, call, 200, answer));
            Assert.Equal(502101, Outcome().Error!.Code);
        }

        long last = calls.Start(0, 1, Request("""{"methodName":"m"}"""), isReady: true);
        byte[] longest = Encoding.UTF8.GetBytes('"' + new string('x', 131_070) + '"');
        calls.OnAnswer(0, 1, last, -3, longest);
        Assert.Null(Outcome().Error);
    }

    [Fact]
    public void Calls_under_way_are_bounded_per_device_and_in_all()
    {
        MethodRequest request = Request("""{"methodName":"m"}""");
        for (int device = 0; calls.Count < MethodCalls.TotalMax; device++)
        {
            for (int i = 0; i < MethodCalls.PerDeviceMax && calls.Count < MethodCalls.TotalMax; i++)
            {
                calls.Start(0, device, request, isReady: true);
            }

            if (device == 0)
            {
                calls.Start(0, 0, request, isReady: true);
                Assert.Equal(429001, Outcome().Error!.Code);
            }
        }

        calls.Start(0, 100_000, request, isReady: true);
        Assert.Equal(429, Outcome().Error!.HttpStatus);
        calls.OnWake(30_000);
        Assert.Equal(0, calls.Count);
    }

    [Fact]
    public void Whatever_happens_every_call_ends_once()
    {
        for (int seed = 0; seed < 50; seed++)
        {
            var random = new Random(seed);
            var machine = new MethodCalls();
            var open = new HashSet<long>();
            long now = 0, last = 0;
            for (int step = 0; step < 500; step++)
            {
                now += random.Next(3_000);
                int device = random.Next(3);
                switch (random.Next(5))
                {
                    case 0 or 1:
                        var request = new MethodRequest("m", default, random.Next(5, 30), random.Next(2) * random.Next(60));
                        open.Add(last = machine.Start(now, device, request, isReady: random.Next(2) == 0));
                        break;
                    case 2:
                        machine.OnAnswer(now, device, random.NextInt64(last + 2), 200, default);
                        break;
                    case 3:
                        machine.OnReady(now, device);
                        break;
                    default:
                        machine.OnGone(now, device, random.Next(2) == 0);
                        break;
                }

                machine.OnWake(now);
                while (machine.TryTakeOutcome(out MethodOutcome outcome))
                {
                    Assert.True(open.Remove(outcome.Call));
                }

                Assert.Equal(open.Count, machine.Count);
                Assert.True(machine.NextWakeMs > now);
            }

            machine.OnWake(now + 1_000_000);
            Assert.Equal(0, machine.Count);
        }
    }

    [Theory]
    [InlineData("", "the body is not valid JSON")]
    [InlineData("[]", "the body must be a JSON object")]
    [InlineData("{}", "methodName must be")]
    [InlineData("{\"methodName\":7}", "methodName must be")]
    [InlineData("{\"methodName\":\"a/b\"}", "methodName must be")]
    [InlineData("{\"methodName\":\"a#\"}", "methodName must be")]
    [InlineData("{\"methodName\":\"a b\"}", "methodName must be")]
    [InlineData("{\"methodName\":\"ä\"}", "methodName must be")]
    [InlineData("{\"methodName\":\"a\",\"responseTimeoutInSeconds\":4}", "responseTimeoutInSeconds must be a whole number from 5 to 300")]
    [InlineData("{\"methodName\":\"a\",\"responseTimeoutInSeconds\":301}", "responseTimeoutInSeconds must be")]
    [InlineData("{\"methodName\":\"a\",\"connectTimeoutInSeconds\":-1}", "connectTimeoutInSeconds must be a whole number from 0 to 300")]
    [InlineData("{\"methodName\":\"a\",\"connectTimeoutInSeconds\":\"5\"}", "connectTimeoutInSeconds must be")]
    [InlineData("{\"methodName\":\"\\ud800\"}", "the body is not valid JSON")]
    public void What_is_wrong_with_a_request_is_named(string body, string problem)
    {
        Assert.False(MethodRequest.TryParse(Encoding.UTF8.GetBytes(body), out _, out IReadOnlyList<string> problems));
        Assert.StartsWith(problem, Assert.Single(problems), StringComparison.Ordinal);
    }

    [Fact]
    public void Hostile_requests_and_topics_never_throw()
    {
        byte[] good =
            """{"methodName":"m","payload":{"a":[1,"x"]},"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":null}"""u8.ToArray();
        Assert.True(MethodRequest.TryParse(good, out _, out _));
        foreach (byte[] body in Damage.PrefixesOf(good).Concat(Damage.MutationsOf(good, 3, 5000)))
        {
            Assert.NotEqual(MethodRequest.TryParse(body, out _, out IReadOnlyList<string> problems), problems.Count > 0);
        }

        Assert.False(MethodRequest.TryParse(Encoding.UTF8.GetBytes(new string('[', 32_000)), out _, out _));
        Assert.False(MethodRequest.TryParse(new byte[200_000], out _, out _));
        byte[] big = Encoding.UTF8.GetBytes($"{{\"methodName\":\"m\",\"payload\":\"{new string('x', 131_071)}\"}}");
        Assert.False(MethodRequest.TryParse(big, out _, out _));
        byte[] topic = "200/?$rid=1f&x=y"u8.ToArray();
        Assert.True(MethodRequest.TryParseAnswer(topic, out int status, out long id));
        Assert.Equal((200, 31L), (status, id));
        foreach (byte[] damaged in Damage.PrefixesOf(topic).Concat(Damage.MutationsOf(topic, 4, 5000)))
        {
            MethodRequest.TryParseAnswer(damaged, out _, out _);
        }

        Assert.False(MethodRequest.TryParseAnswer("99999999999/?$rid=1"u8, out _, out _));
        Assert.False(MethodRequest.TryParseAnswer("200/?$rid="u8, out _, out _));
    }

    private static MethodRequest Request(string body)
    {
        Assert.True(MethodRequest.TryParse(Encoding.UTF8.GetBytes(body), out MethodRequest? request, out _));
        return request!;
    }

    private MethodOutcome Outcome()
    {
        Assert.True(calls.TryTakeOutcome(out MethodOutcome outcome));
        return outcome;
    }

    private static string Text(ReadOnlyMemory<byte> json) => Encoding.UTF8.GetString(json.Span);
}
