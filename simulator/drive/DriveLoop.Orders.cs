using System.Net;
using System.Text;
using Agent.Fleet;
using Agent.Hub;
using Agent.Wire;
using Agent.World;

namespace Agent.Drive;

// What a model asks for, carried out on a socket. Dials wait for their turn, so that a fleet that starts at one instant does
// not overrun the hub's backlog; a dial's moment in the timeline is when it really starts.
internal sealed partial class DriveLoop
{
    // How long the hub's FIN after DISCONNECT is waited for before this end closes and the next attempt begins.
    private const long PartingMs = 250;

    // A dial that takes longer than this is waiting for somebody, not working: its turn passes on.
    private const long SlotMs = 1000;

    private readonly Queue<(int Local, ushort Link)> waitingDials = new();
    private readonly (ClientOptions Options, long Ms)?[] dialOptions;
    private readonly int dialsMax;
    private int dials;

    private void Carry(FleetRun fleet, int local, ref ClientState device)
    {
        ref Line line = ref lines[local];
        foreach (ref readonly Order order in turn.Orders)
        {
            switch (order.Kind)
            {
                case OrderKind.Arm:
                    time.At(order.Value, local, (byte)(Due.Timer0 + order.Timer), 0);
                    break;
                case OrderKind.Dial:
                    Dial(local, ref device, ref line, order.Value);
                    break;
                case OrderKind.Connect:
                    SendConnect(fleet, local, ref device, ref line, order.Value);
                    break;
                case OrderKind.Subscribe:
                    SendSubscribe(fleet, local, ref device, ref line, order.Topics);
                    break;
                case OrderKind.TwinGet:
                    SendTwinGet(fleet, local, ref device, ref line);
                    break;
                case OrderKind.Ping:
                    line.Session?.SendPingreq();
                    break;
                case OrderKind.Disconnect:
                    SayGoodbye(fleet, local, ref device, ref line, order.Reason);
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

    private void Dial(int local, ref ClientState device, ref Line line, long waitMs)
    {
        device.Link++;
        device.Flags &= ~(DeviceFlags.WakeOnSend | DeviceFlags.Open);
        line.WaitMs = waitMs;
        if (line.Has(LineFlags.Parting))
        {
            line.Flags |= LineFlags.DialAsked;
        }
        else
        {
            waitingDials.Enqueue((local, device.Link));
            StartDials();
        }
    }

    private void StartDials()
    {
        while (dials < dialsMax && waitingDials.TryDequeue(out (int Local, ushort Link) next))
        {
            ref ClientState device = ref devices[next.Local];
            if (device.Link == next.Link && device.Phase == Phase.Dialing)
            {
                StartDial(FleetOf(next.Local), next.Local, ref device);
            }
        }
    }

    private void StartDial(FleetRun fleet, int local, ref ClientState device)
    {
        ref Line line = ref lines[local];
        FreeSlot(local, line.SlotLink, startMore: false);
        line.Flags |= LineFlags.HoldsSlot;
        line.SlotLink = device.Link;
        dials++;
        fleet.ConnackWaitMs = line.WaitMs;
        Note(fleet, local, ref device, Seen.Dial);
        In(line.WaitMs, local, Due.AttemptLate, device.Link);
        In(SlotMs, local, Due.SlotFree, device.Link);

        (IPEndPoint remote, bool blackHole) = Target(fleet, local);
        long patienceMs = Math.Min(line.WaitMs, blackHole ? fleet.Model.TcpWaitMs : fleet.Model.TlsWaitMs);
        ClientOptions options = OptionsFor(part.FleetIndexOf(local), patienceMs);
        ushort link = device.Link;
        _ = Task.Run(() => DialAsync(remote, options, local, link));
    }

    // Runs on the pool: the handshake's work must not hold up the loop.
    private async Task DialAsync(IPEndPoint remote, ClientOptions options, int local, ushort link)
    {
        try
        {
            ClientSession session = await ClientSession.DialAsync(remote, options, new LineHandler(this, local, link))
                .ConfigureAwait(false);
            if (over)
            {
                session.Close(reset: true);
            }

            Post(new Signal(SignalKind.TransportUp, local, link, Session: session));
        }
        catch (LinkException failed)
        {
            Post(new Signal(SignalKind.DialFailed, local, link, (byte)failed.Fault));
        }
    }

    private void FreeSlot(int local, ushort link, bool startMore = true)
    {
        ref Line line = ref lines[local];
        if (line.Has(LineFlags.HoldsSlot) && line.SlotLink == link)
        {
            line.Flags &= ~LineFlags.HoldsSlot;
            dials--;
        }

        if (startMore)
        {
            StartDials();
        }
    }

    private ClientOptions OptionsFor(int fleet, long patienceMs)
    {
        if (dialOptions[fleet] is { } known && known.Ms == patienceMs)
        {
            return known.Options;
        }

        var options = new ClientOptions
        {
            Tls = plan.Tls,
            DialTimeout = TimeSpan.FromMilliseconds(Math.Clamp(patienceMs, 1, int.MaxValue)),
        };
        dialOptions[fleet] = (options, patienceMs);
        return options;
    }

    private void SendConnect(FleetRun fleet, int local, ref ClientState device, ref Line line, long expirySeconds)
    {
        if (line.Session is not { } session)
        {
            return;
        }

        int global = GlobalOf(fleet, local);
        PacketStyle style = styles[part.FleetIndexOf(local)];
        string id = plan.Keys.IdOf(global);
        Note(fleet, local, ref device, Seen.Connect);
        fleet.Statistics.CountConnectPacket(clock.NowMs);
        session.SendConnect(new ConnectPacket
        {
            ClientId = Encoding.ASCII.GetBytes(id),
            UserName = Encoding.ASCII.GetBytes(style.UserName(plan.Keys.HostName, id, fleet.Fields)),
            Password = Encoding.ASCII.GetBytes(plan.Keys.Password(global, expirySeconds, style)),
            KeepAliveSeconds = (ushort)fleet.Fields.KeepAliveSeconds,
            CleanSession = fleet.Fields.CleanSession,
        });
    }

    private void SendSubscribe(FleetRun fleet, int local, ref ClientState device, ref Line line, Topics topics)
    {
        Note(fleet, local, ref device, Seen.Subscribe, topics: topics);
        if (line.Session is { } session)
        {
            line.Pulse.LastSentMs = clock.NowMs;
            session.SendSubscribe(line.NextPacketId(), Filters(fleet, local, topics));
        }
    }

    private TopicFilter[] Filters(FleetRun fleet, int local, Topics topics)
    {
        PacketStyle style = styles[part.FleetIndexOf(local)];
        string id = plan.Keys.IdOf(GlobalOf(fleet, local));
        var filters = new List<TopicFilter>(4);
        for (int bit = 1; bit <= (int)topics; bit <<= 1)
        {
            var topic = (Topics)bit;
            foreach (string filter in TopicNames.Filters(topics & topic, id))
            {
                filters.Add(new TopicFilter(filter, style.Qos(topic)));
            }
        }

        return [.. filters];
    }

    private void SendTwinGet(FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        Note(fleet, local, ref device, Seen.TwinGet);
        fleet.Statistics.MessagesBilled++;
        if (line.Session is { } session)
        {
            byte qos = styles[part.FleetIndexOf(local)].TwinGetQos;
            line.Pulse.LastSentMs = clock.NowMs;
            session.SendPublish("$iothub/twin/GET/?$rid=1"u8, default, qos, qos == 0 ? (ushort)0 : line.NextPacketId());
        }
    }

    private void SayGoodbye(FleetRun fleet, int local, ref ClientState device, ref Line line, Reason reason)
    {
        Note(fleet, local, ref device, Seen.Disconnect, reason: reason);
        EndConnection(fleet, local, ref device, ref line, clock.NowMs, reason);
        if (line.Session is not { } session)
        {
            return;
        }

        using (session.BeginBatch())
        {
            if (styles[part.FleetIndexOf(local)].GivesTopicsBack && device.Topics != Topics.None)
            {
                session.SendUnsubscribe(line.NextPacketId(), Filters(fleet, local, device.Topics));
            }

            if (session.SendDisconnect())
            {
                line.Flags |= LineFlags.Parting;
                In(PartingMs, local, Due.PartingLate, line.Link);
            }
        }
    }

    private void CloseByDevice(FleetRun fleet, int local, ref ClientState device, Reason reason, bool reset)
    {
        if (!device.Has(DeviceFlags.Open))
        {
            return;
        }

        ref Line line = ref lines[local];
        Note(fleet, local, ref device, Seen.Close, reason: reason);
        EndConnection(fleet, local, ref device, ref line, clock.NowMs, reason);
        if (!line.Has(LineFlags.Parting) || reset)
        {
            line.Session?.Close(reset);
        }
    }

    // The hub has closed after our DISCONNECT, or was given its time to.
    private void EndParting(FleetRun fleet, int local, ref ClientState device, ref Line line)
    {
        bool dialAsked = line.Has(LineFlags.DialAsked);
        line.Flags &= ~(LineFlags.Parting | LineFlags.DialAsked);
        line.Session?.Close();
        line.Session = null;
        if (dialAsked)
        {
            waitingDials.Enqueue((local, device.Link));
            StartDials();
        }
        else if (device.Link == line.Link)
        {
            Begin(fleet, local);
            fleet.Model.OnOwnCloseDone(ref device, turn);
            Carry(fleet, local, ref device);
        }
    }

    private void OnPartingLate(FleetRun fleet, int local, ref ClientState device, ushort link)
    {
        ref Line line = ref lines[local];
        if (line.Has(LineFlags.Parting) && line.Link == link)
        {
            EndParting(fleet, local, ref device, ref line);
        }
    }
}
