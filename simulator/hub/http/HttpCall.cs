using System.Diagnostics.CodeAnalysis;
using Microsoft.AspNetCore.Http;

namespace Agent.Hub;

/// <summary>One request in a route's hands: authorized, its ids checked, its body read.</summary>
internal sealed class HttpCall(HubServer hub, HttpContext context, IReadOnlyDictionary<string, string> values, long utcMs)
{
    public HubServer Hub => hub;

    public HttpContext Context => context;

    /// <summary>When the request came, ms since 1970.</summary>
    public long UtcMs => utcMs;

    /// <summary>The whole body; empty for routes that take none.</summary>
    public ReadOnlyMemory<byte> Body { get; set; }

    public string DeviceId => values["id"];

    /// <summary>Null where the path names no module.</summary>
    public string? ModuleId => values.GetValueOrDefault("mid");

    public string LockToken => values["lockToken"];

    /// <summary>The header, or null; an empty one counts as none.</summary>
    public string? IfMatch => Header("If-Match");

    public CancellationToken Aborted => context.RequestAborted;

    /// <summary>A header that may be there once; several are joined with commas, as HTTP reads them.</summary>
    public string? Header(string name) => context.Request.Headers[name].ToString() is { Length: > 0 } value ? value : null;

    /// <summary>The identity the path names, or the 404 to answer.</summary>
    public bool TryFind([NotNullWhen(true)] out Device? device, [NotNullWhen(false)] out HubError? error)
    {
        bool found = hub.Registry.TryFind(DeviceId, ModuleId, out device);
        error = found ? null
            : ModuleId is null || !hub.Registry.TryFind(DeviceId, null, out _) ? HubError.DeviceNotFound(DeviceId)
            : HubError.ModuleNotFound($"{DeviceId}/{ModuleId}");
        return found;
    }
}
