using System.Text;
using Agent.Wire;

namespace Agent.Hub;

// Direct methods on the wire: MethodCalls knows the rules, here are the callers who wait and the connections that carry the
// requests. Lock order: the hub's gate, then this one; what is to be published is sent after both.
public sealed partial class HubServer
{
    private readonly Lock methodGate = new();
    private readonly MethodCalls methods = new();
    private readonly Dictionary<long, TaskCompletionSource<MethodOutcome>> callers = [];
    private readonly ITimer methodTimer;

    /// <summary>Calls a direct method and waits for its outcome.</summary>
    /// <exception cref="OperationCanceledException">The caller gave up.</exception>
    public async Task<MethodOutcome> CallAsync(Device device, MethodRequest request, CancellationToken cancellation)
    {
        HubError? refusal = await AdmitAsync(
            ThrottleKind.Methods, Throttles.MethodBlocks(request.Payload.Length), cancellation).ConfigureAwait(false);
        if (refusal is not null)
        {
            return new MethodOutcome(0, refusal, 0, default);
        }

        if (device.IsDeleted || !device.IsEnabled)
        {
            return new MethodOutcome(0, NotFound(device.Id, device.ModuleId), 0, default);
        }

        var waiting = new TaskCompletionSource<MethodOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
        List<MethodPublish> outgoing = [];
        HubConnection? holder;
        long call;
        lock (gate)
        {
            holder = MethodHolder(device.Index);
            lock (methodGate)
            {
                call = methods.Start(time.NowMs(), device.Index, request, holder is not null);
                callers.Add(call, waiting);
                SettleMethods(outgoing);
            }
        }

        SendMethods(holder, outgoing);
        await using CancellationTokenRegistration giveUp = cancellation.Register(() => Abandon(call, waiting, cancellation));
        return CountMethod(request, await waiting.Task.ConfigureAwait(false));
    }

    private void Abandon(long call, TaskCompletionSource<MethodOutcome> waiting, CancellationToken cancellation)
    {
        lock (methodGate)
        {
            methods.Cancel(call);
            callers.Remove(call);
        }

        waiting.TrySetCanceled(cancellation);
    }

    /// <summary>Under the hub's gate: the connection that takes methods for the device; null = none.</summary>
    private HubConnection? MethodHolder(int device) =>
        holders[device] is { IsAnswered: true } holder && ((TopicFlags)hub.Subscriptions(device) & TopicFlags.Methods) != 0
            ? holder
            : null;

    /// <summary>Under the hub's gate: the device can be called from now on. Send what this answers outside of it.</summary>
    private List<MethodPublish> OnMethodsReady(Device device)
    {
        List<MethodPublish> outgoing = [];
        lock (methodGate)
        {
            methods.OnReady(time.NowMs(), device.Index);
            SettleMethods(outgoing);
        }

        return outgoing;
    }

    /// <summary>Under the hub's gate: the device's connection is over.</summary>
    private void OnMethodsGone(Device device, bool takenOver)
    {
        lock (methodGate)
        {
            if (methods.Count > 0)
            {
                methods.OnGone(time.NowMs(), device.Index, takenOver);
                SettleMethods([]);
            }
        }
    }

    private void OnMethodAnswer(HubConnection connection, Device device, ReadOnlySpan<byte> rest, ReadOnlySpan<byte> payload)
    {
        if (!MethodRequest.TryParseAnswer(rest, out int status, out long requestId))
        {
            CloseFor(connection, "a method answer to a topic that is not $iothub/methods/res/{status}/?$rid={id}");
            return;
        }

        byte[] copy = payload.ToArray();
        lock (methodGate)
        {
            methods.OnAnswer(time.NowMs(), device.Index, requestId, status, copy);
            SettleMethods([]);
        }
    }

    private void OnMethodWake()
    {
        lock (methodGate)
        {
            methods.OnWake(time.NowMs());
            SettleMethods([]);
        }
    }

    /// <summary>Under the method gate: tells the callers, gathers what is to be published, sets the timer.</summary>
    private void SettleMethods(List<MethodPublish> outgoing)
    {
        while (methods.TryTakePublish(out MethodPublish publish))
        {
            outgoing.Add(publish);
        }

        while (methods.TryTakeOutcome(out MethodOutcome outcome))
        {
            if (callers.Remove(outcome.Call, out TaskCompletionSource<MethodOutcome>? waiting))
            {
                waiting.TrySetResult(outcome);
            }
        }

        long nextMs = methods.NextWakeMs;
        if (!stopping)
        {
            methodTimer.Change(
                nextMs == long.MaxValue ? Timeout.InfiniteTimeSpan : TimeSpan.FromMilliseconds(Math.Max(0, nextMs - time.NowMs()) + 1),
                Timeout.InfiniteTimeSpan);
        }
    }

    private static void SendMethods(HubConnection? holder, List<MethodPublish> outgoing)
    {
        foreach (MethodPublish publish in outgoing)
        {
            holder?.Session.SendPublish(Encoding.UTF8.GetBytes(publish.Topic), publish.Payload.Span, qos: 0, packetId: 0);
        }
    }
}
