// Which settings are in force, and what became of the ones asked for.
//
// The hard cases: settings that are valid and still lose the connection, on a device nobody can reach any other way; a
// twin that says the same bad thing again after every restart; a change missed while offline; a patch on top of
// settings that were refused, which means nothing without the ones before.
// The rule: settings that change the connection are on probation until a planned renewal has succeeded under them.
// Three ends or refusals that the settings may be to blame for, or ten minutes without a connection, or three restarts,
// and the last good ones are back, and the version of the twin that asked is remembered as failed until another one
// comes. A patch is applied only on top of exactly the version before it, applied and in force; otherwise the whole
// twin is asked for. Every desired version is answered once, as IoT Plug and Play has it: 200 in force, 202 in force on
// probation, 400 refused with every problem, 500 rolled back; 203 when nothing was asked for.
namespace Agent.Core
{
    /// <summary>Settings in force, on probation, and the last good ones.</summary>
    public sealed class SettingsKeeper
    {
        /// <summary>Ends and refusals under new settings that send them back.</summary>
        public const int ProbationFailuresMax = 3;

        /// <summary>Milliseconds without a connection that send them back.</summary>
        public const int ProbationOfflineMs = 600000;

        /// <summary>Restarts that send them back.</summary>
        public const int ProbationBootsMax = 3;

        private readonly StateRecord record;
        private readonly TokenSettings defaults;
        private TokenSettings lastGood;
        private TokenSettings change;
        private bool changeReconnects;
        private bool isTwinRead;
        private int probationFailures;

        /// <summary>Takes up what the record says; a start under probation counts against it.</summary>
        public SettingsKeeper(StateRecord record, TokenSettings defaults)
        {
            this.record = record;
            this.defaults = defaults;
            InForce = record.Source == SettingsSource.Defaults ? defaults : record.ReadInForce() ?? defaults;
            lastGood = record.Source == SettingsSource.Defaults ? defaults : record.ReadLastGood() ?? defaults;
            NeedsTwin = true;
            Code = record.State == SettingsState.RolledBack ? 500 : record.State == SettingsState.OnProbation ? 202 : 200;
            if (record.State == SettingsState.OnProbation)
            {
                record.ProbationBoots = record.ProbationBoots + 1;
                if (record.ProbationBoots > ProbationBootsMax)
                {
                    RollBack(DisconnectReason.Restarted);
                    change = null; // nobody runs under the others yet
                }
            }
        }

        public TokenSettings InForce { get; private set; }

        public SettingsState State => record.State;

        /// <summary>The desired version last answered; -1 = none.</summary>
        public long Version => record.TwinVersion;

        /// <summary>The answer to it: 200, 202, 203, 400, 500.</summary>
        public int Code { get; private set; }

        /// <summary>Every problem of settings that were refused; null = none.</summary>
        public string Problems { get; private set; }

        /// <summary>The whole twin is to be asked for.</summary>
        public bool NeedsTwin { get; set; }

        /// <summary>The answer is to be reported.</summary>
        public bool NeedsReport { get; set; }

        /// <summary>Other settings came into force: the session is to be told.</summary>
        public bool TryTakeChange(out TokenSettings next, out bool reconnects)
        {
            next = change;
            reconnects = changeReconnects;
            change = null;
            return next != null;
        }

        /// <summary>The answer to a twin GET; false when it is none, which leaves NeedsTwin set.</summary>
        public bool OnTwin(byte[] bytes, int index, int count)
        {
            TwinReader reader = new TwinReader(); // a document comes when a connection begins: no reader waits for it in the heap
            if (!reader.ReadTwin(bytes, index, count, defaults))
            {
                return false;
            }

            NeedsTwin = false;
            isTwinRead = true;
            bool isKnown = reader.Version == record.TwinVersion;
            if (!reader.HasAgent)
            {
                OnNothingAsked(reader);
            }
            else if (!isKnown || record.State != SettingsState.RolledBack)
            {
                Answer(SettingsSource.Twin, reader);
            }

            record.TwinVersion = reader.Version;
            NeedsReport = reader.AcknowledgedCode != Code || (reader.HasAgent && reader.AcknowledgedVersion != reader.Version);
            return true;
        }

        /// <summary>A change of desired properties; what cannot be applied asks for the whole twin.</summary>
        public void OnPatch(byte[] bytes, int index, int count, long topicVersion)
        {
            TwinReader reader = new TwinReader();
            bool isWhole = reader.ReadPatch(bytes, index, count, InForce, defaults);
            long version = isWhole && reader.Version >= 0 ? reader.Version : topicVersion;
            if (version >= 0 && version <= record.TwinVersion)
            {
                return; // an old one, or one twice
            }

            bool isNext = version == record.TwinVersion + 1;
            bool isFromTwin = isTwinRead && record.Source != SettingsSource.Method;
            bool wasTaken = Code == 200 || Code == 202 || Code == 203;
            if (!isWhole || !isNext || !isFromTwin || !wasTaken || record.State == SettingsState.RolledBack)
            {
                NeedsTwin = true;
                return;
            }

            record.TwinVersion = version;
            if (reader.HasAgent)
            {
                Answer(SettingsSource.Twin, reader);
                NeedsReport = true;
            }
        }

        /// <summary>The payload of setSettings. Returns 200, 202 or 400; Problems then says why.</summary>
        public int OnMethod(byte[] bytes, int index, int count)
        {
            TwinReader reader = new TwinReader();
            if (!reader.ReadSettings(bytes, index, count, InForce, defaults))
            {
                Problems = "not JSON";
                return 400;
            }

            int codeOfTwin = Code;
            Answer(SettingsSource.Method, reader);
            int code = Code;
            if (code == 400)
            {
                Code = codeOfTwin;
            }
            else
            {
                NeedsReport = true;
            }

            return code;
        }

        /// <summary>A planned renewal has succeeded under the settings in force.</summary>
        public void OnRenewed()
        {
            probationFailures = 0;
            if (record.State == SettingsState.OnProbation)
            {
                lastGood = InForce;
                record.State = SettingsState.Good;
                NeedsReport = NeedsReport || Code == 202;
                Code = Code == 202 ? 200 : Code; // a version refused since then stays refused
                Save();
            }
        }

        /// <summary>A link or an attempt ended unplanned.</summary>
        public void OnFailure(DisconnectReason reason)
        {
            if (record.State == SettingsState.OnProbation && ReasonClassifier.IsOfHub(reason)
                && ++probationFailures >= ProbationFailuresMax)
            {
                RollBack(reason);
            }
        }

        /// <summary>How long there has been no connection, and why.</summary>
        public void OnOffline(long offlineMs, DisconnectReason reason)
        {
            if (record.State == SettingsState.OnProbation && offlineMs >= ProbationOfflineMs)
            {
                RollBack(reason);
            }
        }

        /// <summary>Writes the report: {"agent":{"ac":…,"av":…,"ad":…,"value":{…}}}.</summary>
        public void WriteReport(JsonWriter json)
        {
            json.Start().Open().Open("agent");
            json.Number("ac", Code).Number("av", Code == 203 || Version < 0 ? 0 : Version).Text("ad", Description());
            json.Open("value");
            WriteMembers(json);
            json.Close().Close().Close();
        }

        /// <summary>Writes the answer to getSettings and setSettings.</summary>
        public void WriteAnswer(JsonWriter json, RenewMode modeInUse)
        {
            json.Start().Open();
            json.Number("version", Version).Number("code", Code).Text("description", Description());
            json.Text("renewModeInUse", SettingTable.Word(Setting.RenewMode, (int)modeInUse));
            json.Open("value");
            WriteMembers(json);
            json.Close().Close();
        }

        private void OnNothingAsked(TwinReader reader)
        {
            if (record.Source == SettingsSource.Twin)
            {
                Answer(SettingsSource.Defaults, reader); // it was asked for and is no longer
            }

            Code = record.State == SettingsState.Good ? 203 : Code;
        }

        /// <summary>What the reader has read is put into force, or refused.</summary>
        private void Answer(SettingsSource source, TwinReader reader)
        {
            Problems = reader.Problems;
            if (reader.Settings == null)
            {
                Code = 400;
                return;
            }

            TokenSettings next = reader.Settings;
            bool isSame = next.IsSameAs(InForce);
            bool reconnects = next.DiffersInConnection(InForce);
            bool isProven = !next.DiffersInConnection(lastGood);
            if (!isSame)
            {
                change = next;
                changeReconnects = reconnects;
            }

            bool wasSaved = record.Source == source && isSame;
            InForce = next;
            record.Source = source;
            if (isProven)
            {
                lastGood = next;
                record.State = SettingsState.Good;
            }
            else if (!isSame || record.State == SettingsState.RolledBack)
            {
                record.State = SettingsState.OnProbation;
                record.ProbationBoots = 0;
                probationFailures = 0;
            }

            Code = record.State == SettingsState.OnProbation ? 202 : 200;
            if (!wasSaved)
            {
                Save();
            }
        }

        private void RollBack(DisconnectReason reason)
        {
            change = lastGood;
            changeReconnects = true;
            InForce = lastGood;
            record.State = SettingsState.RolledBack;
            record.RollbackReason = reason;
            Code = 500;
            NeedsReport = true;
            Save();
        }

        private void Save()
        {
            record.PutInForce(InForce);
            record.PutLastGood(lastGood);
            record.Save();
        }

        private string Description()
        {
            switch (Code)
            {
                case 200: return "in force";
                case 202: return "in force, on probation until a renewal has succeeded";
                case 203: return "nothing set: defaults in force";
                case 400: return Problems == null ? "refused" : string.Concat("refused: ", Problems);
                default:
                    return string.Concat(
                        "rolled back to the last good settings: ", DisconnectReasonText.Of(record.RollbackReason));
            }
        }

        private void WriteMembers(JsonWriter json)
        {
            string open = "";
            for (int i = 0; i < (int)Setting.Count; i++)
            {
                Setting setting = (Setting)i;
                string group = SettingTable.Group(setting);
                if (group != open)
                {
                    if (open.Length > 0)
                    {
                        json.Close();
                    }

                    if (group.Length > 0)
                    {
                        json.Open(group);
                    }

                    open = group;
                }

                WriteMember(json, setting);
            }

            if (open.Length > 0)
            {
                json.Close();
            }
        }

        private void WriteMember(JsonWriter json, Setting setting)
        {
            int value = InForce.Get(setting);
            string word = SettingTable.Word(setting, value);
            if (word != null)
            {
                json.Text(SettingTable.Name(setting), word);
            }
            else if (setting == Setting.RenewBeforeSeconds && value == 0)
            {
                json.Null(SettingTable.Name(setting)); // not in use; null also takes an earlier report away
            }
            else
            {
                json.Number(SettingTable.Name(setting), value);
            }
        }
    }
}
