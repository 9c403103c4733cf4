using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Agent.Service.Doctor;

/// <summary>A diagnosis as text for a terminal and as one JSON document.</summary>
public static class DoctorText
{
    /// <summary>A step a paragraph, then what to try next; lines ended by LF.</summary>
    public static string Text(Diagnosis diagnosis)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{diagnosis.DeviceId} at {Iso(diagnosis.AtMs)}\n\n");
        foreach (Step step in diagnosis.Steps)
        {
            text.Append(CultureInfo.InvariantCulture, $"[{Mark(step.Verdict)}] {step.Title}\n          {step.Finding}\n");
        }

        text.Append("\nTry next:\n");
        for (int i = 0; i < diagnosis.Next.Count; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"{i + 1,3}. {diagnosis.Next[i]}\n");
        }

        return text.ToString();
    }

    /// <summary>One indented JSON document.</summary>
    public static string Json(Diagnosis diagnosis)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteString("device", diagnosis.DeviceId);
            json.WriteString("at", Iso(diagnosis.AtMs));
            json.WriteBoolean("ok", diagnosis.ExitCode == 0);
            json.WriteStartArray("steps");
            foreach (Step step in diagnosis.Steps)
            {
                json.WriteStartObject();
                json.WriteString("id", step.Id);
                json.WriteString("title", step.Title);
                json.WriteString("verdict", Name(step.Verdict));
                json.WriteString("finding", step.Finding);
                json.WriteString("advice", step.Advice);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartArray("next");
            foreach (string each in diagnosis.Next)
            {
                json.WriteStringValue(each);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    private static string Mark(StepVerdict verdict) => verdict switch
    {
        StepVerdict.Good => "  good ",
        StepVerdict.Note => "  note ",
        StepVerdict.Trouble => "TROUBLE",
        _ => "unknown",
    };

    private static string Name(StepVerdict verdict) => verdict switch
    {
        StepVerdict.Good => "good",
        StepVerdict.Note => "note",
        StepVerdict.Trouble => "trouble",
        _ => "unknown",
    };

    private static string Iso(long utcMs) =>
        DateTimeOffset.FromUnixTimeMilliseconds(utcMs).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
