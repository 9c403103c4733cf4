using System.Text;
using Agent.Hub;
using Agent.Input;

namespace Agent.Tests.Hub;

/// <summary>Bodies of POST /local/faults, good and bad.</summary>
public sealed class HubFaultOrderTests
{
    [Theory]
    [InlineData("""{"kind":"tcpDrop","all":true}""", "TcpDrop all")]
    [InlineData("""{"kind":"tcpDrop","how":"rst","devices":["a","b"]}""", "TcpDrop rst a,b")]
    [InlineData("""{"kind":"hubFailover","share":0.25,"seed":9}""", "HubFailover 0.25/9")]
    [InlineData("""{"kind":"graceOver","share":1}""", "GraceOver 1/1")]
    [InlineData("""{"kind":"refuse","code":3,"for":"00:01:00","all":true}""", "Refuse 60000 code3 all")]
    [InlineData("""{"kind":"silentHub","for":"00:10:00","devices":["a"]}""", "SilentHub 600000 a")]
    [InlineData("""{"kind":"ackDelay","by":"00:00:05","all":true}""", "AckDelay by5000 all")]
    [InlineData("""{"kind":"throttle","all":true,}""", "Throttle all")]
    [InlineData("""{"kind":"quotaExceeded","for":"1.00:00:00","all":true} // a day""", "QuotaExceeded 86400000 all")]
    [InlineData("""{"kind":"deviceDisabled","devices":["a"]}""", "DeviceDisabled a")]
    [InlineData("""{"kind":"keyRotated","devices":["a"],"for":"00:00:01"}""", "KeyRotated 1000 a")]
    public void An_order_is_read(string body, string expected) =>
        Assert.Equal(expected, Text(HubFaultOrder.Parse(Encoding.UTF8.GetBytes(body))));

    [Theory]
    [InlineData("", "$: not valid JSON at line 1, byte 1")]
    [InlineData("[]", "$: expected an object, found a list")]
    [InlineData("{}", "$.kind: missing; allowed: tcpDrop, hubFailover")]
    [InlineData("""{"kind":"flood","all":true}""", "$.kind: unknown value \"flood\"; allowed: tcpDrop")]
    [InlineData("""{"kind":7,"all":true}""", "$.kind: expected text, found a number")]
    [InlineData("""{"kind":"tcpDrop"}""", "$: exactly one of devices, share and all")]
    [InlineData("""{"kind":"tcpDrop","all":false}""", "$: exactly one of devices, share and all")]
    [InlineData("""{"kind":"tcpDrop","all":true,"share":0.5}""", "$: exactly one of devices, share and all")]
    [InlineData("""{"kind":"tcpDrop","all":true,"for":"00:00:01"}""", "$.for: tcpDrop is a moment")]
    [InlineData("""{"kind":"throttle","all":true,"how":"fin"}""", "$: unknown key \"how\"")]
    [InlineData("""{"kind":"throttle","all":true,"for":"90"}""", "$.for: \"90\" is not a duration")]
    [InlineData("""{"kind":"throttle","all":true,"for":"00:00:00"}""", "$.for: \"00:00:00\" is out of range")]
    [InlineData("""{"kind":"throttle","all":true,"for":"8.00:00:00"}""", "$.for: \"8.00:00:00\" is out of range")]
    [InlineData("""{"kind":"refuse","code":0,"all":true}""", "$.code: 0 is out of range; allowed: 1 to 5")]
    [InlineData("""{"kind":"ackDelay","all":true}""", "$.by: missing")]
    [InlineData("""{"kind":"tcpDrop","share":0}""", "$.share: 0 is nobody")]
    [InlineData("""{"kind":"tcpDrop","share":1.5}""", "$.share: 1.5 is out of range")]
    [InlineData("""{"kind":"tcpDrop","devices":[]}""", "$.devices: empty")]
    [InlineData("""{"kind":"tcpDrop","devices":["a",3]}""", "$.devices[1]: expected a device id, found a number")]
    [InlineData("""{"kind":"tcpDrop","devices":"a"}""", "$.devices: expected a list")]
    [InlineData("""{"kind":"\ud800","all":true}""", "$: a text is not valid Unicode")]
    public void A_bad_order_is_refused_with_the_place(string body, string expected)
    {
        var problem = Assert.Throws<BadInputException>(() => HubFaultOrder.Parse(Encoding.UTF8.GetBytes(body)));
        Assert.StartsWith(expected, problem.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', problem.Message);
    }

    [Fact]
    public void Damaged_orders_are_refused_or_read_but_never_anything_else()
    {
        byte[] whole = """{"kind":"refuse","code":3,"for":"00:01:00","devices":["device-0001","é"],"seed":4}"""u8.ToArray();
        var random = new Random(5);
        for (int round = 0; round < 20_000; round++)
        {
            byte[] damaged = round < whole.Length ? whole[..round] : [.. whole];
            for (int i = random.Next(1, 4); round >= whole.Length && i > 0; i--)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }

            try
            {
                HubFaultOrder.Parse(damaged);
            }
            catch (BadInputException problem)
            {
                Assert.StartsWith("$", problem.Message, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData(10, 0.25, 3)]
    [InlineData(10, 0.04, 0)]
    [InlineData(10, 1, 10)]
    [InlineData(1, 0.5, 1)]
    [InlineData(0, 0.5, 0)]
    public void A_share_is_that_many_devices_and_the_seed_says_which(int fleet, double share, int expected)
    {
        int[] devices = [.. Enumerable.Range(100, fleet)];
        int[] drawn = HubFaultOrder.Draw(devices, share, 7);
        Assert.Equal(expected, drawn.Distinct().Count());
        Assert.Subset(devices.ToHashSet(), drawn.ToHashSet());
        Assert.Equal(drawn, HubFaultOrder.Draw(devices, share, 7));
    }

    [Fact]
    public void Different_seeds_choose_different_devices()
    {
        int[] fleet = [.. Enumerable.Range(0, 100)];
        Assert.NotEqual(HubFaultOrder.Draw(fleet, 0.5, 1), HubFaultOrder.Draw(fleet, 0.5, 2));
    }

    private static string Text(HubFaultOrder order) => string.Join(' ', new[]
    {
        order.Kind.ToString(),
        order.ForMs?.ToString(),
        order.Reset ? "rst" : null,
        order.Code != 5 ? $"code{order.Code}" : null,
        order.ByMs != 0 ? $"by{order.ByMs}" : null,
        order.Devices is { } ids ? string.Join(',', ids) : null,
        order.Share is { } share ? FormattableString.Invariant($"{share}/{order.Seed}") : null,
        order.All ? "all" : null,
    }.Where(part => part is not null));
}
