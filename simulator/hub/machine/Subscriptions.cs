using System.Numerics;

namespace Agent.Hub;

/// <summary>The topic filters the hub knows, one bit each: what a session remembers.</summary>
[Flags]
public enum TopicFlags : byte
{
    None = 0,

    /// <summary><c>devices/{id}/messages/devicebound/#</c>.</summary>
    DeviceBound = 1,

    /// <summary><c>$iothub/twin/res/#</c>.</summary>
    TwinResponse = 2,

    /// <summary><c>$iothub/twin/PATCH/properties/desired/#</c>.</summary>
    DesiredPatch = 4,

    /// <summary><c>$iothub/methods/POST/#</c>.</summary>
    Methods = 8,

    /// <summary><c>$iothub/twin/#</c>, which nanoFramework's client sends for both twin topics.</summary>
    TwinAll = 16,

    /// <summary><c>devices/{id}/modules/{module}/#</c> or <c>…/inputs/#</c>.</summary>
    ModuleInputs = 32,
}

/// <summary>Reads SUBSCRIBE filters. Anything not documented closes the connection (facts/iothub.md §1.7).</summary>
public static class Subscriptions
{
    /// <summary>A device may hold this many subscriptions at once.</summary>
    public const int CountMax = 5;

    /// <summary>The bit of a filter, <see cref="TopicFlags.None"/> when the hub does not know it.</summary>
    public static TopicFlags Parse(ReadOnlySpan<byte> filter, ReadOnlySpan<byte> device, ReadOnlySpan<byte> module)
    {
        if (filter.StartsWith("$iothub/"u8))
        {
            return filter.SequenceEqual("$iothub/twin/res/#"u8) ? TopicFlags.TwinResponse
                : filter.SequenceEqual("$iothub/twin/PATCH/properties/desired/#"u8) ? TopicFlags.DesiredPatch
                : filter.SequenceEqual("$iothub/methods/POST/#"u8) ? TopicFlags.Methods
                : filter.SequenceEqual("$iothub/twin/#"u8) ? TopicFlags.TwinAll
                : TopicFlags.None;
        }

        if (!filter.StartsWith("devices/"u8) || !filter["devices/".Length..].StartsWith(device))
        {
            return TopicFlags.None;
        }

        ReadOnlySpan<byte> rest = filter[("devices/".Length + device.Length)..];
        if (module.IsEmpty)
        {
            return rest.SequenceEqual("/messages/devicebound/#"u8) ? TopicFlags.DeviceBound : TopicFlags.None;
        }

        if (!rest.StartsWith("/modules/"u8) || !rest["/modules/".Length..].StartsWith(module))
        {
            return TopicFlags.None;
        }

        rest = rest[("/modules/".Length + module.Length)..];
        return rest.SequenceEqual("/#"u8) || rest.SequenceEqual("/inputs/#"u8) ? TopicFlags.ModuleInputs
            : rest.SequenceEqual("/messages/devicebound/#"u8) ? TopicFlags.DeviceBound
            : TopicFlags.None;
    }

    /// <summary>Whether this many fit into one session.</summary>
    public static bool Fits(TopicFlags topics) => BitOperations.PopCount((uint)topics) <= CountMax;
}
