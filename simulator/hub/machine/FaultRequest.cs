using System.Buffers.Text;

namespace Agent.Hub;

/// <summary>What a device asks the hub to do to its own connection.</summary>
public enum RequestedFault : byte
{
    /// <summary><c>KillTcp</c>: the connection is reset.</summary>
    KillTcp,

    /// <summary><c>ShutDownMqtt</c>: the hub closes the connection in good order.</summary>
    ShutDownMqtt,

    /// <summary><c>InvokeThrottling</c>: what the device sends is throttled for a time.</summary>
    InvokeThrottling,

    /// <summary><c>InvokeMaxMessageQuota</c>: the device's messages are refused as beyond the day's for a time.</summary>
    InvokeMaxMessageQuota,

    /// <summary><c>InvokeAuthError</c>: the device's credentials count as wrong for a time.</summary>
    InvokeAuthError,
}

/// <summary>The vendor's own test faults: telemetry whose properties tell the hub to misbehave (facts/iothub.md §1.7).</summary>
/// <remarks>
/// The vendor's SDKs send these in their end-to-end tests (azure-iot-sdk-csharp FaultInjection.cs and
/// FaultInjectionConstants.cs, azure-iot-sdk-java ErrorInjectionHelper.java, node's throttle_disconnect test, the Python
/// fault_injection tests): four application properties, of which the type is required here and the others may be missing. The
/// AMQP-only types (<c>KillAmqpConnection</c> and so on) mean nothing on an MQTT connection: such a message is telemetry like any
/// other, and so is one with a number nobody can have meant. The close reason is free text ("boom", " severs the TCP connection ")
/// and changes nothing.
/// </remarks>
/// <param name="Fault">What to do.</param>
/// <param name="DelayMs">How long after the message, 0 to <see cref="LengthMsMax"/>.</param>
/// <param name="DurationMs">How long it lasts, where it lasts; 0 to <see cref="LengthMsMax"/>.</param>
public readonly record struct FaultRequest(RequestedFault Fault, long DelayMs, long DurationMs)
{
    /// <summary>The longest delay or duration, ms: an hour. The vendor's tests ask for seconds.</summary>
    public const long LengthMsMax = 3_600_000;

    private const int NumberLengthMax = 32;

    private static ReadOnlySpan<byte> Prefix => "AzIoTHub_FaultOperation"u8;

    /// <summary>Whether the bag may hold a request: one search, no decoding, for every message of the hub.</summary>
    public static bool IsLikely(ReadOnlySpan<byte> bag) => bag.Length > Prefix.Length && bag.IndexOf(Prefix) >= 0;

    /// <summary>Reads the request in a property bag as it is on the wire; false when there is none that can be carried out.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bag, out FaultRequest request)
    {
        request = default;
        if (!IsLikely(bag))
        {
            return false;
        }

        RequestedFault? fault = null;
        long delayMs = 0, durationMs = 0;
        foreach (Range range in bag.Split((byte)'&'))
        {
            ReadOnlySpan<byte> property = bag[range];
            int equals = property.IndexOf((byte)'=');
            if (equals < 0 || !property.StartsWith(Prefix))
            {
                continue;
            }

            ReadOnlySpan<byte> name = property[Prefix.Length..equals];
            ReadOnlySpan<byte> value = property[(equals + 1)..];
            if (name.SequenceEqual("Type"u8))
            {
                fault ??= FaultOf(value);
            }
            else if ((name.SequenceEqual("DelayInSecs"u8) && !TryReadSeconds(value, out delayMs))
                || (name.SequenceEqual("DurationInSecs"u8) && !TryReadSeconds(value, out durationMs)))
            {
                return false;
            }
        }

        request = new FaultRequest(fault ?? default, delayMs, durationMs);
        return fault is not null;
    }

    private static RequestedFault? FaultOf(ReadOnlySpan<byte> value) =>
        value.SequenceEqual("KillTcp"u8) ? RequestedFault.KillTcp
        : value.SequenceEqual("ShutDownMqtt"u8) ? RequestedFault.ShutDownMqtt
        : value.SequenceEqual("InvokeThrottling"u8) ? RequestedFault.InvokeThrottling
        : value.SequenceEqual("InvokeMaxMessageQuota"u8) ? RequestedFault.InvokeMaxMessageQuota
        : value.SequenceEqual("InvokeAuthError"u8) ? RequestedFault.InvokeAuthError
        : null;

    // .NET's SDK writes TotalSeconds, which may have a fraction.
    private static bool TryReadSeconds(ReadOnlySpan<byte> value, out long ms)
    {
        ms = 0;
        if (value.Length > NumberLengthMax || !Utf8Parser.TryParse(value, out decimal seconds, out int used)
            || used != value.Length || seconds < 0 || seconds * 1000 > LengthMsMax)
        {
            return false;
        }

        ms = (long)(seconds * 1000);
        return true;
    }
}
