using System.Globalization;
using System.Text.Unicode;
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
            case Due.Send when line.Pulse.SendDueMs == atMs:
                OnSend(fleet, local, ref device, ref line);
                break;
            case Due.PingDue when line.Pulse.PingDueMs == atMs:
                OnPingDue(fleet, local, ref device, ref line);
                break;
            case Due.PingLost when line.Pulse.PingSentMs >= 0 && line.Pulse.PingSentMs + fleet.Model.Ping.AnswerWithinMs == atMs:
            case Due.SendLost when line.Pulse.Unacked > 0 &&
                    clock.NowMs - line.Pulse.UnackedSinceMs >= fleet.Model.AcknowledgeWithinMs:
                Begin(fleet, local);
                fleet.Model.OnPingLost(ref device, turn);
                Carry(fleet, local, ref device);
                break;
        }
    }

    private void OnSend(FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        long nowMs = clock.NowMs;
        line.Pulse.LastSentMs = nowMs;
        if (line.Pulse.Unacked++ == 0)
        {
            line.Pulse.UnackedSinceMs = nowMs;
            In(fleet.Model.AcknowledgeWithinMs, local, Due.SendLost, device.Link);
        }

        // What the application of each SDK sends: a heartbeat that says when to expect the next one. Its number is that of the
        // moment on the grid, so that a restarted device goes on counting.
        string id = plan.Keys.IdOf(GlobalOf(fleet, local));
        long everyMs = fleet.Plan.Settings.HeartbeatEveryMs;
        Utf8.TryWrite(
            topic, CultureInfo.InvariantCulture,
            $"devices/{id}/messages/events/type=heartbeat&seq={nowMs / everyMs}&interval={(everyMs + 999) / 1000}", out int length);
        line.Session!.SendPublish(topic.AsSpan(0, length), "{}"u8, qos: 1, line.NextPacketId());
        ArmSend(fleet, local, ref device, ref line);
    }

    private void OnPingDue(FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        PingPolicy policy = fleet.Model.Ping;
        long nowMs = clock.NowMs;
        if (line.Pulse.Look(policy, nowMs))
        {
            Note(fleet, local, ref device, Seen.Pingreq);
            line.Pulse.LastSentMs = nowMs;
            line.Pulse.PingSentMs = nowMs;
            time.At(nowMs + policy.AnswerWithinMs, local, (byte)Due.PingLost, device.Link);
            line.Session!.SendPingreq();
        }

        ArmPing(fleet, local, ref device, ref line);
    }

    private void OnAnswer(SignalKind kind, FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        line.Pulse.LastReceivedMs = clock.NowMs;
        if (kind == SignalKind.Pingresp)
        {
            line.Pulse.PingSentMs = -1;
            if (fleet.Model.Ping.Rule == PingRule.TickIfQuiet)
            {
                line.Pulse.LookedMs = line.Pulse.LastReceivedMs; // The next look is a period after the answer.
                ArmPing(fleet, local, ref device, ref line);
            }
        }
        else if (kind == SignalKind.Puback && line.Pulse.Unacked > 0)
        {
            fleet.Statistics.Heartbeats++;
            fleet.Statistics.MessagesBilled++;
            line.Pulse.Unacked--;
            line.Pulse.UnackedSinceMs = line.Pulse.Unacked == 0 ? -1 : line.Pulse.LastReceivedMs;
        }
    }

    private void ArmSend(FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        if (fleet.Plan.Settings.HeartbeatEveryMs > 0)
        {
            line.Pulse.SendDueMs = part.NextHeartbeatMs(fleet, local, clock.NowMs);
            time.At(line.Pulse.SendDueMs, local, (byte)Due.Send, device.Link);
        }
    }

    private void WaitForApplication(FleetRun fleet, int local, ref ClientState device)
    {
        if (device.Has(DeviceFlags.WakeOnSend) && fleet.Plan.Settings.HeartbeatEveryMs > 0)
        {
            time.At(part.NextHeartbeatMs(fleet, local, clock.NowMs), local, (byte)Due.Send, device.Link);
        }
    }

    private void ArmPing(FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        if (line.Pulse.ArmPing(fleet.Model.Ping, clock.NowMs))
        {
            time.At(line.Pulse.PingDueMs, local, (byte)Due.PingDue, device.Link);
        }
    }
}
