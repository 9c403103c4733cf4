using System.Text.Json;
using Agent.Cli;
using Agent.Input;
using Agent.Verify;

namespace Agent.Tests.Verify;

/// <summary><c>verify SDK</c>: the genuine npm SDK beside its model, and what the verb says when there is nothing to run.</summary>
[Collection(RealTime.Name)]
public sealed class VerifyVerbTests
{
    [Fact]
    public async Task The_genuine_Node_SDK_and_its_model_agree()
    {
        VerifyPlan plan = VerifyPlan.Make("node", 10, 5, null);
        try
        {
            plan.Sdk.Require();
        }
        catch (MissingSdkException missing)
        {
            Assert.Skip(missing.Message);
        }

        // Other tests want the processor too: a retry may be a second late here, a quarter of that on a machine of its own.
        plan = plan with { Tolerance = plan.Tolerance with { RetryMs = 1000 } };
        VerifyResult result = await new VerifyRun(plan, TimeProvider.System).RunAsync(_ => { }, TestContext.Current.CancellationToken);

        var text = new StringWriter();
        VerifyText.Print(text, result);
        string json = JsonOutput.ToText(writer => VerifyText.Write(writer, result));
        Assert.True(result.Agrees, text.ToString());
        Assert.DoesNotContain("sig=", text + json, StringComparison.Ordinal);
        Assert.DoesNotContain("SharedAccess", text + json, StringComparison.Ordinal);
        JsonElement root = JsonDocument.Parse(json).RootElement;
        Assert.Equal(VerifyCase.Names, root.GetProperty("cases").EnumerateArray().Select(one => one.GetProperty("name").GetString()));
    }

    [Fact]
    public async Task An_SDK_without_a_driver_ends_with_3() =>
        Assert.Equal(ExitCode.WorldFailed, await VerifyVerb.RunAsync("c", null, null, null, json: false, CancellationToken.None));

    [Fact]
    public void A_missing_package_is_named_with_the_way_to_get_it()
    {
        GenuineSdk missing = GenuineSdk.Find("dotnet")! with { Locate = _ => null };

        string message = Assert.Throws<MissingSdkException>(() => missing.Require()).Message;
        Assert.Contains("Microsoft.Azure.Devices.Client", message, StringComparison.Ordinal);
        Assert.Contains("-p:GenuineSdk=true", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cobol", null, null, null, "cobol")]
    [InlineData("node", 60.0, 60.0, null, "--margin")]
    [InlineData("node", 60.0, -1.0, null, "--margin")]
    [InlineData("node", 60.0, double.NaN, null, "--margin")]
    [InlineData("node", 10.0, 9.0, null, "--lifetime")]
    [InlineData("node", 4.5, null, null, "--lifetime")]
    [InlineData("node", 1e12, null, null, "--lifetime")]
    [InlineData("node", double.NaN, null, null, "--lifetime")]
    [InlineData("node", null, 60.0, null, "--margin")]
    [InlineData("python", 60.0, null, null, "120 s")]
    [InlineData("python", null, 15.0, null, "--margin")]
    [InlineData("java", null, 15.0, null, "--margin")]
    [InlineData("node", null, null, "calm,storm", "storm")]
    [InlineData("node", null, null, "", "--case")]
    public void Bad_input_is_named(string sdk, double? lifetime, double? margin, string? cases, string named) =>
        Assert.Contains(
            named,
            Assert.Throws<BadInputException>(() => VerifyPlan.Make(sdk, lifetime, margin, cases)).Message,
            StringComparison.Ordinal);

    [Fact]
    public void Every_SDK_of_the_scenarios_has_a_row_here() =>
        Assert.Empty(Agent.Fleet.SdkCatalog.All.Select(sdk => sdk.Id).Except(GenuineSdk.All.Select(sdk => sdk.Id)));

    [Fact]
    public void Every_row_names_a_model_that_exists() =>
        Assert.All(GenuineSdk.All, sdk => Assert.NotNull(Agent.Fleet.SdkCatalog.Find(sdk.Model)));
}
