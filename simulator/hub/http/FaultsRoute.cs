using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Agent.Input;

namespace Agent.Hub;

/// <summary><c>/local/faults</c>: order faults, see which are on, end them (<see cref="HubFaultOrder"/> has the body's form).</summary>
/// <remarks>
/// Who may break connections may as well change identities, so ordering and ending ask for <see cref="Right"/>. Looking asks for
/// nothing. A moment, such as a drop, is over when its answer comes and is not in the list.
/// </remarks>
internal static class FaultsRoute
{
    /// <summary>What the token of POST and DELETE must grant.</summary>
    public const AccessRights Right = AccessRights.ServiceConnect | AccessRights.RegistryWrite;

    /// <summary>Longest body of an order in bytes: a list of some thousand devices.</summary>
    private const int BodyLengthMax = 1 << 20;

    public static IReadOnlyList<HttpRoute> All { get; } =
    [
        new("GET", "/local/faults", "The faults that wait or are active", call => Answer(Get(call.Hub), 200)),
        new("POST", "/local/faults", "Order a fault: drop, refuse, silence, failover, …", call => Answer(Post(call.Hub, call.Body), 201))
        {
            Right = Right,
            BodyLengthMax = BodyLengthMax,
        },
        new("DELETE", "/local/faults/{id}", "End a fault", call => Task.FromResult(
            Delete(call.Hub, call.DeviceId) is { } error ? (HttpAnswer)error : HttpAnswer.NoContent))
        {
            Right = Right,
        },
    ];

    /// <summary>Orders a fault: the answer shows it. 400004 with the JSON path of what is wrong, 429001 beyond the limit.</summary>
    public static HubAnswer<byte[]> Post(HubServer hub, ReadOnlyMemory<byte> body)
    {
        HubFaultOrder order;
        try
        {
            order = HubFaultOrder.Parse(body);
        }
        catch (BadInputException problem)
        {
            return HubError.ArgumentInvalid(problem.Message);
        }

        HubAnswer<HubFault> done = hub.OrderFault(order);
        return done.Error is { } error ? error : Json(json => Write(json, hub, done.Value!));
    }

    /// <summary>The faults that wait or are active, as <c>{"faults":[…]}</c>.</summary>
    public static byte[] Get(HubServer hub) => Json(json =>
    {
        json.WriteStartObject();
        json.WriteStartArray("faults"u8);
        foreach (HubFault fault in hub.Faults)
        {
            Write(json, hub, fault);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    });

    /// <summary>Ends a fault by its number. Null = done; 404000 when there is none.</summary>
    public static HubError? Delete(HubServer hub, string id) =>
        int.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && hub.EndFault(number)
            ? null
            : new HubError(404000, "GenericNotFound", "There is no fault of this number, or it is over.");

    private static Task<HttpAnswer> Answer(HubAnswer<byte[]> answer, int status) => Task.FromResult(
        answer.Error is { } error ? (HttpAnswer)error : HttpAnswer.Json(answer.Value!) with { Status = status });

    private static void Write(Utf8JsonWriter json, HubServer hub, HubFault fault)
    {
        json.WriteStartObject();
        json.WriteNumber("id"u8, fault.Id);
        json.WriteString("kind"u8, fault.Order.Kind.Name());
        json.WriteString("from"u8, UtcText.Of(hub.UtcMsOf(fault.FromMs)));
        if (fault.UntilMs is { } untilMs)
        {
            json.WriteString("until"u8, UtcText.Of(hub.UtcMsOf(untilMs)));
        }

        if (fault.Devices is { } devices)
        {
            json.WriteNumber("deviceCount"u8, devices.Length);
        }
        else
        {
            json.WriteBoolean("all"u8, true);
        }

        json.WriteString("orderedBy"u8, fault.IsRequested ? "device"u8 : "service"u8);
        json.WriteEndObject();
    }

    private static byte[] Json(Action<Utf8JsonWriter> write)
    {
        var output = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(output))
        {
            write(json);
        }

        return output.WrittenSpan.ToArray();
    }
}
