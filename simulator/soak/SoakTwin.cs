using System.Text;
using Agent.Core;

namespace Agent.Soak;

/// <summary>A device's twin at the hub, and the settings that each of its versions asks for.</summary>
internal sealed class SoakTwin
{
    private readonly TokenSettings defaults;
    private readonly Dictionary<Setting, int> desired = [];

    public SoakTwin(TokenSettings defaults)
    {
        this.defaults = defaults;
        Asked = defaults;
        Known = [defaults];
    }

    public long Version { get; private set; } = 1;

    /// <summary>What the present version asks for; null = it is to be refused.</summary>
    public TokenSettings? Asked { get; private set; }

    /// <summary>All that any version ever asked for, the defaults included.</summary>
    public List<TokenSettings> Known { get; }

    public long AnsweredVersion { get; set; } = -1;

    public int AnsweredCode { get; set; } = -1;

    /// <summary>Whether anything is asked for.</summary>
    public bool IsAsking => desired.Count > 0;

    /// <summary>Sets one property; the notification's payload.</summary>
    public string Set(Setting setting, int value)
    {
        desired[setting] = value;
        Version++;
        var draft = new TokenSettingsDraft(defaults);
        foreach ((Setting one, int asked) in desired)
        {
            draft.Set(one, asked);
        }

        Asked = draft.TryBuild(out TokenSettings settings, out _) ? settings : null;
        if (Asked is not null)
        {
            Known.Add(Asked);
        }

        return $"{{\"agent\":{Members([(setting, value)])},\"$version\":{Version}}}";
    }

    /// <summary>Somebody sets one thing on top of settings in force, not through the twin.</summary>
    public void Know(TokenSettings inForce, Setting setting, int value)
    {
        var draft = new TokenSettingsDraft(inForce);
        draft.Set(setting, value);
        if (draft.TryBuild(out TokenSettings settings, out _))
        {
            Known.Add(settings);
        }
    }

    /// <summary>Takes back a property that makes the whole refused; sets it to the default.</summary>
    public string Mend(Setting setting) => Set(setting, defaults.Get(setting));

    /// <summary>The answer to GET.</summary>
    public string Document()
    {
        string agent = IsAsking ? $"\"agent\":{Members(desired.OrderBy(one => one.Key).Select(one => (one.Key, one.Value)))}," : "";
        string reported = AnsweredCode < 0 ? "" : $"\"agent\":{{\"ac\":{AnsweredCode},\"av\":{AnsweredVersion}}},";
        return $"{{\"desired\":{{{agent}\"$version\":{Version}}},\"reported\":{{{reported}\"$version\":1}}}}";
    }

    /// <summary>Settings as the members of the agent's part of a twin.</summary>
    public static string Members(IEnumerable<(Setting Setting, int Value)> settings)
    {
        var text = new StringBuilder("{");
        foreach (IGrouping<string, (Setting Setting, int Value)> group in settings.GroupBy(one => SettingTable.Group(one.Setting)))
        {
            text.Append(text.Length > 1 ? "," : "").Append(group.Key.Length == 0 ? "" : $"\"{group.Key}\":{{");
            text.AppendJoin(',', group.Select(one => $"\"{SettingTable.Name(one.Setting)}\":{one.Value}"));
            text.Append(group.Key.Length == 0 ? "" : "}");
        }

        return text.Append('}').ToString();
    }
}
