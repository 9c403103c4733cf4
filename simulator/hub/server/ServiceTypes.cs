namespace Agent.Hub;

/// <summary>A result, or what the service is answered instead.</summary>
public readonly record struct HubAnswer<T>(T? Value, HubError? Error)
{
    public static implicit operator HubAnswer<T>(T value) => new(value, null);

    public static implicit operator HubAnswer<T>(HubError error) => new(default, error);
}

/// <summary>An identity as a service asks for it. Null keys are made by the hub.</summary>
public sealed record IdentityDraft(string DeviceId, string? ModuleId = null)
{
    public bool IsEnabled { get; init; } = true;

    public string? StatusReason { get; init; }

    public AuthenticationType Authentication { get; init; }

    public byte[]? PrimaryKey { get; init; }

    public byte[]? SecondaryKey { get; init; }

    public string? PrimaryThumbprint { get; init; }

    public string? SecondaryThumbprint { get; init; }

    public bool IsEdge { get; init; }

    public string? ManagedBy { get; init; }
}
