using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>The DTDL file says the same as the program: names, groups, words, ranges, defaults, methods, counters.</summary>
public sealed class DeviceModelTests
{
    private static readonly JsonElement Model = JsonDocument.Parse(File.ReadAllText(
        Path.Combine(Golden.RepositoryRoot(), "device", "model", "agent-device-1.json"))).RootElement;

    [Fact]
    public void It_is_a_DTDL_2_interface_with_the_name_the_device_announces()
    {
        Assert.Equal("dtmi:dtdl:context;2", Model.GetProperty("@context").GetString());
        Assert.Equal(DeviceModel.Id, Model.GetProperty("@id").GetString());
        Assert.Equal("Interface", Model.GetProperty("@type").GetString());
        foreach (JsonElement content in Model.GetProperty("contents").EnumerateArray())
        {
            Assert.Contains(content.GetProperty("@type").GetString(), new[] { "Property", "Command" });
            Assert.Matches("^[a-zA-Z](?:[a-zA-Z0-9_]*[a-zA-Z0-9])?$", content.GetProperty("name").GetString());
            Assert.InRange(content.GetProperty("description").GetString()!.Length, 1, 512); // DTDL v2's limit
        }
    }

    [Fact]
    public void It_names_every_setting_in_order_with_its_default()
    {
        List<string> paths = [];
        foreach (JsonElement field in Fields(Content("agent")))
        {
            string name = field.GetProperty("name").GetString()!;
            if (Fields(field).Any())
            {
                paths.AddRange(Fields(field).Select(inner => $"{name}.{inner.GetProperty("name").GetString()}"));
            }
            else
            {
                paths.Add(name);
            }
        }

        Setting[] all = [.. Enum.GetValues<Setting>().Where(setting => setting != Setting.Count)];
        Assert.Equal(all.Select(SettingTable.Path), paths);
        string text = Model.GetRawText();
        foreach (Setting setting in all.Where(setting => SettingTable.Word(setting, 0) is null && SettingTable.Default(setting) != 0))
        {
            string described = Regex.Match(
                text, $"\"name\": \"{SettingTable.Name(setting)}\",[^}}]*?\"description\": \"([^\"]*)\"").Groups[1].Value;
            Assert.Contains(SettingTable.Default(setting).ToString(CultureInfo.InvariantCulture), described);
            Assert.Contains(SettingTable.Max(setting).ToString(CultureInfo.InvariantCulture), described);
        }
    }

    [Theory]
    [InlineData("renewMode", Setting.RenewMode)]
    [InlineData("level", Setting.DiagnosticsLevel)]
    public void Its_enumerations_are_the_words_of_the_table(string name, Setting setting)
    {
        JsonElement field = Fields(Content("agent")).SelectMany(Fields)
            .Single(inner => inner.GetProperty("name").GetString() == name);
        Assert.Equal(
            Enumerable.Range(0, SettingTable.Max(setting) + 1).Select(value => SettingTable.Word(setting, value)),
            field.GetProperty("schema").GetProperty("enumValues").EnumerateArray()
                .Select(value => value.GetProperty("enumValue").GetString()));
    }

    [Fact]
    public void It_names_every_member_of_the_summary_and_every_method()
    {
        AgentRig rig = new AgentRig().Start().RunFor(10_000).Lose(LinkEnd.Reset).RunFor(70_000);
        JsonElement summary = JsonDocument.Parse(rig.Reports.Single(report => report.Contains("\"diagnostics\":{\"boots\""))).RootElement;
        Assert.Equal(
            Fields(Content("diagnostics")).Select(field => field.GetProperty("name").GetString()),
            summary.GetProperty("diagnostics").EnumerateObject().Select(member => member.Name));
        string[] commands = [.. Model.GetProperty("contents").EnumerateArray()
            .Where(content => content.GetProperty("@type").GetString() == "Command")
            .Select(content => content.GetProperty("name").GetString()!)];
        foreach (string command in commands)
        {
            rig.Call(command, "{}");
            Assert.DoesNotContain("/404/", rig.MethodAnswers[^1].Topic);
        }

        Assert.Equal(6, commands.Length);
    }

    private static JsonElement Content(string name) => Model.GetProperty("contents").EnumerateArray()
        .Single(content => content.GetProperty("name").GetString() == name);

    private static IEnumerable<JsonElement> Fields(JsonElement owner) =>
        owner.GetProperty("schema") is { ValueKind: JsonValueKind.Object } schema
            && schema.TryGetProperty("fields", out JsonElement fields) ? fields.EnumerateArray() : [];
}
