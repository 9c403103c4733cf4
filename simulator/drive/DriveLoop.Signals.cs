using Agent.Fleet;
using Agent.Hub;
using Agent.Wire;
using Agent.World;

namespace Agent.Drive;

// What sockets report, turned into the models' events. A signal carries the number of its connection; one about an earlier
// connection than the device's newest finds it changed and means nothing any more.
internal sealed partial class DriveLoop
{
    private void OnSignal(in Signal signal)
    {
        int local = signal.Local;
        ref ClientState device = ref devices[local];
        ref Line line = ref lines[local];
        FleetRun fleet = FleetOf(local);
        if (signal.Kind is SignalKind.TransportUp or SignalKind.DialFailed)
        {
            FreeSlot(local, signal.Link);
        }

        if (line.Has(LineFlags.Hung))
        {
            HoldBack(signal);
            return;
        }

        if (signal.Kind == SignalKind.Closed && line.Has(LineFlags.Parting) && line.Link == signal.Link)
        {
            EndParting(fleet, local, ref device, ref line);
            return;
        }

        if (signal.Link != device.Link)
        {
            signal.Session?.Close(reset: true);
            return;
        }

        switch (signal.Kind)
        {
            case SignalKind.TransportUp:
                OnTransportUp(fleet, local, ref device, ref line, signal);
                break;
            case SignalKind.DialFailed:
                OnDialFailed(fleet, local, ref device, (LinkFault)signal.Code);
                break;
            case SignalKind.Connack:
                OnConnack(fleet, local, ref device, ref line, signal.Code, signal.SessionPresent);
                break;
            case SignalKind.Closed:
                OnClosed(fleet, local, ref device, ref line, (SessionEnd)signal.Code);
                break;
            default:
                OnAnswer(signal.Kind, fleet, local, ref device, ref line);
                break;
        }
    }

    private void OnTransportUp(FleetRun fleet, int local, ref ClientState device, ref Line line, in Signal signal)
    {
        if (device.Phase != Phase.Dialing)
        {
            signal.Session!.Close(reset: true);
            return;
        }

        line = Line.Idle with
        {
            Session = signal.Session,
            Link = signal.Link,
            SlotLink = line.SlotLink,
            Flags = line.Flags & LineFlags.HoldsSlot,
            WaitMs = line.WaitMs,
        };
        device.Flags |= DeviceFlags.Open;
        Begin(fleet, local);
        fleet.Model.OnTransportUp(ref device, turn);
        Carry(fleet, local, ref device);
    }

    private void OnDialFailed(FleetRun fleet, int local, ref ClientState device, LinkFault fault)
    {
        if (device.Phase != Phase.Dialing)
        {
            return;
        }

        if (fault >= LinkFault.LocalAddressUnavailable)
        {
            OwnFailures++;
        }

        AttemptFailed(fleet, local, ref device, fault switch
        {
            LinkFault.DnsFailed => DialFault.Dns,
            LinkFault.TcpTimedOut or LinkFault.TlsTimedOut or LinkFault.TcpUnreachable => DialFault.TimedOut,
            >= LinkFault.TlsFailed and < LinkFault.LocalAddressUnavailable => DialFault.Tls,
            _ => DialFault.Refused,
        });
    }

    private void OnAttemptLate(FleetRun fleet, int local, ref ClientState device)
    {
        if (device.Phase is Phase.Dialing or Phase.AwaitingConnack)
        {
            Note(fleet, local, ref device, Seen.Close, reason: Reason.TimedOut);
            lines[local].Session?.Close();
            AttemptFailed(fleet, local, ref device, DialFault.TimedOut);
        }
    }

    private void AttemptFailed(FleetRun fleet, int local, ref ClientState device, DialFault fault)
    {
        device.Flags &= ~DeviceFlags.Open;
        Begin(fleet, local);
        fleet.Model.OnAttemptFailed(ref device, turn, fault);
        Carry(fleet, local, ref device);
    }

    private void OnConnack(FleetRun fleet, int local, ref ClientState device, ref Line line, byte code, bool sessionPresent)
    {
        if (device.Phase != Phase.AwaitingConnack)
        {
            return;
        }

        Note(fleet, local, ref device, Seen.Connack, byHub: true, code: code);
        if (code != 0)
        {
            // As in virtual time: the books know the hub's own reason, the timeline what the code says.
            Reason refusal = code == 3 ? Reason.RefusedUnavailable : Reason.TokenRefused;
            CountRefusal(fleet, local, ref line, refusal);
            Note(fleet, local, ref device, Seen.Close, byHub: true, reason: refusal);
            line.Session?.Close();
        }
        else
        {
            CountConnect(fleet, ref device, ref line);
            OnAccepted(fleet, local);
        }

        Begin(fleet, local);
        fleet.Model.OnConnack(ref device, turn, code, sessionPresent);
        if (code == 0)
        {
            ArmSend(fleet, local, ref device, ref line);
            ArmPing(fleet, local, ref device, ref line);
        }

        Carry(fleet, local, ref device);
    }

    private void OnClosed(FleetRun fleet, int local, ref ClientState device, ref Line line, SessionEnd end)
    {
        if (end is SessionEnd.ClosedLocally || !device.Has(DeviceFlags.Open))
        {
            return; // This end closed it, and the books are closed.
        }

        bool reset = end is not (SessionEnd.PeerClosed or SessionEnd.PeerClosedInPacket or SessionEnd.Disconnected);
        Reason reason = Verdict(fleet, local, ref device, ref line, reset);
        if (device.Phase == Phase.AwaitingConnack)
        {
            CountRefusal(fleet, local, ref line, reason);
        }

        EndConnection(fleet, local, ref device, ref line, clock.NowMs, reason);
        Note(fleet, local, ref device, Seen.Close, byHub: true, reason: reason);
        line.Session = null;
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

    // Why the other end closed: what the own hub says; of a strange one only that the token had run out, or FIN or RST.
    private Reason Verdict(FleetRun fleet, int local, ref ClientState device, ref Line line, bool reset)
    {
        Reason told = Ask(fleet, local, ref line);
        if (told != Reason.None)
        {
            return told;
        }

        bool expired = plan.Hub is null && device.TokenExpiry != 0 &&
            clock.StartUtcMs + clock.NowMs >= device.TokenExpiry * 1000L;
        return expired ? Reason.TokenExpired : reset ? Reason.LinkReset : Reason.LinkClosed;
    }

    private Reason Ask(FleetRun fleet, int local, ref Line line) =>
        plan.Hub is { } hub && line.Session?.LocalEndPoint is { } mine
            ? hub.TakeVerdict(GlobalOf(fleet, local), mine.Port)
            : Reason.None;
}
