using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class TwinsTests
{
    [Fact]
    public void Reported_properties_merge_and_null_deletes()
    {
        var twins = new Twins();
        Assert.True(twins.TryReport(0, """{"a":1,"b":{"c":2,"d":3},"e":[1]}"""u8, out long version));
        Assert.Equal(2, version);
        Assert.True(twins.TryReport(0, """{"a":null,"b":{"c":"x","d":null},"f":{"g":{"h":null,"i":1}}}"""u8, out _));

        Assert.Equal(
            """{"desired":{"$version":1},"reported":{"b":{"c":"x"},"e":[1],"f":{"g":{"i":1}},"$version":3}}""",
            Encoding.UTF8.GetString(twins.Read(0)));
        Assert.Equal("""{"desired":{"$version":1},"reported":{"$version":1}}""", Encoding.UTF8.GetString(twins.Read(1)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("7")]
    [InlineData("null")]
    [InlineData("{\"a\":1,\"a\":2}")]
    [InlineData("{\"a\":{\"b\":1,\"b\":2}}")]
    [InlineData("{\"a\":{\"\\ud800\":1}}")]
    public void What_is_no_object_is_refused(string patch) =>
        Assert.False(new Twins().TryReport(0, Encoding.UTF8.GetBytes(patch), out _));

    [Fact]
    public void Too_deep_too_long_and_too_much_are_refused()
    {
        var twins = new Twins();
        Assert.False(twins.TryReport(0, Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"a\":", 5000))), out _));
        Assert.False(twins.TryReport(0, Encoding.UTF8.GetBytes($"{{\"a\":\"{new string('x', 40_000)}\"}}"), out _));
        Assert.True(twins.TryReport(0, Encoding.UTF8.GetBytes($"{{\"a\":\"{new string('x', 30_000)}\"}}"), out _));
        Assert.False(twins.TryReport(0, Encoding.UTF8.GetBytes($"{{\"b\":\"{new string('x', 30_000)}\"}}"), out _));
    }

    [Fact]
    public void Damaged_patches_never_throw()
    {
        var twins = new Twins();
        byte[] good = """{"a":1,"b":{"c":"\u00e4","d":[1,null,{}]}}"""u8.ToArray();
        foreach (byte[] patch in Damage.MutationsOf(good, seed: 7, count: 20_000))
        {
            twins.TryReport(0, patch, out _);
        }

        Assert.NotEmpty(twins.Read(0));
    }
}
