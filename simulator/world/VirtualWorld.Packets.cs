using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

// What arrives: packets at the hub and at the device, each looked at when it gets there, and the hub's own deadlines.
public sealed partial class VirtualWorld
{
    private void OnHubDeadline(FleetRun fleet, int local, ref ClientState device, long atMs)
    {
        if (!device.IsTimer(HubTimer, atMs))
        {
            return;
        }

        device.ClearTimer(HubTimer);
        if (HubRests(local, out long untilMs))
        {
            ArmHub(local, ref device, untilMs);
            return;
        }

        Reason reason = hub.OnDeadline(time.NowMs, local, out int link);
        if (reason == Reason.None)
        {
            ArmHub(local, ref device, hub.DeadlineMs(time.NowMs, local));
        }
        else if (link == device.Link)
        {
            CloseByHub(fleet, local, ref device, reason);
        }
    }

    // The hub closes the device's present connection: the world's books first, then the FIN on its way.
    private void CloseByHub(FleetRun fleet, int local, ref ClientState device, Reason reason, bool reset = false)
    {
        EndConnection(fleet, local, ref device, time.NowMs, reason);
        Note(fleet, local, ref device, Seen.Close, byHub: true, reason: reason);
        Push(downMs, local, reset ? EventKind.ResetAtDevice : EventKind.FinAtDevice, device.Link);
    }

    private void OnConnectAtHub(FleetRun fleet, int local, ref ClientState device)
    {
        if (!Delivers(local))
        {
            GiveUpLater(fleet, local, ref device, dialMs + upMs);
            return;
        }

        fleet.Statistics.CountConnectPacket(time.NowMs);
        if (faults.IsHit(local) && faults.RefusalOf(fleet, local) is { } refusal)
        {
            if (refusal.Kind == LogKind.ConnectTimeout)
            {
                GiveUpLater(fleet, local, ref device, dialMs + upMs);
                Push(IotHub.ConnectPatienceMs, local, EventKind.TimedOutAtHub, device.Link);
            }
            else
            {
                Answer(fleet, local, ref device, hub.Refuse(time.NowMs, local, refusal.Reason, refusal.Code, refusal.Kind));
            }

            return;
        }

        ulong draw = Randomness.Draw(scenario.Seed, part.GlobalOf(fleet, local), 0x8000_0000u | device.Link);
        var request = new ConnectRequest(
            local, device.Link, IsKeyGood(local), device.TokenExpiry * 1000L,
            fleet.Fields.KeepAliveSeconds, fleet.Fields.CleanSession, (uint)draw);
        Answer(fleet, local, ref device, hub.OnConnect(time.NowMs, Scenario.EpochUtcMs + time.NowMs, request));
    }

    // The hub gives the request up, whether or not the client has waited for as long.
    private void OnTimedOutAtHub(FleetRun fleet, int local, ref ClientState device, ushort link)
    {
        hub.Refuse(time.NowMs, local, Reason.RefusedTimedOut, ConnectReply.HangUp, LogKind.ConnectTimeout);
        fleet.Statistics.CountRefusal(Reason.RefusedTimedOut);
        if (device.Link == link)
        {
            Push(downMs, local, EventKind.GivenUpAtDevice, link);
        }
    }

    private void Answer(FleetRun fleet, int local, ref ClientState device, in ConnectReply reply)
    {
        if (!reply.Accepted)
        {
            fleet.Statistics.CountRefusal(reply.Refusal);
            Push(
                downMs, local,
                reply.Code == ConnectReply.HangUp ? EventKind.HungUpAtDevice : EventKind.Connack0 + reply.Code, device.Link);
            return;
        }

        EndConnection(fleet, local, ref device, time.NowMs, reply.OlderReason); // Only if the books still had one open.
        long upAtMs = time.NowMs + downMs;
        fleet.Statistics.CountConnect(ref device, upAtMs);
        hub.SetSpeaks(local, speaks: true, time.NowMs);
        OnHubAccepted(local, ref device);
        ArmHub(local, ref device, hub.DeadlineMs(time.NowMs, local));
        if (monitor is not null)
        {
            PromiseHeartbeats(fleet, local, upAtMs);
        }

        Push(downMs, local, reply.SessionPresent ? EventKind.Connack0SessionPresent : EventKind.Connack0, device.Link);
    }

    private void OnConnack(EventKind kind, FleetRun fleet, int local, ref ClientState device)
    {
        if (device.Phase != Phase.AwaitingConnack)
        {
            return;
        }

        if (!Delivers(local))
        {
            monitor?.Withdraw(local, time.NowMs);
            GiveUpLater(fleet, local, ref device, dialMs + upMs + downMs);
            return;
        }

        bool present = kind == EventKind.Connack0SessionPresent;
        byte code = present ? (byte)0 : (byte)(kind - EventKind.Connack0);
        Note(fleet, local, ref device, Seen.Connack, byHub: true, code: code);
        if (code != 0)
        {
            Reason refusal = code == 3 ? Reason.RefusedUnavailable : Reason.TokenRefused;
            Note(fleet, local, ref device, Seen.Close, byHub: true, reason: refusal);
        }

        Begin(fleet, local);
        fleet.Model.OnConnack(ref device, turn, code, present);
        if (code == 0)
        {
            TellBack(fleet, local);
        }

        if (code == 0 && (fleet.Plan.Timeline || IsImpaired(local) || IsMetered(fleet)))
        {
            GoLive(fleet, local, ref device);
        }

        Carry(fleet, local, ref device);
    }

    // A silent hub's TCP has taken the FIN; the hub itself looks at it when it speaks again.
    private void OnTcpEndAtHub(int local, Pending next)
    {
        if (Arrives(local))
        {
            hub.OnLinkClosed(time.NowMs, local, next.Link);
            return;
        }

        hub.SetSilent(local, next.Link);
        if (!faults.Has(local, FaultKind.NetworkDown) && HubRests(local, out long untilMs) && untilMs < VirtualTime.MaxMs)
        {
            time.At(untilMs, local, next.Kind, next.Link);
        }
    }

    private void OnGoodbye(int local, ref ClientState device, Pending next)
    {
        if (!Arrives(local))
        {
            hub.SetSilent(local, next.Link);
            return;
        }

        hub.OnDisconnect(time.NowMs, local, next.Link);
        if (device.Link == next.Link)
        {
            Push(downMs, local, EventKind.OwnCloseDone, next.Link);
        }
    }

    private void OnPeerClosed(FleetRun fleet, int local, ref ClientState device, bool reset)
    {
        if (!Delivers(local))
        {
            return; // The device will learn when it next sends: VirtualWorld.Live.
        }

        device.Flags &= ~DeviceFlags.Open;
        EndLive(local, ref device);
        Begin(fleet, local);
        if (device.Phase == Phase.AwaitingConnack)
        {
            fleet.Model.OnAttemptFailed(ref device, turn, DialFault.Refused);
        }
        else if (device.Phase is Phase.Connected or Phase.Renewing)
        {
            fleet.Model.OnClosed(ref device, turn, reset);
        }

        Carry(fleet, local, ref device);
    }

    private void AttemptFailed(FleetRun fleet, int local, ref ClientState device, DialFault fault)
    {
        device.Flags &= ~DeviceFlags.Open;
        Begin(fleet, local);
        fleet.Model.OnAttemptFailed(ref device, turn, fault);
        Carry(fleet, local, ref device);
    }
}
