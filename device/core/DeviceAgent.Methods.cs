// Direct methods: the same as the twin, at once and with an answer.
//
//   getSettings                    200 settings in force, their version, state and the renew mode in use
//   setSettings {"token":{…}}      200 or 202 in force; 400 every problem; the twin's next change goes before it
//   renewNow                       200, then a renewal after a second; 409 when there is nothing to renew
//   getDiagnostics {"below":N}     200 counters and the newest entries (with a number below N), as many as fit
//   clearDiagnostics               200; entries so far are no longer shown
//   reboot                         200, then goodbye and a restart after a second; 501 on a device that cannot
//   anything else                  404
// What a method announces happens a second after its answer was given to the driver: M2Mqtt only queues a message, and
// a DISCONNECT sent at once would overtake it (facts/nf-baseline.md section 2).
namespace Agent.Core
{
    public sealed partial class DeviceAgent
    {
        private enum MethodAnswer
        {
            Empty = 0,
            Settings = 1,
            Diagnostics = 2,
            Error = 3,
        }

        private readonly BlackBoxEntry entry = new BlackBoxEntry();

        private string methodRequest;
        private int methodStatus;
        private MethodAnswer methodAnswer;
        private string methodError;
        private int entriesBelow;
        private bool rebootWaits;
        private long rebootAtMs = Never;
        private int heartbeatInFlight;
        private bool messageInFlight;

        private void OnMethod(Now now, HubMessage message, byte[] payload, int index, int count)
        {
            methodRequest = message.RequestId;
            switch (message.Method)
            {
                case "getSettings":
                    AnswerWith(200, MethodAnswer.Settings, null);
                    break;
                case "setSettings":
                    int code = keeper.OnMethod(payload, index, count);
                    AnswerWith(code, code == 400 ? MethodAnswer.Error : MethodAnswer.Settings, keeper.Problems);
                    ApplyChange(now);
                    break;
                case "renewNow":
                    if (session.State == SessionState.Connected)
                    {
                        session.OnRenewNow(now, DisconnectReason.PlannedRenewal, AnswerLeavesMs);
                        AnswerWith(200, MethodAnswer.Empty, null);
                    }
                    else
                    {
                        AnswerWith(409, MethodAnswer.Error, "not connected");
                    }

                    break;
                case "getDiagnostics":
                    entriesBelow = BelowOf(payload, index, count);
                    AnswerWith(200, MethodAnswer.Diagnostics, null);
                    break;
                case "clearDiagnostics":
                    record.ClearedUpTo = box.Clear();
                    Save(now);
                    AnswerWith(200, MethodAnswer.Empty, null);
                    break;
                case "reboot":
                    AnswerWith(canReboot ? 200 : 501, MethodAnswer.Empty, null);
                    rebootAtMs = canReboot ? now.Ms + AnswerLeavesMs : Never;
                    break;
                default:
                    AnswerWith(404, MethodAnswer.Error, "no such method");
                    break;
            }
        }

        private void AnswerWith(int status, MethodAnswer answer, string error)
        {
            methodStatus = status;
            methodAnswer = answer;
            methodError = error ?? "";
        }

        private int WriteMethodAnswer()
        {
            switch (methodAnswer)
            {
                case MethodAnswer.Settings:
                    keeper.WriteAnswer(json, session.ModeInUse);
                    break;
                case MethodAnswer.Diagnostics:
                    WriteDiagnostics();
                    break;
                case MethodAnswer.Error:
                    json.Start().Open().Text("error", methodError).Close();
                    break;
                default:
                    json.Start().Open().Close();
                    break;
            }

            return json.IsWhole ? json.Length : json.Start().Open().Close().Length;
        }

        private void WriteDiagnostics()
        {
            json.Start().Open();
            WriteCounters();
            json.OpenArray("entries");
            int below = entriesBelow;
            while (json.HasRoom(DiagnosticsText.EntryBytesMax) && box.TryReadBelow(below, entry))
            {
                below = entry.Number;
                json.Open();
                DiagnosticsText.WriteMembers(json, entry);
                json.Close();
            }

            json.CloseArray().Close();
        }

        /// <summary>{"below":N}; anything else means from the newest on.</summary>
        private int BelowOf(byte[] payload, int index, int count)
        {
            int below = int.MaxValue;
            JsonReader body = new JsonReader();
            body.Start(payload, index, count);
            if (body.Next() == JsonToken.ObjectStart)
            {
                while (body.Next() == JsonToken.Name)
                {
                    bool isBelow = body.TextIs("below");
                    body.Next();
                    bool isNumber = body.Token == JsonToken.Number && body.IsWhole;
                    below = isBelow && isNumber && body.Whole > 0 && body.Whole < int.MaxValue
                        ? (int)body.Whole
                        : below;
                    body.Skip();
                }
            }

            return below;
        }

        private void WakeReboot(Now now)
        {
            if (rebootAtMs > now.Ms)
            {
                return;
            }

            rebootAtMs = Never;
            box.Note(now, DisconnectReason.Reboot, AddOwn(seen.Saw(LinkPhase.Connected, LinkEnd.Unknown, 0), now));
            outbox.Save();
            session.OnStop(now);
            record.Exit = LastExit.Reboot;
            record.NextSequence = session.NextSequence;
            Save(now);
            rebootWaits = true;
        }
    }
}
