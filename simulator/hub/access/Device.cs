using System.Text;

namespace Agent.Hub;

/// <summary>How an identity proves itself (the identity's <c>authentication.type</c>).</summary>
public enum AuthenticationType : byte
{
    Sas,
    SelfSigned,
    CertificateAuthority,

    /// <summary>Modules may have none.</summary>
    None,
}

/// <summary>One identity, of a device or of a module on one. <see cref="Index"/> is the number the hub machine knows it by.</summary>
/// <remarks>An index is never used again: a device created anew under an old id is another identity.</remarks>
public sealed class Device
{
    private readonly byte[] utf8Id;
    private readonly byte[] utf8ModuleId;
    private DeviceState? state;

    internal Device(int index, string id, string? moduleId, byte[] primaryKey, byte[] secondaryKey)
    {
        Index = index;
        Id = id;
        ModuleId = moduleId;
        utf8Id = Encoding.UTF8.GetBytes(id);
        utf8ModuleId = Encoding.UTF8.GetBytes(moduleId ?? "");
        PrimaryKey = primaryKey;
        SecondaryKey = secondaryKey;
    }

    /// <summary>Dense number, from 0.</summary>
    public int Index { get; }

    /// <summary>Case-sensitive id of the device.</summary>
    public string Id { get; }

    /// <summary>The module's id; null for the device itself.</summary>
    public string? ModuleId { get; }

    /// <summary><c>{device}</c> or <c>{device}/{module}</c>: what a client id looks like, and what the registry finds it by.</summary>
    public string FullId => ModuleId is null ? Id : $"{Id}/{ModuleId}";

    /// <summary>The id as it stands in topics and user names.</summary>
    public ReadOnlySpan<byte> Utf8Id => utf8Id;

    /// <summary>The module's id as it stands in topics; empty for a device.</summary>
    public ReadOnlySpan<byte> Utf8ModuleId => utf8ModuleId;

    /// <summary>Whether it may connect. Changed by <see cref="Registry.SetEnabled"/>, which counts.</summary>
    public bool IsEnabled { get; internal set; } = true;

    /// <summary>When it was made, ms since 1970.</summary>
    public long CreatedUtcMs { get; set; }

    /// <summary>Why it is disabled, in the operator's words; at most 128 characters.</summary>
    public string? StatusReason { get; set; }

    /// <summary>When it was last enabled or disabled, ms since 1970; null = never since it was made.</summary>
    public long? StatusUpdatedUtcMs { get; set; }

    public AuthenticationType Authentication { get; set; }

    public byte[] PrimaryKey { get; set; }

    public byte[] SecondaryKey { get; set; }

    public string? PrimaryThumbprint { get; set; }

    public string? SecondaryThumbprint { get; set; }

    /// <summary><c>capabilities.iotEdge</c>; kept and shown, nothing else.</summary>
    public bool IsEdge { get; set; }

    /// <summary>A module's <c>managedBy</c>; kept and shown, nothing else.</summary>
    public string? ManagedBy { get; set; }

    /// <summary>The model the device named at its last CONNECT (<c>model-id</c>); empty = none.</summary>
    public string ModelId { get; set; } = "";

    /// <summary>Differs between two identities that had the same id one after the other.</summary>
    public string GenerationId { get; init; } = "";

    /// <summary>Changes with every change of the identity.</summary>
    public string ETag { get; set; } = "";

    /// <summary>Whether the identity has been deleted; whoever still holds it must not serve it.</summary>
    public bool IsDeleted { get; set; }

    /// <summary>What the hub keeps for it beside the identity: made when first needed, since most devices never need it.</summary>
    internal DeviceState State => LazyInitializer.EnsureInitialized(ref state);

    /// <summary>The same if it was ever needed.</summary>
    internal DeviceState? StateIfAny => Volatile.Read(ref state);
}

/// <summary>The words for <see cref="AuthenticationType"/> in identity documents.</summary>
public static class AuthenticationTypes
{
    public static string Name(this AuthenticationType type) => type switch
    {
        AuthenticationType.Sas => "sas",
        AuthenticationType.SelfSigned => "selfSigned",
        AuthenticationType.CertificateAuthority => "certificateAuthority",
        _ => "none",
    };
}
