using System.Collections.Concurrent;
using Agent.Verify;

namespace Agent.Tests.Verify;

/// <summary>The judge of <c>verify</c>, judged: a device of the model plays the genuine client, right or with one thing wrong.</summary>
public sealed class ComparisonTests
{
    private static readonly VerifyPlan Plan = VerifyPlan.Make("node", 60, 15, null);
    private static readonly ConcurrentDictionary<string, (List<List<Step>> Devices, List<List<Step>> Refused)> Models = [];

    [Theory]
    [InlineData("calm")]
    [InlineData("fin")]
    [InlineData("rst")]
    [InlineData("refuse")]
    [InlineData("twin")]
    [InlineData("silent")]
    public void Another_device_of_the_same_model_agrees(string name)
    {
        foreach (List<Step> device in ModelSide.Run(Plan, CaseOf(name), seed: 77).Take(5))
        {
            CaseResult result = Compare(name, device);
            Assert.True(result.Agrees, Failed(result));
            Assert.All(result.Rows, row => Assert.True(row.Agrees));
        }
    }

    [Fact]
    public void A_renewal_two_seconds_late_is_seen()
    {
        CaseResult result = CompareChanged("fin", (step, i, all) =>
            step.AtMs > 30_000 ? step with { AtMs = step.AtMs + 2000, DialMs = step.DialMs + 2000 } : step);

        Assert.Equal(["lengths of connections, s"], Failures(result));
        Assert.Contains(result.Rows, row => !row.Agrees && row.DifferenceMs == 2000 && row.Genuine == "DISCONNECT");
    }

    [Fact]
    public void A_missing_DISCONNECT_is_seen()
    {
        CaseResult result = CompareChanged("fin", (step, _, _) => step.Kind == StepKind.Disconnect ? null : step);

        Assert.Contains("order of events", Failures(result));
        Assert.Contains("DISCONNECT before its close", Failures(result));
    }

    [Theory]
    [InlineData("keep-alive")]
    [InlineData("clean session")]
    [InlineData("will")]
    [InlineData("client id")]
    [InlineData("user name")]
    [InlineData("DeviceClientType")]
    [InlineData("order of the password")]
    [InlineData("seconds left of the token")]
    public void A_CONNECT_field_of_another_value_is_named(string field)
    {
        CaseResult result = CompareChanged("fin", (step, i, all) => step.Connect is not { } facts ? step : step with
        {
            Connect = field switch
            {
                "keep-alive" => facts with { KeepAliveSeconds = 181 },
                "clean session" => facts with { CleanSession = !facts.CleanSession },
                "will" => facts with { HasWill = true },
                "client id" => facts with { IdIsDevice = false },
                "user name" => facts with { UserName = facts.UserName.Replace("2021", "2020", StringComparison.Ordinal) },
                "DeviceClientType" => facts with { Client = "other" },
                "order of the password" => facts with { TokenFields = "sig,se,sr" },
                _ => facts with { TokenMsLeft = facts.TokenMsLeft - 3000 },
            },
        });

        Assert.Equal(["CONNECT field: " + field], Failures(result));
    }

    [Fact]
    public void Another_version_of_the_same_SDK_is_a_note_and_no_failure()
    {
        CaseResult result = CompareChanged("fin", (step, i, all) =>
            step.Connect is { } facts ? step with { Connect = facts with { ClientVersion = "9.9.9" } } : step);

        Assert.True(result.Agrees, Failed(result));
        Assert.Contains("9.9.9", Assert.Single(result.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void A_subscription_too_many_or_with_another_QoS_is_seen()
    {
        CaseResult qos = CompareChanged("fin", (step, i, all) => step.Kind == StepKind.Subscribe
            ? step with { Text = step.Text.Replace("QoS 0", "QoS 1", StringComparison.Ordinal) } : step);
        CaseResult missing = CompareChanged("fin", (step, i, all) =>
            step.Kind == StepKind.Subscribe && step.AtMs > 1000 ? null : step);

        Assert.Contains("subscriptions per connection", Failures(qos));
        Assert.Contains("subscriptions per connection", Failures(missing));
    }

    [Fact]
    public void The_order_in_which_the_application_subscribes_does_not_matter()
    {
        List<Step> device = ModelSide.Run(Plan, CaseOf("calm"))[0];
        List<Step> subscriptions = device.FindAll(step => step.Kind == StepKind.Subscribe);
        Assert.Equal(4, subscriptions.Count);
        device.RemoveAll(step => step.Kind == StepKind.Subscribe);
        device.InsertRange(2, subscriptions.AsEnumerable().Reverse());

        CaseResult result = Compare("calm", device);
        Assert.True(result.Agrees, Failed(result));
    }

    [Fact]
    public void A_retry_outside_its_band_is_seen()
    {
        // The third try comes 100 to 125 ms after the second; here it, and all that follows, is half a second late.
        CaseResult result = CompareChanged("refuse", (step, i, all) =>
        {
            double thirdMs = all.Where(one => one.Kind == StepKind.Connect).ElementAt(3).AtMs;
            return step.AtMs >= thirdMs ? step with { AtMs = step.AtMs + 500, DialMs = step.DialMs + 500 } : step;
        });

        Assert.Equal(["retries, s after the close"], Failures(result));
        Assert.Single(result.Rows, row => !row.Agrees);
    }

    [Fact]
    public void Too_few_attempts_are_seen()
    {
        List<Step> device = ModelSide.Run(Plan, CaseOf("refuse"))[0];
        int second = device.FindIndex(device.FindIndex(step => step.Kind == StepKind.Connect) + 1, step => step.Kind == StepKind.Connect);
        device.RemoveRange(second, 15); // Five attempts of three lines.

        Assert.Contains("attempts refused", Failures(Compare("refuse", device)));
    }

    [Fact]
    public void A_client_that_never_comes_back_is_seen()
    {
        List<Step> device = ModelSide.Run(Plan, CaseOf("fin"))[0];
        CaseResult result = Compare("fin", device.FindAll(step => step.AtMs < 18_000).SkipLast(3));

        Assert.Contains("state at the end", Failures(result));
        Assert.Contains("order of events", Failures(result));
    }

    [Fact]
    public void A_client_that_never_connected_agrees_with_nothing() =>
        Assert.False(Compare("silent", []).Agrees);

    [Fact]
    public void A_wrong_constant_in_the_model_turns_every_case_with_a_renewal_red()
    {
        // The genuine client renews 15 s before expiry; the planted model believes in 18.
        VerifyPlan planted = Plan with { Settings = Plan.Settings with { RenewBeforeSeconds = 18 } };
        foreach (VerifyCase one in Plan.Cases.Where(one => one.Name != "silent"))
        {
            CaseResult result = Comparison.Of(
                one, Plan.Tolerance, ModelSide.Run(Plan, one)[0], ModelSide.Run(planted, one), ModelSide.RunRefused(planted, one));
            Assert.Contains("lengths of connections, s", Failures(result));
        }
    }

    [Fact]
    public void Another_SDK_s_model_is_not_taken_for_this_one()
    {
        VerifyPlan other = Plan with { Sdk = GenuineSdk.Find("dotnet")! };
        VerifyCase fin = CaseOf("fin");

        Assert.False(Comparison.Of(fin, Plan.Tolerance, ModelSide.Run(Plan, fin)[0], ModelSide.Run(other, fin), []).Agrees);
    }

    private static VerifyCase CaseOf(string name) => Plan.Cases.Single(one => one.Name == name);

    private static CaseResult Compare(string name, IEnumerable<Step> genuine)
    {
        VerifyCase one = CaseOf(name);
        (List<List<Step>> devices, List<List<Step>> refused) = Models.GetOrAdd(
            name, _ => (ModelSide.Run(Plan, one), ModelSide.RunRefused(Plan, one)));
        return Comparison.Of(one, Plan.Tolerance, [.. genuine], devices, refused);
    }

    private static CaseResult CompareChanged(string name, Func<Step, int, List<Step>, Step?> change)
    {
        List<Step> device = ModelSide.Run(Plan, CaseOf(name), seed: 5)[0];
        return Compare(name, device.Select((step, i) => change(step, i, device)).OfType<Step>());
    }

    private static IEnumerable<string> Failures(CaseResult result) =>
        result.Checks.Where(check => !check.Agrees).Select(check => check.Name);

    private static string Failed(CaseResult result) => string.Join('\n', result.Checks.Where(check => !check.Agrees));
}
