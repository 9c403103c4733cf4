using System.Runtime.InteropServices;
using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

// Heartbeats and pings as events. Only devices for which something follows from them are treated so: those whose timeline is
// wanted, and those whose packets get lost, because there the next unanswered ping decides when the client notices and the
// last packet that got through decides when the hub does. When trouble begins for a device that was counted in closed form
// until then, its last packet and the phase of its ping timer are worked out from the same rules the events follow.
public sealed partial class VirtualWorld
{
    // Linux repeats an unacknowledged segment after 200 ms and then twice as long each time (RFC 6298 with RTO min 200 ms).
    private const long RetransmitFirstMs = 200;

    // ... and gives the connection up after 15 repetitions (tcp_retries2).
    private const long TcpGivesUpMs = 924_600;

    private readonly Dictionary<int, Pulse> live = [];

    // From the CONNACK on, or from the beginning of trouble, this device's sends and pings are events.
    private void GoLive(FleetRun fleet, int local, ref ClientState device)
    {
        if (device.Has(DeviceFlags.Live))
        {
            return;
        }

        long nowMs = time.NowMs;
        CountHeartbeats(fleet, local, ref device, nowMs + 1);
        monitor?.Withdraw(local, nowMs + 1);
        device.Flags |= DeviceFlags.Live;
        ref Pulse state = ref CollectionsMarshal.GetValueRefOrAddDefault(live, local, out _);
        state = Pulse.From(Math.Min(nowMs, device.EndedAtMs + device.UpAfterMs));
        PutInPhase(fleet, local, ref state, nowMs);
        ArmSend(fleet, local, ref device, ref state);
        ArmPing(fleet, local, ref device, ref state);
    }

    // When did this healthy connection last send and receive?
    private void PutInPhase(FleetRun fleet, int local, ref Pulse state, long nowMs)
    {
        long everyMs = fleet.Plan.Settings.HeartbeatEveryMs;
        long startMs = part.StartOf(fleet, local);
        long heartbeatMs = everyMs == 0 ? -1 : startMs + (FleetShard.GridPoints(nowMs + 1 - startMs, everyMs) * everyMs);
        long baseMs = Math.Max(state.ConnackMs, heartbeatMs);
        PingPolicy policy = fleet.Model.Ping;
        state.LastSentMs = baseMs;
        state.LastReceivedMs = baseMs + AnswerMs;
        if (policy.EveryMs <= 0)
        {
            return;
        }

        if (policy.Rule is PingRule.SinceSent or PingRule.SinceEither)
        {
            state.LastSentMs += (nowMs - baseMs) / policy.EveryMs * policy.EveryMs;
            state.LastReceivedMs = state.LastSentMs + AnswerMs;
            return;
        }

        // Ticks from the CONNACK: walk those since the last heartbeat.
        long tick = state.ConnackMs + (((baseMs - state.ConnackMs) / policy.EveryMs) + 1) * policy.EveryMs;
        state.LookedMs = tick - policy.EveryMs;
        while (tick <= nowMs)
        {
            state.LookedMs = tick;
            if (policy.Rule == PingRule.FixedTick || tick - state.LastReceivedMs >= policy.EveryMs)
            {
                state.LastSentMs = tick;
                state.LastReceivedMs = tick + AnswerMs;
                state.LookedMs = policy.Rule == PingRule.FixedTick ? tick : state.LastReceivedMs;
            }

            tick = state.LookedMs + policy.EveryMs;
        }
    }

    // An answer is never there in the millisecond of the question, not even on loopback.
    private long AnswerMs => Math.Max(1, upMs + downMs);

    private void EndLive(int local, ref ClientState device)
    {
        if (device.Has(DeviceFlags.Live))
        {
            device.Flags &= ~DeviceFlags.Live;
            live.Remove(local);
        }
    }

    private void DispatchLive(EventKind kind, FleetRun fleet, int local, ref ClientState device, long atMs)
    {
        if (kind == EventKind.Send && device.Phase is Phase.Stopped or Phase.Waiting && device.Has(DeviceFlags.WakeOnSend))
        {
            SendWhileDown(fleet, local, ref device);
            return;
        }

        ref Pulse state = ref CollectionsMarshal.GetValueRefOrNullRef(live, local);
        if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref state))
        {
            return;
        }

        switch (kind)
        {
            case EventKind.Send when state.SendDueMs == atMs && !Hangs(local):
                OnSend(fleet, local, ref device, ref state);
                break;
            case EventKind.PingDue when state.PingDueMs == atMs && !Hangs(local):
                OnPingDue(fleet, local, ref device, ref state);
                break;
            case EventKind.PingLost when state.PingSentMs >= 0 && !Hangs(local) &&
                    state.PingSentMs + fleet.Model.Ping.AnswerWithinMs == atMs:
                Begin(fleet, local);
                fleet.Model.OnPingLost(ref device, turn);
                Carry(fleet, local, ref device);
                break;
            case EventKind.SendLost when state.Unacked > 0 && !Hangs(local) &&
                    state.UnackedSinceMs >= 0 && atMs - state.UnackedSinceMs >= fleet.Model.AcknowledgeWithinMs:
                Begin(fleet, local);
                fleet.Model.OnPingLost(ref device, turn);
                Carry(fleet, local, ref device);
                break;
            case EventKind.TcpGivesUp when state.UnackedSinceMs >= 0 && faults.Has(local, FaultKind.NetworkDown) &&
                    state.UnackedSinceMs + TcpGivesUpMs == atMs:
                TcpGivesUp(fleet, local, ref device);
                break;
            case EventKind.RetransmitAtHub:
                OnRetransmit(fleet, local, ref device, ref state);
                break;
        }
    }

    private void OnSend(FleetRun fleet, int local, ref ClientState device, ref Pulse state)
    {
        state.LastSentMs = time.NowMs;
        if (!Delivers(local))
        {
            if (state.Unacked++ == 0)
            {
                Push(fleet.Model.AcknowledgeWithinMs, local, EventKind.SendLost, device.Link);
            }

            NoteUnacked(local, ref device, ref state);
        }
        else if (faults.Has(local, FaultKind.QuotaExceeded))
        {
            // The message is not acknowledged and the connection is cut; the next CONNECT is accepted again.
            hub.Cut(time.NowMs, local, Reason.QuotaExceeded);
            CloseByHub(fleet, local, ref device, Reason.QuotaExceeded);
            return;
        }
        else if (hub.CurrentLink(local) != device.Link)
        {
            Push(upMs + downMs, local, EventKind.ResetAtDevice, device.Link);
            return;
        }
        else if (!TryTakeMessage(fleet, local, ref device, out long waitMs))
        {
            return;
        }
        else
        {
            state.LastReceivedMs = time.NowMs + AnswerMs + waitMs;
            hub.OnPacket(time.NowMs, local, device.Link);
            fleet.Statistics.Heartbeats++;
            fleet.Statistics.MessagesBilled++;
            monitor?.OnTelemetry(time.NowMs, local);
            TellArrival(local);
        }

        ArmSend(fleet, local, ref device, ref state);
    }

    private void NoteUnacked(int local, ref ClientState device, ref Pulse state)
    {
        if (state.UnackedSinceMs < 0)
        {
            state.UnackedSinceMs = time.NowMs;
            Push(TcpGivesUpMs, local, EventKind.TcpGivesUp, device.Link);
        }
    }

    // The device's own TCP reports the connection dead: to the client that is an error on its socket.
    private void TcpGivesUp(FleetRun fleet, int local, ref ClientState device)
    {
        Note(fleet, local, ref device, Seen.Close, reason: Reason.TimedOut);
        EndConnection(fleet, local, ref device, time.NowMs, Reason.TimedOut);
        EndLive(local, ref device);
        Begin(fleet, local);
        fleet.Model.OnClosed(ref device, turn, reset: true);
        Carry(fleet, local, ref device);
    }

    private void SendWhileDown(FleetRun fleet, int local, ref ClientState device)
    {
        device.Flags &= ~DeviceFlags.WakeOnSend;
        Begin(fleet, local);
        fleet.Model.OnSendWhileDown(ref device, turn);
        Carry(fleet, local, ref device);
    }

    private void WaitForApplication(FleetRun fleet, int local, ref ClientState device)
    {
        long everyMs = fleet.Plan.Settings.HeartbeatEveryMs;
        if (device.Has(DeviceFlags.WakeOnSend) && everyMs > 0)
        {
            time.At(part.NextHeartbeatMs(fleet, local, time.NowMs), local, (byte)EventKind.Send, device.Link);
        }
    }

    private void ArmSend(FleetRun fleet, int local, ref ClientState device, ref Pulse state)
    {
        if (fleet.Plan.Settings.HeartbeatEveryMs > 0)
        {
            state.SendDueMs = part.NextHeartbeatMs(fleet, local, time.NowMs);
            time.At(state.SendDueMs, local, (byte)EventKind.Send, device.Link);
        }
    }

    private void OnPingDue(FleetRun fleet, int local, ref ClientState device, ref Pulse state)
    {
        PingPolicy policy = fleet.Model.Ping;
        if (state.Look(policy, time.NowMs))
        {
            Note(fleet, local, ref device, Seen.Pingreq);
            state.LastSentMs = time.NowMs;
            if (!Delivers(local))
            {
                state.PingSentMs = time.NowMs;
                Push(policy.AnswerWithinMs, local, EventKind.PingLost, device.Link);
                NoteUnacked(local, ref device, ref state);
            }
            else if (hub.CurrentLink(local) != device.Link)
            {
                Push(upMs + downMs, local, EventKind.ResetAtDevice, device.Link);
                return;
            }
            else
            {
                state.LastReceivedMs = time.NowMs + AnswerMs;
                state.LookedMs = policy.Rule == PingRule.TickIfQuiet ? state.LastReceivedMs : time.NowMs;
                hub.OnPacket(time.NowMs, local, device.Link);
            }
        }

        ArmPing(fleet, local, ref device, ref state);
    }

    private void ArmPing(FleetRun fleet, int local, ref ClientState device, ref Pulse state)
    {
        if (state.ArmPing(fleet.Model.Ping, time.NowMs))
        {
            time.At(state.PingDueMs, local, (byte)EventKind.PingDue, device.Link);
        }
    }

    // Packets flow again: what was in flight is repeated by TCP at its next turn; a closed end is learned of.
    private void Heal(FleetRun fleet, int local, ref ClientState device, bool atOnce)
    {
        ref Pulse state = ref CollectionsMarshal.GetValueRefOrNullRef(live, local);
        if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref state))
        {
            return;
        }

        long waitMs = 0;
        if (state.UnackedSinceMs >= 0 && !atOnce)
        {
            long backoffMs = RetransmitFirstMs;
            long nextMs = state.UnackedSinceMs + backoffMs;
            while (nextMs < time.NowMs)
            {
                backoffMs = Math.Min(backoffMs * 2, 120_000);
                nextMs += backoffMs;
            }

            waitMs = nextMs - time.NowMs;
        }

        Push(waitMs + upMs, local, EventKind.RetransmitAtHub, device.Link);
        if (atOnce)
        {
            ArmSend(fleet, local, ref device, ref state); // A hung application goes on where it stopped.
            ArmPing(fleet, local, ref device, ref state);
        }
    }

    private void OnRetransmit(FleetRun fleet, int local, ref ClientState device, ref Pulse state)
    {
        if (!Delivers(local))
        {
            return;
        }

        if (hub.CurrentLink(local) != device.Link)
        {
            Push(downMs, local, state.UnackedSinceMs >= 0 ? EventKind.ResetAtDevice : EventKind.FinAtDevice, device.Link);
            return;
        }

        hub.OnPacket(time.NowMs, local, device.Link);
        hub.SetSpeaks(local, speaks: true, time.NowMs);
        ArmHub(local, ref device, hub.DeadlineMs(time.NowMs, local));
        fleet.Statistics.DownMs += state.TakeDeafMs(time.NowMs);
        TellBack(fleet, local);
        for (; state.Unacked > 0; state.Unacked--)
        {
            if (!TryTakeMessage(fleet, local, ref device, out _))
            {
                return;
            }

            fleet.Statistics.Heartbeats++;
            fleet.Statistics.MessagesBilled++;
            monitor?.OnTelemetry(time.NowMs, local);
            TellArrival(local);
        }

        state.UnackedSinceMs = -1;
        state.PingSentMs = -1;
        state.LastReceivedMs = time.NowMs + downMs;
    }
}
