using System.Collections.Concurrent;
using Agent.Wire;

namespace Agent.Hub;

/// <summary>How a fault answers CONNECT.</summary>
/// <param name="Code">CONNACK code; <see cref="ConnectReply.HangUp"/> = close without an answer.</param>
/// <param name="Reason">Why, for the books.</param>
/// <param name="Kind">The record it earns.</param>
public readonly record struct HubRefusal(byte Code, Reason Reason, LogKind Kind);

// The disturbances a scenario may ask of its own hub, one device at a time. Nothing of this happens by itself: a hub nobody
// disturbs never enters this file.
public sealed partial class HubServer
{
    private readonly ConcurrentDictionary<int, HubRefusal> refusals = [];
    private readonly ConcurrentDictionary<int, bool> quotaGone = [];
    private readonly HashSet<int> resting = [];

    /// <summary>Ends the device's connection, if it has one, with the records that belong to the reason; the client sees FIN.</summary>
    public void Cut(Device device, Reason reason)
    {
        HubConnection? dropped = null;
        lock (gate)
        {
            if (hub.Cut(time.NowMs(), device.Index, reason) >= 0)
            {
                dropped = holders[device.Index]!;
                Release(dropped, takenOver: false);
            }
        }

        if (dropped is not null)
        {
            Tell(dropped, device.Index, reason);
            CloseFor(dropped, reason switch
            {
                Reason.DeviceDisabled => "the device was disabled (403012)",
                Reason.DeviceDeleted => "the device was deleted (401003)",
                _ => $"cut: {reason.Name()}",
            });
        }
    }

    /// <summary>
    /// Ends the device's TCP connection as something between the two would: nobody said DISCONNECT, both ends see it break.
    /// </summary>
    public void Drop(Device device, bool reset)
    {
        HubConnection? dropped;
        lock (gate)
        {
            dropped = holders[device.Index];
            if (dropped is null)
            {
                return;
            }

            hub.OnLinkClosed(time.NowMs(), device.Index, dropped.Link);
            Release(dropped, takenOver: false);
        }

        Tell(dropped, device.Index, reset ? Reason.LinkReset : Reason.LinkClosed);
        dropped.Cause ??= reset ? "dropped by RST" : "dropped by FIN";
        dropped.Session.Close(SessionEnd.HandlerClosed, reset);
    }

    /// <summary>Answers every CONNECT of the device so; null = normal service again.</summary>
    public void SetRefusal(Device device, HubRefusal? refusal)
    {
        if (refusal is { } given)
        {
            refusals[device.Index] = given;
        }
        else
        {
            refusals.TryRemove(device.Index, out _);
        }
    }

    /// <summary>While set, a message of the device is not acknowledged and costs it its connection (403002).</summary>
    public void SetQuotaGone(Device device, bool gone)
    {
        if (gone)
        {
            quotaGone[device.Index] = true;
        }
        else
        {
            quotaGone.TryRemove(device.Index, out _);
        }
    }

    /// <summary>While set, neither silence nor an expired token costs the device its connection.</summary>
    public void SetResting(Device device, bool rests)
    {
        lock (gate)
        {
            if (rests)
            {
                resting.Add(device.Index);
            }
            else if (resting.Remove(device.Index) && holders[device.Index] is { } holder)
            {
                long nowMs = time.NowMs();
                hub.OnPacket(nowMs, device.Index, holder.Link);
                deadlines.Arm(device.Index, hub.DeadlineMs(nowMs, device.Index));
            }
        }
    }

    /// <summary>How this device's attempts are refused, by a scenario or by a fault somebody ordered.</summary>
    private bool TryFindRefusal(int device, out HubRefusal refusal)
    {
        FaultEffect effect = faults.EffectOn(device);
        if (effect.IsThrottled)
        {
            refusal = new HubRefusal(ConnectReply.HangUp, Reason.RefusedThrottled, LogKind.ConnectThrottled);
            return true;
        }

        if (effect.RefusalCode != 0)
        {
            LogKind kind = effect.RefusalCode == 3 ? LogKind.ConnectServerError : LogKind.ConnectUnauthorized;
            refusal = new HubRefusal(effect.RefusalCode, Reason.RefusedByScenario, kind);
            return true;
        }

        return refusals.TryGetValue(device, out refusal);
    }

    /// <summary>
    /// The hub took the CONNECT and never completes it. Its own patience decides when it says so, whether or not the client has
    /// waited (500008).
    /// </summary>
    private void GiveUpLater(HubConnection connection, Device device, HubRefusal refusal) =>
        delayed.Add(time.NowMs() + IotHub.ConnectPatienceMs, () => Task.Run(() =>
        {
            lock (gate)
            {
                if (stopping)
                {
                    return;
                }

                candidate = connection;
                hub.Refuse(time.NowMs(), device.Index, refusal.Reason, refusal.Code, refusal.Kind);
                candidate = null;
            }

            Tell(connection, device.Index, refusal.Reason);
            CloseFor(connection, "the connection request was not completed in time (500008)");
        }));

    private bool IsQuotaGone(int device) =>
        (!quotaGone.IsEmpty && quotaGone.ContainsKey(device)) || faults.EffectOn(device).IsQuotaGone;

    private void Tell(HubConnection connection, int device, Reason reason) =>
        options.OnVerdict?.Invoke(device, connection.Session.RemoteEndPoint?.Port ?? 0, reason);
}
