using System.Globalization;
using System.Text;

namespace Agent.Hub;

// Twins: a device reads and reports over MQTT, a service reads and changes through the routes. Whoever changed something hears of
// it when it is on the disk; a device hears of desired properties when they are, in the order of their versions, and only while
// it is connected: such a notice is never queued (facts/iothub.md §1.7).
public sealed partial class HubServer
{
    /// <summary>The twin as it is now.</summary>
    public Twin TwinOf(Device device)
    {
        if (device.StateIfAny is not { } state)
        {
            return Twin.New(device.CreatedUtcMs);
        }

        lock (state.TwinGate)
        {
            return state.Twin ?? Twin.New(device.CreatedUtcMs);
        }
    }

    /// <summary>PATCH or (<paramref name="replace"/>) PUT of a twin; a connected device is notified of desired properties.</summary>
    public async Task<HubAnswer<Twin>> ChangeTwinAsync(Device device, ReadOnlyMemory<byte> body, string? ifMatch, bool replace)
    {
        if (await AdmitAsync(ThrottleKind.TwinUpdates).ConfigureAwait(false) is { } refusal)
        {
            return refusal;
        }

        HubAnswer<Twin> answer = await MergeTwinAsync(device, body, ifMatch, replace).ConfigureAwait(false);
        Note(
            HubMetric.ServiceTwinUpdateSuccess, HubMetric.ServiceTwinUpdateFailure, HubMetric.ServiceTwinUpdateSize,
            answer.Error is null ? body.Length : null);
        return answer;
    }

    private async Task<HubAnswer<Twin>> MergeTwinAsync(Device device, ReadOnlyMemory<byte> body, string? ifMatch, bool replace)
    {
        DeviceState state = device.State;
        TwinResult result;
        Task kept;
        lock (state.TwinGate)
        {
            if (device.IsDeleted)
            {
                return NotFound(device.Id, device.ModuleId);
            }

            Twin twin = state.Twin ?? Twin.New(device.CreatedUtcMs);
            result = replace ? twin.Replace(body.Span, ifMatch, UtcMs()) : twin.Patch(body.Span, ifMatch, UtcMs());
            if (!result.IsDone)
            {
                return result.Error;
            }

            kept = KeepTwin(device, state, result.Twin);
            if (result.Notice is { } notice)
            {
                state.Notices = NotifyAsync(state.Notices, kept, device, notice, result.Twin.DesiredVersion);
            }
        }

        return await IsKeptAsync(kept).ConfigureAwait(false) ? result.Twin : CannotKeep;
    }

    private void ReportTwin(HubConnection connection, Device device, ReadOnlySpan<byte> requestId, ReadOnlySpan<byte> patch)
    {
        if (!AdmitTwin(connection, device, requestId, ThrottleKind.TwinUpdates, out long waitMs))
        {
            return;
        }

        DeviceState state = device.State;
        TwinResult result;
        Task kept;
        lock (state.TwinGate)
        {
            result = device.IsDeleted
                ? new TwinResult(Twin.New(0), TwinFault.Invalid, [], null)
                : (state.Twin ?? Twin.New(device.CreatedUtcMs)).Report(patch, UtcMs());
            kept = result.IsDone ? KeepTwin(device, state, result.Twin) : Task.CompletedTask;
        }

        Note(
            HubMetric.DeviceTwinUpdateSuccess, HubMetric.DeviceTwinUpdateFailure, HubMetric.DeviceTwinUpdateSize,
            result.IsDone ? patch.Length : null);
        if (result.IsDone)
        {
            kept = waitMs == 0 ? kept : Task.WhenAll(kept, Task.Delay(TimeSpan.FromMilliseconds(waitMs), time));
            _ = AnswerReportAsync(kept, connection, device, requestId.ToArray(), result.Twin.ReportedVersion);
        }
        else
        {
            AnswerTwin(connection, device, requestId, 400, default, 0);
        }
    }

    private async Task AnswerReportAsync(Task kept, HubConnection connection, Device device, byte[] requestId, long version)
    {
        bool isKept = await IsKeptAsync(kept).ConfigureAwait(false);
        AnswerTwin(connection, device, requestId, isKept ? 204 : 500, default, isKept ? version : 0);
    }

    /// <summary>Under the twin's gate.</summary>
    private Task KeepTwin(Device device, DeviceState state, Twin twin)
    {
        state.Twin = twin;
        return Keep(new JournalBatch().Put(JournalKeys.Twin(device.FullId), twin.State()));
    }

    private async Task NotifyAsync(Task earlier, Task kept, Device device, byte[] notice, long version)
    {
        await earlier.ConfigureAwait(false);
        if (!await IsKeptAsync(kept).ConfigureAwait(false))
        {
            return;
        }

        if (HolderWith(device, TopicFlags.DesiredPatch | TopicFlags.TwinAll) is not { } holder)
        {
            return;
        }

        quota.Charge(UtcMs(), quota.MessagesOf(notice.Length));
        holder.Session.SendPublish(
            Encoding.ASCII.GetBytes(string.Create(
                CultureInfo.InvariantCulture, $"$iothub/twin/PATCH/properties/desired/?$version={version}")),
            notice, qos: 0, packetId: 0);
    }

    private void AnswerTwin(
        HubConnection connection, Device device, ReadOnlySpan<byte> requestId, int status, ReadOnlySpan<byte> body, long version)
    {
        if (HolderWith(device, TopicFlags.TwinResponse | TopicFlags.TwinAll) != connection)
        {
            return;
        }

        string topic = string.Create(
            CultureInfo.InvariantCulture, $"$iothub/twin/res/{status}/?$rid={Encoding.UTF8.GetString(requestId)}")
            + (version > 0 ? string.Create(CultureInfo.InvariantCulture, $"&$version={version}") : "");
        connection.Session.SendPublish(Encoding.UTF8.GetBytes(topic), body, qos: 0, packetId: 0);
    }

    /// <summary>The device's connection, if it has been accepted and its session holds one of the subscriptions.</summary>
    private HubConnection? HolderWith(Device device, TopicFlags anyOf)
    {
        lock (gate)
        {
            return holders[device.Index] is { IsAnswered: true } holder && ((TopicFlags)hub.Subscriptions(device.Index) & anyOf) != 0
                ? holder
                : null;
        }
    }
}
