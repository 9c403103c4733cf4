using Agent.Fleet;
using Agent.Hub;

namespace Agent.World;

// What a client asks for, carried out over the virtual network.
public sealed partial class VirtualWorld
{
    private void Carry(FleetRun fleet, int local, ref ClientState device)
    {
        foreach (ref readonly Order order in turn.Orders)
        {
            switch (order.Kind)
            {
                case OrderKind.Arm:
                    time.At(order.Value, local, (byte)(EventKind.Timer0 + order.Timer), 0);
                    break;
                case OrderKind.Dial:
                    Dial(fleet, local, ref device, order.Value);
                    break;
                case OrderKind.Connect:
                    Note(fleet, local, ref device, Seen.Connect);
                    Push(upMs, local, EventKind.ConnectAtHub, device.Link);
                    break;
                case OrderKind.Subscribe:
                    Note(fleet, local, ref device, Seen.Subscribe, topics: order.Topics);
                    hub.OnSubscribe(local, device.Link, (byte)order.Topics);
                    TellSubscription(local, ref device, order.Topics);
                    break;
                case OrderKind.TwinGet:
                    Note(fleet, local, ref device, Seen.TwinGet);
                    TakeTwinRead(fleet, local, ref device);
                    break;
                case OrderKind.Ping:
                    break;
                case OrderKind.Disconnect:
                    Note(fleet, local, ref device, Seen.Disconnect, reason: order.Reason);
                    EndConnection(fleet, local, ref device, time.NowMs, order.Reason);
                    EndLive(local, ref device);
                    Push(upMs, local, EventKind.DisconnectAtHub, device.Link);
                    break;
                case OrderKind.Close:
                case OrderKind.Reset:
                    CloseByDevice(fleet, local, ref device, order.Reason, order.Kind == OrderKind.Reset);
                    break;
                case OrderKind.Stop:
                    Note(fleet, local, ref device, Seen.Stopped, reason: order.Reason);
                    WaitForApplication(fleet, local, ref device);
                    break;
            }
        }

        if (device.Phase == Phase.Waiting)
        {
            WaitForApplication(fleet, local, ref device);
        }
    }

    private void CloseByDevice(FleetRun fleet, int local, ref ClientState device, Reason reason, bool reset)
    {
        if (!device.Has(DeviceFlags.Open))
        {
            return;
        }

        Note(fleet, local, ref device, Seen.Close, reason: reason);
        EndConnection(fleet, local, ref device, time.NowMs, reason);
        EndLive(local, ref device);
        Push(upMs, local, reset ? EventKind.ResetAtHub : EventKind.FinAtHub, device.Link);
    }

    private void Dial(FleetRun fleet, int local, ref ClientState device, long waitMs)
    {
        fleet.ConnackWaitMs = waitMs;
        EndLive(local, ref device); // A client may never have learned that the hub closed its last connection.
        device.Link++;
        device.Flags &= ~(DeviceFlags.WakeOnSend | DeviceFlags.Open);
        Note(fleet, local, ref device, Seen.Dial);
        if (!TryFailDial(fleet, local, ref device, waitMs))
        {
            Push(dialMs, local, EventKind.TransportUp, device.Link);
        }
    }

    // Nobody will answer: the client notices when its patience ends. spentMs = how long ago it dialled.
    private void GiveUpLater(FleetRun fleet, int local, ref ClientState device, long spentMs, bool inTls = false)
    {
        long waitMs = inTls ? Math.Min(fleet.ConnackWaitMs, fleet.Model.TlsWaitMs) : fleet.ConnackWaitMs;
        Push(Math.Max(0, waitMs - spentMs), local, EventKind.DialFailedTimedOut, device.Link);
    }
}
