// Reads twins: what the agent is to be set to, out of whatever the document holds besides.
//
// Twins are written by people and programs the agent does not know, and are up to 32 KB of anything. The rule: walk the
// bytes once, take out the members of Setting.cs, check type and range of each, and list every problem by name; a
// document that is not whole JSON to its last byte changes nothing. Members of "agent" nobody knows are problems
// (a misspelt setting that is silently ignored is the worst answer), members beside "agent" are other people's.
// null stands for "not set": the default. renewBeforeSeconds, where set, goes before renewAtPercent.
using System.Collections;
using System.Text;

namespace Agent.Core
{
    /// <summary>Reads a twin, a patch of one, or the payload of setSettings; reusable.</summary>
    public sealed class TwinReader
    {
        /// <summary>Problems listed; further ones are only counted.</summary>
        public const int ProblemsMax = 12;

        /// <summary>Characters of the list.</summary>
        public const int ProblemsLengthMax = 320;

        private const int NameShownMax = 24;

        private readonly JsonReader json = new JsonReader();
        private ArrayList problems;
        private int problemCount;
        private TokenSettingsDraft draft;
        private TokenSettings defaults;

        /// <summary>The desired version; -1 when the document has none.</summary>
        public long Version { get; private set; }

        /// <summary>Whether the document said anything about the agent.</summary>
        public bool HasAgent { get; private set; }

        /// <summary>Twin: the version in the acknowledgement reported last; -1 = none.</summary>
        public long AcknowledgedVersion { get; private set; }

        /// <summary>Twin: its code.</summary>
        public long AcknowledgedCode { get; private set; }

        /// <summary>The settings, when the document was good.</summary>
        public TokenSettings Settings { get; private set; }

        /// <summary>Everything that is wrong with the settings, in one text; null when nothing is.</summary>
        public string Problems { get; private set; }

        /// <summary>
        /// Reads the answer to a twin GET. True: it is whole, and Settings or Problems are set. False: it is not a twin.
        /// </summary>
        public bool ReadTwin(byte[] bytes, int index, int count, TokenSettings defaultSettings)
        {
            Start(bytes, index, count, new TokenSettingsDraft(defaultSettings), defaultSettings);
            bool isWhole = ReadWholeTwin();
            json.Release();
            return isWhole;
        }

        /// <summary>Reads a change of desired properties, which starts out from the settings in force.</summary>
        public bool ReadPatch(byte[] bytes, int index, int count, TokenSettings inForce, TokenSettings defaultSettings)
        {
            Start(bytes, index, count, new TokenSettingsDraft(inForce), defaultSettings);
            bool isWhole = false;
            if (json.Next() == JsonToken.ObjectStart)
            {
                ReadDesired();
                isWhole = IsAtEnd() && Finish();
            }

            json.Release();
            return isWhole;
        }

        /// <summary>Reads the payload of setSettings: the members of "agent" alone.</summary>
        public bool ReadSettings(byte[] bytes, int index, int count, TokenSettings inForce, TokenSettings defaultSettings)
        {
            Start(bytes, index, count, new TokenSettingsDraft(inForce), defaultSettings);
            json.Next();
            ReadAgent();
            bool isWhole = IsAtEnd() && Finish();
            json.Release();
            return isWhole;
        }

        private bool ReadWholeTwin()
        {
            bool hasDesired = false;
            if (json.Next() != JsonToken.ObjectStart)
            {
                return false;
            }

            while (json.Next() == JsonToken.Name)
            {
                if (json.TextIs("desired"))
                {
                    hasDesired = json.Next() == JsonToken.ObjectStart;
                    ReadDesired();
                }
                else if (json.TextIs("reported"))
                {
                    json.Next();
                    ReadReported();
                }
                else
                {
                    json.Skip();
                }
            }

            return IsAtEnd() && hasDesired && Version >= 0 && Finish();
        }

        private void Start(byte[] bytes, int index, int count, TokenSettingsDraft from, TokenSettings defaultSettings)
        {
            json.Start(bytes, index, count);
            draft = from;
            defaults = defaultSettings;
            problems = null;
            problemCount = 0;
            Version = -1;
            HasAgent = false;
            AcknowledgedVersion = -1;
            AcknowledgedCode = 0;
            Settings = null;
            Problems = null;
        }

        private bool IsAtEnd()
        {
            return json.Token == JsonToken.ObjectEnd && json.Next() == JsonToken.End;
        }

        private bool Finish()
        {
            if (problemCount == 0 && draft.TryBuild(out TokenSettings settings, out string[] found))
            {
                Settings = settings;
            }
            else
            {
                ArrayList ranges = new ArrayList();
                draft.AddProblems(ranges);
                for (int i = 0; i < ranges.Count; i++)
                {
                    AddProblem((string)ranges[i]);
                }

                Problems = Join();
            }

            draft = null;
            problems = null;
            return true;
        }

        /// <summary>From the start of the desired object to its end.</summary>
        private void ReadDesired()
        {
            if (json.Token != JsonToken.ObjectStart)
            {
                json.Skip();
                return;
            }

            while (json.Next() == JsonToken.Name)
            {
                if (json.TextIs("agent"))
                {
                    json.Next();
                    ReadAgent();
                }
                else if (json.TextIs("$version"))
                {
                    json.Next();
                    bool isNumber = json.Token == JsonToken.Number && json.IsWhole && json.Whole >= 0;
                    Version = isNumber ? json.Whole : -1;
                    json.Skip();
                }
                else
                {
                    json.Skip();
                }
            }
        }

        /// <summary>Only {"agent":{"ac":…,"av":…}} matters.</summary>
        private void ReadReported()
        {
            if (json.Token != JsonToken.ObjectStart)
            {
                json.Skip();
                return;
            }

            while (json.Next() == JsonToken.Name)
            {
                bool isAgent = json.TextIs("agent");
                if (!isAgent || json.Next() != JsonToken.ObjectStart)
                {
                    json.Skip();
                    continue;
                }

                while (json.Next() == JsonToken.Name)
                {
                    bool isVersion = json.TextIs("av");
                    bool isCode = json.TextIs("ac");
                    json.Next();
                    if (json.Token == JsonToken.Number && json.IsWhole)
                    {
                        AcknowledgedVersion = isVersion ? json.Whole : AcknowledgedVersion;
                        AcknowledgedCode = isCode ? json.Whole : AcknowledgedCode;
                    }

                    json.Skip();
                }
            }
        }

        /// <summary>The reader stands on the value of "agent".</summary>
        private void ReadAgent()
        {
            HasAgent = true;
            if (json.Token == JsonToken.Null)
            {
                SetGroup(null);
                return;
            }

            if (json.Token != JsonToken.ObjectStart)
            {
                AddProblem("agent: not an object");
                json.Skip();
                return;
            }

            while (json.Next() == JsonToken.Name)
            {
                string group = GroupHere();
                if (group != null)
                {
                    json.Next();
                    ReadGroup(group);
                }
                else if (json.TextIs("__t"))
                {
                    json.Skip(); // Plug and Play's mark of a component; harmless
                }
                else
                {
                    ReadMember("");
                }
            }
        }

        private string GroupHere()
        {
            for (int i = 0; i < (int)Setting.Count; i++)
            {
                string group = SettingTable.Group((Setting)i);
                if (group.Length > 0 && json.TextIs(group))
                {
                    return group;
                }
            }

            return null;
        }

        private void ReadGroup(string group)
        {
            if (json.Token == JsonToken.Null)
            {
                SetGroup(group);
            }
            else if (json.Token != JsonToken.ObjectStart)
            {
                AddProblem(string.Concat(group, ": not an object"));
                json.Skip();
            }
            else
            {
                while (json.Next() == JsonToken.Name)
                {
                    ReadMember(group);
                }
            }
        }

        /// <summary>Sets a group, or with null everything, back to the defaults.</summary>
        private void SetGroup(string group)
        {
            for (int i = 0; i < (int)Setting.Count; i++)
            {
                if (group == null || SettingTable.Group((Setting)i) == group)
                {
                    draft.Set((Setting)i, defaults.Get((Setting)i));
                }
            }
        }

        /// <summary>The reader stands on the name of a member.</summary>
        private void ReadMember(string group)
        {
            for (int i = 0; i < (int)Setting.Count; i++)
            {
                Setting setting = (Setting)i;
                if (SettingTable.Group(setting) == group && json.TextIs(SettingTable.Name(setting)))
                {
                    json.Next();
                    ReadValue(setting);
                    return;
                }
            }

            string name = json.ShownText(NameShownMax);
            AddProblem(string.Concat(group.Length == 0 ? name : string.Concat(group, ".", name), ": no such setting"));
            json.Skip();
        }

        private void ReadValue(Setting setting)
        {
            bool hasWords = SettingTable.Word(setting, 0) != null;
            if (json.Token == JsonToken.Null)
            {
                draft.Set(setting, defaults.Get(setting));
            }
            else if (hasWords && json.Token == JsonToken.String)
            {
                ReadWord(setting);
            }
            else if (!hasWords && json.Token == JsonToken.Number && json.IsWhole)
            {
                bool fits = json.Whole >= int.MinValue && json.Whole <= int.MaxValue;
                draft.Set(setting, fits ? (int)json.Whole : json.Whole < 0 ? int.MinValue : int.MaxValue);
            }
            else
            {
                AddProblem(string.Concat(SettingTable.Path(setting), hasWords ? ": not a word" : ": not a whole number"));
                json.Skip();
            }
        }

        private void ReadWord(Setting setting)
        {
            for (int value = 0; value <= SettingTable.Max(setting); value++)
            {
                if (json.TextIs(SettingTable.Word(setting, value)))
                {
                    draft.Set(setting, value);
                    return;
                }
            }

            AddProblem(string.Concat(SettingTable.Path(setting), ": no such word"));
        }

        private void AddProblem(string problem)
        {
            problemCount++;
            if (problemCount <= ProblemsMax)
            {
                problems = problems ?? new ArrayList();
                problems.Add(problem);
            }
        }

        private string Join()
        {
            StringBuilder text = new StringBuilder(160);
            int shown = 0;
            for (; shown < problems.Count; shown++)
            {
                string problem = (string)problems[shown];
                if (text.Length + problem.Length + 2 > ProblemsLengthMax)
                {
                    break;
                }

                text.Append(shown == 0 ? "" : "; ").Append(problem);
            }

            if (shown < problemCount)
            {
                text.Append("; and ").Append(problemCount - shown).Append(" more");
            }

            return text.ToString();
        }
    }
}
