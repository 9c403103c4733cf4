using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Agent.Hub;

/// <summary>What a shared access policy allows.</summary>
[Flags]
public enum AccessRights : byte
{
    None = 0,

    /// <summary>Read identities.</summary>
    RegistryRead = 1,

    /// <summary>Create, change and delete identities.</summary>
    RegistryWrite = 2,

    /// <summary>Twins, methods, cloud-to-device messages, reading telemetry.</summary>
    ServiceConnect = 4,

    /// <summary>Connect as any device.</summary>
    DeviceConnect = 8,
}

/// <summary>A named pair of keys with rights.</summary>
public sealed record AccessPolicy(string Name, AccessRights Rights, byte[] PrimaryKey, byte[] SecondaryKey);

/// <summary>Who may connect: identities and shared access policies, in memory. Files are <see cref="HubData"/>'s.</summary>
/// <remarks>
/// Every packet of CONNECT and every route looks an identity up, changes are rare: reading takes no lock. Changes are made by
/// one thread at a time, which is the caller's business. Identities keep their index for as long as the process lives, deleted
/// ones too, because records about their last connection may still be under way.
/// </remarks>
public sealed class Registry
{
    /// <summary>Longest device or module id (facts/iothub.md §1.2).</summary>
    public const int IdLengthMax = 128;

    public const int PolicyNameLengthMax = 64;

    /// <summary>As many devices and modules as a hub holds (facts/iothub.md §6).</summary>
    public const int DevicesMax = 1_000_000;

    /// <summary>As many modules as one device holds (the vendor's quota page).</summary>
    public const int ModulesMax = 50;

    private const int KeyLength = 32;

    private readonly List<AccessPolicy> policies = [];
    private readonly List<byte[]> hostNames = [];
    private readonly ConcurrentDictionary<string, Device> byFullId = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Device[]> modules = new(StringComparer.Ordinal);
    private volatile Device[] devices = new Device[16];
    private volatile int count;
    private int liveCount;
    private int disabledCount;

    /// <param name="names">What this hub answers to; the first is the one it calls itself.</param>
    public Registry(params IEnumerable<string> names)
    {
        foreach (string name in names)
        {
            HostNames.Add(name);
            hostNames.Add(Encoding.ASCII.GetBytes(name));
        }
    }

    /// <summary>Identities in order of their index, those deleted since the start among them.</summary>
    public ArraySegment<Device> Devices
    {
        get
        {
            // The count first: the array read after it has at least as many.
            int known = count;
            return new ArraySegment<Device>(devices, 0, known);
        }
    }

    /// <summary>Devices there are, without modules.</summary>
    public int DeviceCount => Volatile.Read(ref liveCount);

    /// <summary>How many of them are disabled.</summary>
    public int DisabledCount => Volatile.Read(ref disabledCount);

    /// <summary>Devices and modules there are.</summary>
    public int IdentityCount => byFullId.Count;

    public IReadOnlyList<AccessPolicy> Policies => policies;

    /// <summary>The hub's own name, as in connection strings.</summary>
    public string HostName => HostNames[0];

    private List<string> HostNames { get; } = [];

    /// <summary>ASCII letters, digits and <c>- : . + % _ # * ? ! ( ) , = @ ; $ '</c>, 1 to 128 of them.</summary>
    public static bool IsId(ReadOnlySpan<char> id)
    {
        foreach (char c in id)
        {
            if (!char.IsAsciiLetterOrDigit(c) && !"-:.+%_#*?!(),=@;$'".Contains(c, StringComparison.Ordinal))
            {
                return false;
            }
        }

        return id.Length is > 0 and <= IdLengthMax;
    }

    /// <summary>A fresh random key.</summary>
    public static byte[] NewKey() => RandomNumberGenerator.GetBytes(KeyLength);

    /// <summary>Whether the hub goes by this name; case does not matter in host names.</summary>
    public bool IsHostName(ReadOnlySpan<byte> name)
    {
        foreach (byte[] known in hostNames)
        {
            if (Ascii.EqualsIgnoreCase(known, name))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Finds a device, or with a module's id that module of it, by the bytes of the ids and without allocating.</summary>
    public bool TryFind(ReadOnlySpan<byte> id, ReadOnlySpan<byte> moduleId, [NotNullWhen(true)] out Device? device)
    {
        device = null;
        Span<char> text = stackalloc char[IdLengthMax + 1 + IdLengthMax];
        if (id.Length > IdLengthMax || moduleId.Length > IdLengthMax || id.Contains((byte)'/')
            || Ascii.ToUtf16(id, text, out int length) != System.Buffers.OperationStatus.Done)
        {
            return false;
        }

        if (!moduleId.IsEmpty)
        {
            text[length++] = '/';
            if (Ascii.ToUtf16(moduleId, text[length..], out int more) != System.Buffers.OperationStatus.Done)
            {
                return false;
            }

            length += more;
        }

        return byFullId.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(text[..length], out device);
    }

    /// <summary>Finds a device by the bytes of its id.</summary>
    public bool TryFind(ReadOnlySpan<byte> id, [NotNullWhen(true)] out Device? device) => TryFind(id, default, out device);

    /// <summary>Finds a device, or with a module's id that module of it.</summary>
    public bool TryFind(string id, string? moduleId, [NotNullWhen(true)] out Device? device)
    {
        device = null;
        return !id.Contains('/', StringComparison.Ordinal)
            && byFullId.TryGetValue(moduleId is null ? id : $"{id}/{moduleId}", out device);
    }

    /// <summary>Finds a device by its id.</summary>
    public bool TryFind(string id, [NotNullWhen(true)] out Device? device) => TryFind(id, null, out device);

    /// <summary>The modules of a device.</summary>
    public IReadOnlyList<Device> ModulesOf(string id) => modules.TryGetValue(id, out Device[]? known) ? known : [];

    /// <summary>Finds a policy by name; case matters.</summary>
    public bool TryFindPolicy(ReadOnlySpan<byte> name, [NotNullWhen(true)] out AccessPolicy? policy)
    {
        foreach (AccessPolicy candidate in policies)
        {
            if (Ascii.Equals(name, candidate.Name))
            {
                policy = candidate;
                return true;
            }
        }

        policy = null;
        return false;
    }

    /// <summary>
    /// Adds an identity; the caller has checked the ids, that it is new, and that a module's device is there.
    /// </summary>
    public Device Add(
        string id, byte[] primaryKey, byte[] secondaryKey, string? generationId = null, string? eTag = null, string? moduleId = null)
    {
        var device = new Device(count, id, moduleId, primaryKey, secondaryKey)
        {
            GenerationId = generationId ?? RandomNumberGenerator.GetInt32(1, int.MaxValue)
                .ToString("D18", CultureInfo.InvariantCulture),
            ETag = eTag ?? NewETag(),
        };
        if (count == devices.Length)
        {
            Device[] larger = new Device[devices.Length * 2];
            devices.CopyTo(larger, 0);
            devices = larger;
        }

        devices[count] = device;
        count++;
        if (!byFullId.TryAdd(device.FullId, device))
        {
            throw new InvalidOperationException("an identity of this name is there already");
        }

        if (moduleId is null)
        {
            Interlocked.Increment(ref liveCount);
        }
        else
        {
            modules[id] = [.. ModulesOf(id), device];
        }

        return device;
    }

    /// <summary>Enables or disables an identity, and counts it.</summary>
    public void SetEnabled(Device device, bool enabled)
    {
        if (device.IsEnabled != enabled)
        {
            device.IsEnabled = enabled;
            Interlocked.Add(ref disabledCount, device.ModuleId is not null ? 0 : enabled ? -1 : 1);
        }
    }

    /// <summary>Takes an identity out. A device's modules are the caller's to take out first.</summary>
    public void Remove(Device device)
    {
        SetEnabled(device, true);
        device.IsDeleted = true;
        byFullId.TryRemove(device.FullId, out _);
        if (device.ModuleId is null)
        {
            modules.TryRemove(device.Id, out _);
            Interlocked.Decrement(ref liveCount);
        }
        else
        {
            modules[device.Id] = [.. ModulesOf(device.Id).Where(module => module != device)];
        }
    }

    /// <summary>A fresh etag.</summary>
    public static string NewETag() => Convert.ToBase64String(RandomNumberGenerator.GetBytes(6));

    /// <summary>Adds <c>device-0001</c>, <c>device-0002</c>, … with fresh keys until there are that many devices.</summary>
    public void AddNumbered(int total)
    {
        for (int number = 1; liveCount < total; number++)
        {
            string id = "device-" + number.ToString("D4", CultureInfo.InvariantCulture);
            if (!byFullId.ContainsKey(id))
            {
                Add(id, NewKey(), NewKey());
            }
        }
    }

    /// <summary>Adds those of the ids that are not there yet, with fresh keys.</summary>
    public void AddMissing(IEnumerable<string> ids)
    {
        foreach (string id in ids)
        {
            if (!byFullId.ContainsKey(id))
            {
                Add(id, NewKey(), NewKey());
            }
        }
    }

    /// <summary>Adds a policy.</summary>
    public void Add(AccessPolicy policy) => policies.Add(policy);

    /// <summary>Adds the five policies every new hub has (facts/iothub.md §1.3), with fresh keys.</summary>
    public void AddDefaultPolicies()
    {
        const AccessRights All = AccessRights.RegistryRead | AccessRights.RegistryWrite
            | AccessRights.ServiceConnect | AccessRights.DeviceConnect;
        Add(new AccessPolicy("iothubowner", All, NewKey(), NewKey()));
        Add(new AccessPolicy("service", AccessRights.ServiceConnect, NewKey(), NewKey()));
        Add(new AccessPolicy("device", AccessRights.DeviceConnect, NewKey(), NewKey()));
        Add(new AccessPolicy("registryRead", AccessRights.RegistryRead, NewKey(), NewKey()));
        Add(new AccessPolicy(
            "registryReadWrite", AccessRights.RegistryRead | AccessRights.RegistryWrite, NewKey(), NewKey()));
    }

    /// <summary>What a device needs to connect: the line <c>simulator hub</c> prints.</summary>
    public string ConnectionStringOf(Device device) =>
        $"HostName={HostName};DeviceId={device.Id};{(device.ModuleId is null ? "" : $"ModuleId={device.ModuleId};")}"
        + $"SharedAccessKey={Convert.ToBase64String(device.PrimaryKey)}";

    /// <summary>What a service needs: the line <c>simulator hub</c> prints for <c>iothubowner</c>.</summary>
    public string ConnectionStringOf(AccessPolicy policy) =>
        $"HostName={HostName};SharedAccessKeyName={policy.Name};"
        + $"SharedAccessKey={Convert.ToBase64String(policy.PrimaryKey)}";
}
