using System.Text;
using Agent.Core;

namespace Agent.Tests.Core;

public sealed class TwinReaderTests
{
    private static readonly TokenSettings Defaults = TokenSettings.Default();

    [Fact]
    public void A_twin_gives_settings_version_and_what_was_acknowledged()
    {
        TwinReader reader = new();
        Assert.True(Read(reader, """
            {"desired":{"other":{"token":5},"agent":{"token":{"lifetimeSeconds":1200,"renewAtPercent":80,"renewMode":"prewarm"},
             "backoff":{"minSeconds":2,"maxSeconds":20},"keepAliveSeconds":60,"heartbeat":{"intervalSeconds":30},
             "diagnostics":{"level":"summary"}},"$version":12},
             "reported":{"agent":{"ac":200,"av":11,"value":{"x":[1,2]}},"$version":40}}
            """));
        Assert.Null(reader.Problems);
        TokenSettings read = reader.Settings;
        Assert.Equal((1200, 80, RenewMode.Prewarm), (read.LifetimeSeconds, read.RenewAtPercent, read.RenewMode));
        Assert.Equal((2, 20), (read.BackoffMinSeconds, read.BackoffMaxSeconds));
        Assert.Equal((60, 30), (read.KeepAliveSeconds, read.HeartbeatIntervalSeconds));
        Assert.Equal(DiagnosticsLevel.Summary, read.DiagnosticsLevel);
        Assert.Equal((12L, 11L, 200L), (reader.Version, reader.AcknowledgedVersion, reader.AcknowledgedCode));
    }

    [Fact]
    public void Every_problem_is_named_at_once()
    {
        TwinReader reader = new();
        Assert.True(Read(reader, """
            {"desired":{"agent":{"token":{"lifetimeSeconds":5,"renewMode":"fast","lifeTime":1},"backoff":[],"keepAliveSeconds":"60",
             "heartbeat":{"intervalSeconds":1e3},"diagnostics":{"level":2},"colour":"red"},"$version":1},"reported":{}}
            """));
        Assert.Null(reader.Settings);
        Assert.Equal(
            "token.renewMode: no such word; token.lifeTime: no such setting; backoff: not an object; "
            + "keepAliveSeconds: not a whole number; heartbeat.intervalSeconds: not a whole number; "
            + "diagnostics.level: not a word; colour: no such setting; token.lifetimeSeconds: 5 is below 10",
            reader.Problems);
    }

    [Fact]
    public void A_thousand_problems_make_a_short_list()
    {
        TwinReader reader = new();
        string members = string.Join(',', Enumerable.Range(0, 1000).Select(i => $"\"unknown{i}\":{i}"));
        Assert.True(Read(reader, $"{{\"desired\":{{\"agent\":{{{members}}},\"$version\":1}}}}"));
        Assert.InRange(reader.Problems.Length, 100, 360);
        Assert.Matches("; and 9[89][0-9] more$", reader.Problems);
    }

    [Theory]
    [InlineData("{\"agent\":null,\"$version\":2}", 3600)]
    [InlineData("{\"agent\":{\"token\":null},\"$version\":2}", 3600)]
    [InlineData("{\"agent\":{\"token\":{\"lifetimeSeconds\":null}},\"$version\":2}", 3600)]
    [InlineData("{\"agent\":{\"token\":{\"spreadPercent\":3}},\"$version\":2}", 900)]
    [InlineData("{\"$version\":2}", 900)]
    public void Null_in_a_patch_is_the_default_and_what_is_not_named_stays(string patch, int lifetime)
    {
        TwinReader reader = new();
        byte[] bytes = Encoding.UTF8.GetBytes(patch);
        Assert.True(reader.ReadPatch(bytes, 0, bytes.Length, Build.Settings(lifetime: 900), Defaults));
        Assert.Equal((lifetime, 2L), (reader.Settings.LifetimeSeconds, reader.Version));
    }

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"reported\":{\"$version\":1}}")]
    [InlineData("{\"desired\":{}}")]
    [InlineData("{\"desired\":null}")]
    [InlineData("{\"desired\":{\"$version\":\"1\"}}")]
    [InlineData("{\"desired\":{\"$version\":-1}}")]
    [InlineData("{\"desired\":{\"$version\":1}")]
    [InlineData("{\"desired\":{\"$version\":1}}}")]
    [InlineData("{\"desired\":[{\"$version\":1}]}")]
    public void What_is_no_twin_is_said_to_be_none(string text) => Assert.False(Read(new TwinReader(), text));

    [Fact]
    public void Fuzzed_twins_never_crash_and_never_give_settings_out_of_range()
    {
        TwinReader reader = new();
        SeededRandom random = new(3);
        int good = 0;
        int refused = 0;
        for (int i = 0; i < 60_000; i++)
        {
            bool isTwin = Read(reader, TwinFuzz.Document(random));
            good += isTwin && reader.Settings is not null ? 1 : 0;
            refused += isTwin && reader.Problems is not null ? 1 : 0;
            Assert.True(!isTwin || (reader.Settings is null) != (reader.Problems is null));
            if (isTwin && reader.Settings is { } settings)
            {
                Assert.True(new TokenSettingsDraft(settings).TryBuild(out _, out _));
            }
        }

        Assert.True(good > 1000 && refused > 1000, $"{good} good, {refused} refused: the fuzz hits only one side");
    }

    [Fact]
    public void A_twin_of_32_KB_is_read_without_memory_to_match()
    {
        TwinReader reader = new();
        string others = string.Join(',', Enumerable.Range(0, 1500).Select(i => $"\"p{i}\":{{\"x\":[{i}]}}"));
        byte[] bytes = Encoding.UTF8.GetBytes(
            $"{{\"desired\":{{{others},\"agent\":{{\"keepAliveSeconds\":99}},\"$version\":3}},\"reported\":{{{others}}}}}");
        Assert.InRange(bytes.Length, 32_000, 64_000);
        reader.ReadTwin(bytes, 0, bytes.Length, Defaults);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.True(reader.ReadTwin(bytes, 0, bytes.Length, Defaults));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 600);
        Assert.Equal(99, reader.Settings.KeepAliveSeconds);
    }

    private static bool Read(TwinReader reader, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return reader.ReadTwin(bytes, 0, bytes.Length, Defaults);
    }
}
