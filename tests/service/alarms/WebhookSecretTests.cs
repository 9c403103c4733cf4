using System.Text;
using Agent.Service.Alarms;

namespace Agent.Tests.Service.Alarms;

public sealed class WebhookSecretTests
{
    // The vector of the Standard Webhooks reference libraries.
    private const string Id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    private const long Seconds = 1614265330;
    private const string Signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    private static readonly byte[] Body = Encoding.UTF8.GetBytes("{\"test\": 2432232314}");
    private static readonly DateTimeOffset Then = DateTimeOffset.FromUnixTimeSeconds(Seconds);

    [Fact]
    public void The_reference_vector_is_signed_as_the_reference_does() =>
        Assert.Equal(Signature, Notices.Secret().Sign(Id, Seconds, Body));

    [Fact]
    public void What_was_signed_verifies_also_beside_the_signature_of_another_key()
    {
        Assert.True(Notices.Secret().Verify(Id, "1614265330", Signature, Body, Then));
        Assert.True(Notices.Secret().Verify(Id, "1614265330", "v1,AAAA v2,xyz " + Signature, Body, Then.AddMinutes(5)));
    }

    [Theory]
    [InlineData("msg_other", "1614265330", Signature, 0)]
    [InlineData(Id, "1614265331", Signature, 0)]
    [InlineData(Id, "1614265330", Signature, 301)]
    [InlineData(Id, "1614265330", Signature, -301)]
    [InlineData(Id, "-1614265330", Signature, 0)]
    [InlineData(Id, "", Signature, 0)]
    [InlineData(Id, "9223372036854775807", Signature, 0)]
    [InlineData(Id, "1614265330", "", 0)]
    [InlineData(Id, "1614265330", "v1,", 0)]
    [InlineData(Id, "1614265330", "v1,!!!!", 0)]
    [InlineData(Id, "1614265330", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 0)]
    [InlineData(Id, "1614265330", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 0)]
    [InlineData(Id, "1614265330", "a a a a a a a a v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 0)]
    public void Anything_else_does_not(string id, string timestamp, string signatures, int laterSeconds) =>
        Assert.False(Notices.Secret().Verify(id, timestamp, signatures, Body, Then.AddSeconds(laterSeconds)));

    [Fact]
    public void A_body_of_which_any_bit_was_changed_does_not_verify()
    {
        for (int i = 0; i < Body.Length * 8; i++)
        {
            byte[] changed = [.. Body];
            changed[i / 8] ^= (byte)(1 << (i % 8));
            Assert.False(Notices.Secret().Verify(Id, "1614265330", Signature, changed, Then));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("whsec_")]
    [InlineData("whsec_AAAA")]
    [InlineData("not base64 at all !!")]
    public void What_is_not_a_secret_is_refused_without_repeating_it(string text)
    {
        Assert.False(WebhookSecret.TryParse(text, out _, out string problem));

        Assert.True(text.Length < 7 || !problem.Contains(text[6..], StringComparison.Ordinal));
    }

    [Fact]
    public void A_key_of_65_bytes_and_a_megabyte_of_text_are_refused()
    {
        Assert.False(WebhookSecret.TryParse("whsec_" + Convert.ToBase64String(new byte[65]), out _, out _));
        Assert.False(WebhookSecret.TryParse(new string('A', 1 << 20), out _, out _));
    }

    [Fact]
    public void A_generated_secret_is_one_and_never_prints()
    {
        string text = WebhookSecret.Generate();

        Assert.True(WebhookSecret.TryParse(text, out WebhookSecret? secret, out _));
        Assert.NotEqual(text, WebhookSecret.Generate());
        Assert.Equal("(secret)", $"{secret}");
        Assert.Equal("ops", $"{Notices.To(new Uri("https://x.example/hidden"))}");
    }
}
