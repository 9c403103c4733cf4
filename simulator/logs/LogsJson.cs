using System.Text.Json;

namespace Agent.Logs;

/// <summary>Writes an answer as one JSON document, the rows as they are read.</summary>
/// <remarks>Columns have the names of the vendor's tables and records, everything else is in camel case.</remarks>
public static class LogsJson
{
    private const int PendingBytesMax = 1 << 16;

    /// <summary>Reads the logs and writes the document.</summary>
    public static void Write(Utf8JsonWriter json, LogsRun run, Action<double>? onProgress = null)
    {
        json.WriteStartObject();
        json.WriteString("query", NameOf(run.Options.Query));
        json.WriteString("device", run.Options.Device);
        WriteMoment(json, "since", run.Options.Since);
        WriteMoment(json, "until", run.Options.Until);
        json.WriteStartArray("rows");
        run.Read(entry => WriteEntry(json, entry), onProgress);
        switch (run.Options.Query)
        {
            case LogQuery.Sdk:
                WriteSdks(json, run.Analysis);
                break;
            case LogQuery.Disconnects:
                WriteDisconnects(json, run.Analysis);
                break;
        }

        json.WriteEndArray();
        if (run.Options.Explain)
        {
            WriteExplanation(json, run.Analysis);
        }

        json.WriteNumber("records", run.Records);
        json.WriteNumber("recordsTaken", run.RecordsTaken);
        json.WriteNumber("otherRecords", run.OtherRecords);
        json.WriteNumber("badLines", run.BadLines);
        json.WriteStartArray("firstBadLines");
        foreach (BadLine bad in run.FirstBadLines)
        {
            json.WriteStringValue(bad.ToString());
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>The query's name on the command line.</summary>
    public static string NameOf(LogQuery query) => query.ToString().ToLowerInvariant();

    /// <summary>Prints the queries for Log Analytics.</summary>
    public static void WriteKql(Utf8JsonWriter json, IReadOnlyList<(string Name, string Path, string Text)> files)
    {
        json.WriteStartObject();
        json.WriteStartArray("queries");
        foreach ((string name, string path, string text) in files)
        {
            json.WriteStartObject();
            json.WriteString("name", name);
            json.WriteString("path", path);
            json.WriteString("text", text);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteEntry(Utf8JsonWriter json, ConnectionsEntry entry)
    {
        json.WriteStartObject();
        json.WriteString("TimeGenerated", entry.TimeGenerated);
        json.WriteString("DeviceId", entry.DeviceId);
        json.WriteString("OperationName", entry.OperationName);
        json.WriteString("Level", entry.Level);
        json.WriteString("ResultType", entry.ResultType);
        json.WriteString("ResultDescription", entry.ResultDescription);
        json.WriteString("SdkVersion", entry.SdkVersion);
        json.WriteString("protocol", entry.Protocol);
        json.WriteString("authType", entry.AuthType);
        json.WriteString("maskedIpAddress", entry.MaskedIpAddress);
        if (entry.ErrorMessage is not null)
        {
            json.WriteString("errorMessage", entry.ErrorMessage);
        }

        json.WriteEndObject();
        FlushOften(json);
    }

    private static void WriteSdks(Utf8JsonWriter json, LogAnalysis analysis)
    {
        foreach (SdkRow row in analysis.Sdks)
        {
            json.WriteStartObject();
            json.WriteString("SdkVersion", row.SdkVersion);
            json.WriteNumber("Devices", row.Devices);
            json.WriteNumber("Connects", row.Connects);
            json.WriteNumber("Disconnects", row.Disconnects);
            json.WriteNumber("Errors", row.Errors);
            json.WriteEndObject();
        }
    }

    private static void WriteDisconnects(Utf8JsonWriter json, LogAnalysis analysis)
    {
        foreach (DeviceHistory device in analysis.Devices)
        {
            Rhythm periods = device.Periods;
            RhythmSuggestion suggestion = RhythmGuide.Suggest(device);
            json.WriteStartObject();
            json.WriteString("DeviceId", device.DeviceId);
            json.WriteString("SdkVersion", device.SdkVersion);
            json.WriteNumber("Disconnects", device.Disconnects);
            json.WriteNumber("Clean", device.CleanDisconnects);
            json.WriteNumber("Errors", device.Disconnects - device.CleanDisconnects);
            WriteSeconds(json, "MedianPeriodSeconds", periods.Median);
            WriteSeconds(json, "P5PeriodSeconds", periods.P5);
            WriteSeconds(json, "P95PeriodSeconds", periods.P95);
            json.WriteBoolean("Regular", periods.IsRegular);
            json.WriteString("Suggests", suggestion.Text);
            json.WriteString("SuggestedSdk", suggestion.Sdk);
            WriteSeconds(json, "SuggestedLifetimeSeconds", suggestion.LifetimeSeconds ?? double.NaN);
            json.WriteEndObject();
            FlushOften(json);
        }
    }

    private static void WriteExplanation(Utf8JsonWriter json, LogAnalysis analysis)
    {
        json.WriteStartObject("explain");
        json.WriteStartArray("errors");
        foreach (ErrorRow row in analysis.Errors)
        {
            json.WriteStartObject();
            json.WriteString("OperationName", row.OperationName);
            json.WriteString("ResultType", row.ResultType);
            json.WriteString("ResultDescription", row.ResultDescription);
            json.WriteNumber("records", row.Records);
            json.WriteNumber("devices", row.Devices);
            json.WriteNumber("inHealthyRenewals", row.InHealthyRenewals);
            json.WriteString("means", row.Advice.Means);
            json.WriteString("harmlessWhen", row.Advice.HarmlessWhen);
            json.WriteString("tryFirst", row.Advice.TryFirst);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("devices");
        foreach (DeviceHistory device in analysis.Devices)
        {
            json.WriteStartObject();
            json.WriteString("DeviceId", device.DeviceId);
            json.WriteString("SdkVersion", device.SdkVersion);
            WriteCounts(json, device.Counts);
            json.WriteEndObject();
            FlushOften(json);
        }

        json.WriteEndArray();
        json.WriteStartObject("totals");
        WriteCounts(json, analysis.Totals);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteCounts(Utf8JsonWriter json, in EndCounts counts)
    {
        json.WriteNumber("healthyRenewals", counts.HealthyRenewals);
        json.WriteNumber("unexplainedDrops", counts.UnexplainedDrops);
        json.WriteNumber("cleanStops", counts.CleanStops);
        json.WriteNumber("refusedConnects", counts.RefusedConnects);
        json.WriteNumber("undecided", counts.Undecided);
    }

    private static void WriteMoment(Utf8JsonWriter json, string name, DateTime? moment)
    {
        if (moment is { } known)
        {
            json.WriteString(name, known);
        }
        else
        {
            json.WriteNull(name);
        }
    }

    private static void WriteSeconds(Utf8JsonWriter json, string name, double seconds)
    {
        if (double.IsNaN(seconds))
        {
            json.WriteNull(name);
        }
        else
        {
            json.WriteNumber(name, Math.Round(seconds, 3));
        }
    }

    private static void FlushOften(Utf8JsonWriter json)
    {
        if (json.BytesPending > PendingBytesMax)
        {
            json.Flush();
        }
    }
}
