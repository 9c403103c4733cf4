using System.Globalization;
using System.Runtime.InteropServices;
using Agent.Verify;

namespace Agent.Cli;

/// <summary><c>verify SDK</c>: the genuine client and its model against the same hub, side by side.</summary>
public static class VerifyVerb
{
    /// <summary>Runs it; returns the exit code.</summary>
    /// <param name="sdk">Which.</param>
    /// <param name="lifetime">Of the token, s; null = the SDK's default here.</param>
    /// <param name="margin">Before its end, s; null = a quarter of the lifetime where there is one to set.</param>
    /// <param name="cases">Names with commas between; null = all.</param>
    /// <param name="json">As a document.</param>
    /// <param name="cancellation">Ends it early, as Ctrl-C and SIGTERM do.</param>
    public static async Task<int> RunAsync(
        string sdk, double? lifetime, double? margin, string? cases, bool json, CancellationToken cancellation)
    {
        VerifyPlan plan = VerifyPlan.Make(sdk, lifetime, margin, cases);
        using CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using PosixSignalRegistration terminate = EndOn(PosixSignal.SIGTERM, ending);
        using PosixSignalRegistration interrupt = EndOn(PosixSignal.SIGINT, ending);
        VerifyResult result;
        try
        {
            plan.Sdk.Require();
            double seconds = plan.Cases.Max(one => one.RunForMs) / 1000.0;
            string title = string.Create(
                CultureInfo.InvariantCulture, $"verify {plan.Sdk.Id}: {plan.Cases.Count} case(s) at once, {seconds:0} s");
            await Console.Error.WriteLineAsync(title).ConfigureAwait(false);
            result = ProgressBar.During(
                title,
                onProgress => new VerifyRun(plan, TimeProvider.System).RunAsync(onProgress, ending.Token).GetAwaiter().GetResult());
        }
        catch (MissingSdkException problem)
        {
            await Console.Error.WriteLineAsync(problem.Message.ReplaceLineEndings(" ")).ConfigureAwait(false);
            return ExitCode.WorldFailed;
        }
        catch (OperationCanceledException)
        {
            await Console.Error.WriteLineAsync("verify: stopped before the end; nothing was compared").ConfigureAwait(false);
            return ExitCode.WorldFailed;
        }

        if (json)
        {
            JsonOutput.Print(writer => VerifyText.Write(writer, result));
        }
        else
        {
            VerifyText.Print(Console.Out, result);
        }

        return result.Agrees ? ExitCode.Done : ExitCode.ExpectationFailed;
    }

    // Without this the process would be gone at once, and the genuine clients it started would live on.
    private static PosixSignalRegistration EndOn(PosixSignal signal, CancellationTokenSource ending) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            ending.Cancel();
        });
}
