using Agent.Hub;

namespace Agent.Soak;

// TCP as delays: packets of a link arrive in order, wait while the way is closed, and are repeated when it is open again. A link whose
// other end is gone answers with a reset. That is enough for the case everything here is about: bytes written into a link that is
// dead without anybody knowing.
internal sealed partial class SoakWorld
{
    private const int DialLateMs = 21_000;
    private int lastLink;

    public SoakLink Dial(SoakDevice device, bool isPrewarm = false)
    {
        var link = new SoakLink(++lastLink, device) { IsPrewarm = isPrewarm, SentMs = NowMs, ReceivedMs = NowMs };
        device.Links.RemoveAll(old => !old.IsOpenAtDevice && !old.IsOpenAtHub && old.HeldUp.Count + old.HeldDown.Count == 0);
        device.Links.Add(link);
        After((2 * LatencyMs()) + network.Between(5, 400), () => Dialled(link));
        return link;
    }

    private void Dialled(SoakLink link)
    {
        SoakDevice device = link.Device;
        if (!link.IsOpenAtDevice)
        {
            return;
        }

        DialEnd? end = device.Suffers(SoakFault.NoName) ? DialEnd.NoName
            : !device.IsUpOpen || !device.IsDownOpen ? DialEnd.TcpTimedOut
            : device.Suffers(SoakFault.PortBlocked) ? (device.Index % 2 == 0 ? DialEnd.Refused : DialEnd.TcpTimedOut)
            : device.Suffers(SoakFault.SilentHub) ? DialEnd.TlsTimedOut
            : device.Suffers(SoakFault.TlsFails) ? DialEnd.TlsFailed
            : null;
        if (end is null)
        {
            link.IsUp = true;
            link.IsOpenAtHub = true;
            device.OnUp(link);
        }
        else
        {
            bool isSlow = end is DialEnd.TcpTimedOut or DialEnd.TlsTimedOut;
            After(isSlow ? DialLateMs : 1, () =>
            {
                if (link.IsOpenAtDevice && device.HasPower)
                {
                    link.IsOpenAtDevice = false;
                    device.OnDialFailed(link, end.Value);
                }
            });
        }
    }

    /// <summary>The device sends; the action is done where and when the packet arrives.</summary>
    public void SendUp(SoakLink link, Action arrive)
    {
        if (!link.IsOpenAtDevice || !link.IsUp)
        {
            return;
        }

        link.SentMs = NowMs;
        link.UpFreeMs = Math.Max(link.UpFreeMs, NowMs + LatencyMs());
        After(link.UpFreeMs - NowMs, () => ArriveUp(link, arrive));
    }

    /// <summary>The hub sends.</summary>
    public void SendDown(SoakLink link, Action arrive)
    {
        link.DownFreeMs = Math.Max(link.DownFreeMs, NowMs + LatencyMs());
        After(link.DownFreeMs - NowMs, () => ArriveDown(link, arrive));
    }

    /// <summary>The device ends its side: with DISCONNECT, with FIN alone, or with RST.</summary>
    public void CloseByDevice(SoakLink link, bool sayGoodbye)
    {
        if (!link.IsOpenAtDevice)
        {
            return;
        }

        SoakDevice device = link.Device;
        SendUp(link, () =>
        {
            if (link.IsOpenAtHub)
            {
                link.IsOpenAtHub = false;
                _ = sayGoodbye
                    ? hub.OnDisconnect(HubMs, device.Index, link.Number)
                    : hub.OnLinkClosed(HubMs, device.Index, link.Number);
                Release(link);
            }
        });
        link.IsOpenAtDevice = false;
    }

    /// <summary>The device's end is gone without a packet: power cut.</summary>
    public static void Vanish(SoakLink link)
    {
        link.IsOpenAtDevice = false;
        link.HeldUp.Clear();
    }

    /// <summary>The hub's end closes; the device learns of it when the FIN arrives.</summary>
    private void CloseByHub(SoakLink link, Reason reason, bool reset = false)
    {
        if (!link.IsOpenAtHub)
        {
            return;
        }

        link.IsOpenAtHub = false;
        link.HubReason = reason;
        Release(link);
        if (IsTelling)
        {
            Tell(link.Device, $"hub closes link {link.Number}: {reason.Name()}");
        }

        SendDown(link, () => EndAtDevice(link, reset));
    }

    private void EndAtDevice(SoakLink link, bool reset)
    {
        if (link.IsOpenAtDevice && link.Device.HasPower)
        {
            link.IsOpenAtDevice = false;
            link.Device.OnClosed(link, reset);
        }
    }

    private void ArriveUp(SoakLink link, Action arrive)
    {
        if (!link.Device.IsUpOpen || link.HeldUp.Count > 0)
        {
            link.HeldUp.Add(arrive);
        }
        else if (!link.IsOpenAtHub)
        {
            SendDown(link, () => EndAtDevice(link, reset: true));
        }
        else if (!link.Device.Suffers(SoakFault.SilentHub))
        {
            Heard(link);
            arrive();
        }
    }

    private void ArriveDown(SoakLink link, Action arrive)
    {
        if (!link.Device.IsDownOpen || link.HeldDown.Count > 0)
        {
            link.HeldDown.Add(arrive);
        }
        else if (link.Device.HasPower)
        {
            link.ReceivedMs = NowMs;
            arrive();
        }
    }

    // TCP repeats what was not acknowledged at its next turn, which by then may be a minute apart.
    private void Repeat(SoakDevice device)
    {
        foreach (SoakLink link in device.Links)
        {
            if (link.HeldUp.Count + link.HeldDown.Count > 0)
            {
                After(network.Between(200, 20_000), () => Flush(link));
            }
        }
    }

    private void Flush(SoakLink link)
    {
        if (link.Device.IsUpOpen)
        {
            Action[] up = [.. link.HeldUp];
            link.HeldUp.Clear();
            foreach (Action arrive in up)
            {
                ArriveUp(link, arrive);
            }
        }

        if (link.Device.IsDownOpen)
        {
            Action[] down = [.. link.HeldDown];
            link.HeldDown.Clear();
            foreach (Action arrive in down)
            {
                ArriveDown(link, arrive);
            }
        }
    }

    private int LatencyMs() => network.Between(plan.LatencyMsMin, plan.LatencyMsMax);
}
