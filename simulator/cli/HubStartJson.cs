using System.Text;
using System.Text.Json;

namespace Agent.Cli;

/// <summary>Collects what the hub prints at its start and prints it as one JSON document when it is complete.</summary>
internal sealed class HubStartJson : TextWriter
{
    private readonly List<string> lines = [];
    private bool printed;

    public override Encoding Encoding => Encoding.UTF8;

    public override void WriteLine(string? value)
    {
        lines.Add(value ?? "");
        if (!printed && lines[^1].EndsWith(".pem", StringComparison.Ordinal))
        {
            printed = true;
            JsonOutput.Print(Write);
        }
    }

    public override Task WriteLineAsync(string? value)
    {
        WriteLine(value);
        return Task.CompletedTask;
    }

    private void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteStartArray("devices");
        foreach (string line in lines.Where(line => line.Contains(";DeviceId=", StringComparison.Ordinal)))
        {
            json.WriteStringValue(line);
        }

        json.WriteEndArray();
        json.WriteString("service", lines.Find(line => line.Contains("SharedAccessKeyName=", StringComparison.Ordinal)));
        json.WriteString("ca", lines[^1]);
        json.WriteEndObject();
    }
}
