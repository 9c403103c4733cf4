using Agent.Fleet;
using Agent.World;

namespace Agent.Drive;

// Heartbeats and pings of a standing connection: real packets at the moments the models' policies name. The rules are those of
// virtual time (VirtualWorld.Live); only here every one of them is an event.
internal sealed partial class DriveLoop
{
    private readonly byte[] topic = new byte[512];

    private void DispatchLive(Due due, FleetRun fleet, int local, ref ClientState device, long atMs)
    {
        ref Line line = ref lines[local];
        if (due == Due.Send && device.Phase is Phase.Stopped or Phase.Waiting && device.Has(DeviceFlags.WakeOnSend))
        {
            device.Flags &= ~DeviceFlags.WakeOnSend;
            Begin(fleet, local);
            fleet.Model.OnSendWhileDown(ref device, turn);
            Carry(fleet, local, ref device);
            return;
        }

        if (!device.Has(DeviceFlags.Up) || line.Session is null)
        {
            return;
        }

        switch (due)
        {
            case Due.Send when line.SendDueMs == atMs:
                OnSend(fleet, local, ref device, ref line);
                break;
            case Due.PingDue when line.PingDueMs == atMs:
                OnPingDue(fleet, local, ref device, ref line);
                break;
            case Due.PingLost when line.PingSentMs >= 0 && line.PingSentMs + fleet.Model.Ping.AnswerWithinMs == atMs:
            case Due.SendLost when line.Unacked > 0 &&
                    clock.NowMs - line.UnackedSinceMs >= fleet.Model.AcknowledgeWithinMs:
                Begin(fleet, local);
                fleet.Model.OnPingLost(ref device, turn);
                Carry(fleet, local, ref device);
                break;
        }
    }

    private void OnSend(FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        long nowMs = clock.NowMs;
        line.LastSentMs = nowMs;
        if (line.Unacked++ == 0)
        {
            line.UnackedSinceMs = nowMs;
            In(fleet.Model.AcknowledgeWithinMs, local, Due.SendLost, device.Link);
        }

        string id = plan.Keys.IdOf(GlobalOf(fleet, local));
        int length = System.Text.Encoding.ASCII.GetBytes($"devices/{id}/messages/events/", topic);
        line.Session!.SendPublish(topic.AsSpan(0, length), "{}"u8, qos: 1, line.NextPacketId());
        ArmSend(fleet, local, ref device, ref line);
    }

    private void OnPingDue(FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        PingPolicy policy = fleet.Model.Ping;
        long nowMs = clock.NowMs;
        bool due = policy.Rule switch
        {
            PingRule.SinceSent => nowMs - line.LastSentMs >= policy.EveryMs,
            PingRule.SinceEither => nowMs - Math.Min(line.LastSentMs, line.LastReceivedMs) >= policy.EveryMs,
            PingRule.FixedTick => true,
            _ => nowMs - line.LastReceivedMs >= policy.EveryMs,
        };
        line.LookedMs = nowMs;
        if (due && line.PingSentMs < 0)
        {
            Note(fleet, local, ref device, Seen.Pingreq);
            line.LastSentMs = nowMs;
            line.PingSentMs = nowMs;
            time.At(nowMs + policy.AnswerWithinMs, local, (byte)Due.PingLost, device.Link);
            line.Session!.SendPingreq();
        }

        ArmPing(fleet, local, ref device, ref line);
    }

    private void OnAnswer(SignalKind kind, FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        line.LastReceivedMs = clock.NowMs;
        if (kind == SignalKind.Pingresp)
        {
            line.PingSentMs = -1;
            if (fleet.Model.Ping.Rule == PingRule.TickIfQuiet)
            {
                line.LookedMs = line.LastReceivedMs; // The next look is a period after the answer.
                ArmPing(fleet, local, ref device, ref line);
            }
        }
        else if (kind == SignalKind.Puback && line.Unacked > 0)
        {
            fleet.Statistics.Heartbeats++;
            fleet.Statistics.MessagesBilled++;
            line.Unacked--;
            line.UnackedSinceMs = line.Unacked == 0 ? -1 : line.LastReceivedMs;
        }
    }

    private void ArmSend(FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        if (fleet.Plan.Settings.HeartbeatEveryMs > 0)
        {
            line.SendDueMs = NextSendMs(fleet, local);
            time.At(line.SendDueMs, local, (byte)Due.Send, device.Link);
        }
    }

    private void WaitForApplication(FleetRun fleet, int local, ref ClientState device)
    {
        if (device.Has(DeviceFlags.WakeOnSend) && fleet.Plan.Settings.HeartbeatEveryMs > 0)
        {
            time.At(NextSendMs(fleet, local), local, (byte)Due.Send, device.Link);
        }
    }

    // The device's grid: start + k · interval, the first point after now.
    private long NextSendMs(FleetRun fleet, int local)
    {
        long startMs = StartOf(fleet, local);
        long everyMs = fleet.Plan.Settings.HeartbeatEveryMs;
        return startMs + (((clock.NowMs - startMs) / everyMs) + 1) * everyMs;
    }

    private void ArmPing(FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        PingPolicy policy = fleet.Model.Ping;
        if (policy.EveryMs <= 0)
        {
            return;
        }

        if (policy.Rule is PingRule.SinceSent or PingRule.SinceEither)
        {
            long quietSinceMs = policy.Rule == PingRule.SinceSent
                ? line.LastSentMs
                : Math.Min(line.LastSentMs, line.LastReceivedMs);
            line.PingDueMs = (line.PingSentMs < 0 ? quietSinceMs : clock.NowMs) + policy.EveryMs;
        }
        else if (policy.Rule == PingRule.TickIfQuiet)
        {
            line.PingDueMs = Math.Max(clock.NowMs, line.LookedMs + policy.EveryMs);
        }
        else
        {
            long ticks = ((clock.NowMs - line.ConnackMs) / policy.EveryMs) + 1;
            line.PingDueMs = line.ConnackMs + (ticks * policy.EveryMs);
        }

        time.At(line.PingDueMs, local, (byte)Due.PingDue, device.Link);
    }
}
