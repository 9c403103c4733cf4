using System.Globalization;
using System.Text.Json;

namespace Agent.Verify;

/// <summary>Prints a verification: for people, and as the one document of <c>--json</c>.</summary>
public static class VerifyText
{
    /// <summary>Both timelines side by side, case by case, and what was compared.</summary>
    public static void Print(TextWriter output, VerifyResult result)
    {
        VerifyPlan plan = result.Plan;
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"genuine {plan.Sdk.Id} {result.SdkVersion} beside the model {plan.Sdk.Model}: token {plan.LifetimeSeconds} s, ")
            + (plan.Settings.RenewBeforeSeconds is { } margin
                ? string.Create(CultureInfo.InvariantCulture, $"margin {margin:0.###} s, ") : "")
            + string.Create(CultureInfo.InvariantCulture, $"hub's grace {plan.GraceSeconds} s, port {result.Port}"));
        output.WriteLine("Times in s since the first CONNECT. Difference: of the time since the connection's CONNECT;");
        output.WriteLine("for its end by the client, since its TCP was opened; for a CONNECT, since the close before;");
        output.WriteLine("for the hub's cut of an expired token, since its expiry.");
        foreach (CaseResult one in result.Cases)
        {
            PrintCase(output, one);
        }

        output.WriteLine();
        output.WriteLine($"tolerance: {plan.Tolerance}");
        int agreeing = result.Cases.Count(one => one.Agrees);
        output.WriteLine(result.Agrees
            ? $"✓ {plan.Sdk.Id} and its model agree in {Cases(result.Cases.Count)}"
            : $"✗ {plan.Sdk.Id} and its model agree in {agreeing} of {Cases(result.Cases.Count)}; they part in: "
                + string.Join(", ", result.Cases.Where(one => !one.Agrees).Select(one => one.Case.Name)));
    }

    /// <summary>The same for programs.</summary>
    public static void Write(Utf8JsonWriter json, VerifyResult result)
    {
        VerifyPlan plan = result.Plan;
        json.WriteStartObject();
        json.WriteString("sdk", plan.Sdk.Id);
        json.WriteString("sdkVersion", result.SdkVersion);
        json.WriteString("model", plan.Sdk.Model);
        json.WriteNumber("lifetimeSeconds", plan.LifetimeSeconds);
        if (plan.Settings.RenewBeforeSeconds is { } margin)
        {
            json.WriteNumber("marginSeconds", margin);
        }

        json.WriteNumber("tokenGraceSeconds", plan.GraceSeconds);
        json.WriteNumber("modelDevices", VerifyPlan.ModelDevices);
        json.WriteStartObject("tolerance");
        json.WriteNumber("timeSeconds", plan.Tolerance.TimeMs / 1000);
        json.WriteNumber("retrySeconds", plan.Tolerance.RetryMs / 1000);
        json.WriteNumber("refusedAttempts", plan.Tolerance.Tries);
        json.WriteNumber("expirySeconds", plan.Tolerance.ExpirySeconds);
        json.WriteEndObject();
        json.WriteBoolean("agrees", result.Agrees);
        json.WriteStartArray("cases");
        foreach (CaseResult one in result.Cases)
        {
            WriteCase(json, one);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void PrintCase(TextWriter output, CaseResult result)
    {
        int left = Math.Max("genuine".Length, result.Rows.Select(row => row.Genuine.Length).DefaultIfEmpty().Max());
        int right = Math.Max("model".Length, result.Rows.Select(row => row.Model.Length).DefaultIfEmpty().Max());
        output.WriteLine();
        output.WriteLine($"{Mark(result.Agrees)} {result.Case.Name}: {result.Case.About}{Disturbance(result.Case)}");
        output.WriteLine($"  {"time",9}  {"genuine".PadRight(left)}  {"time",9}  {"model".PadRight(right)}  {"difference",10}");
        foreach (Row row in result.Rows)
        {
            string difference = row.DifferenceMs is { } ms ? (ms / 1000).ToString("+0.000;-0.000;0.000", CultureInfo.InvariantCulture) : "";
            output.WriteLine($"{Mark(row.Agrees)} {Moment(row.GenuineMs),9}  {row.Genuine.PadRight(left)}  "
                + $"{Moment(row.ModelMs),9}  {row.Model.PadRight(right)}  {difference,10}");
        }

        foreach (Check check in result.Checks)
        {
            bool same = check.Genuine == check.Model || check.Model == "the same";
            output.WriteLine(same
                ? $"  {Mark(check.Agrees)} {check.Name}: {check.Genuine}"
                : $"  {Mark(check.Agrees)} {check.Name}: {check.Genuine}; model: {check.Model}");
        }

        foreach (string note in result.Notes)
        {
            output.WriteLine($"  note: {note}");
        }
    }

    private static void WriteCase(Utf8JsonWriter json, CaseResult result)
    {
        json.WriteStartObject();
        json.WriteString("name", result.Case.Name);
        json.WriteString("about", result.Case.About);
        json.WriteString("features", DriverProcess.FeatureList(result.Case.Features));
        json.WriteNumber("heartbeatSeconds", result.Case.HeartbeatEveryMs / 1000.0);
        if (result.Case.DropAtMs is { } dropMs)
        {
            json.WriteNumber("dropAtSeconds", dropMs / 1000.0);
            json.WriteString("dropBy", result.Case.ByReset ? "rst" : "fin");
            json.WriteNumber("refuseForSeconds", result.Case.RefuseForMs / 1000.0);
        }

        json.WriteNumber("watchedSeconds", result.Case.RunForMs / 1000.0);
        json.WriteBoolean("agrees", result.Agrees);
        json.WriteStartArray("checks");
        foreach (Check check in result.Checks)
        {
            json.WriteStartObject();
            json.WriteString("name", check.Name);
            json.WriteBoolean("agrees", check.Agrees);
            json.WriteString("genuine", check.Genuine);
            json.WriteString("model", check.Model);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("rows");
        foreach (Row row in result.Rows)
        {
            json.WriteStartObject();
            WriteSide(json, "genuine", row.GenuineMs, row.Genuine);
            WriteSide(json, "model", row.ModelMs, row.Model);
            if (row.DifferenceMs is { } ms)
            {
                json.WriteNumber("differenceSeconds", Rounded(ms));
            }

            json.WriteBoolean("agrees", row.Agrees);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        WriteTimeline(json, "genuine", result.Genuine);
        WriteTimeline(json, "model", result.Model);
        json.WriteStartArray("notes");
        foreach (string note in result.Notes)
        {
            json.WriteStringValue(note);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteSide(Utf8JsonWriter json, string name, double? atMs, string text)
    {
        if (atMs is { } ms)
        {
            json.WriteStartObject(name);
            json.WriteNumber("t", Rounded(ms));
            json.WriteString("event", text);
            json.WriteEndObject();
        }
    }

    private static void WriteTimeline(Utf8JsonWriter json, string name, IReadOnlyList<Step> timeline)
    {
        json.WriteStartArray(name);
        foreach (Step step in timeline)
        {
            string kind = step.Kind.ToString();
            json.WriteStartObject();
            json.WriteNumber("t", Rounded(step.AtMs));
            json.WriteString("event", char.ToLowerInvariant(kind[0]) + kind[1..]);
            switch (step.Kind)
            {
                case StepKind.Connect when step.Connect is { } facts:
                    json.WriteNumber("dialed", Rounded(step.DialMs));
                    json.WriteNumber("keepAlive", facts.KeepAliveSeconds);
                    json.WriteBoolean("clean", facts.CleanSession);
                    json.WriteBoolean("will", facts.HasWill);
                    json.WriteString("userName", facts.UserName);
                    json.WriteString("client", facts.Client);
                    json.WriteString("clientVersion", facts.ClientVersion);
                    json.WriteString("tokenFields", facts.TokenFields);
                    json.WriteNumber("tokenSecondsLeft", facts.TokenSecondsLeft);
                    break;
                case StepKind.Connack:
                    json.WriteNumber("code", int.Parse(step.Text, CultureInfo.InvariantCulture));
                    break;
                case StepKind.Subscribe:
                    json.WriteString("filters", step.Text);
                    break;
                case StepKind.Close:
                    json.WriteString("by", step.Text);
                    break;
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static string Disturbance(VerifyCase verifyCase) => verifyCase.DropAtMs is not { } dropMs ? ""
        : string.Create(CultureInfo.InvariantCulture, $" (drop at {dropMs / 1000.0:0.0##} s")
            + (verifyCase.RefuseForMs > 0
                ? string.Create(CultureInfo.InvariantCulture, $", refused for {verifyCase.RefuseForMs / 1000.0:0.###} s)") : ")");

    private static string Cases(int count) => count == 1 ? "1 case" : string.Create(CultureInfo.InvariantCulture, $"{count} cases");

    private static string Mark(bool agrees) => agrees ? "✓" : "✗";

    private static string Moment(double? ms) => ms is { } at ? (at / 1000).ToString("0.000", CultureInfo.InvariantCulture) : "";

    private static double Rounded(double ms) => Math.Round(ms / 1000, 3);
}
