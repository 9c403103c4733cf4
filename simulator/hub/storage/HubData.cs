using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>The folder behind <c>--data</c>: certificates, policies, the journal of all that changes, and logs of one hub.</summary>
/// <remarks>
/// The first start makes everything, later starts read it, so that a device keeps its key and its trust anchor. What is
/// missing is made; what is there and damaged is an error that names the file, because a silently regenerated key would
/// look like a fleet-wide authentication failure. A lock keeps two hubs off the same folder.
/// </remarks>
public sealed class HubData : IDisposable
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Disallow,
    };

    private static readonly JsonSerializerOptions Rows = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingDefault,
    };

    private readonly FileStream folderLock;

    private HubData(string directory, FileStream folderLock)
    {
        Directory = directory;
        this.folderLock = folderLock;
    }

    /// <summary>Absolute path of the folder.</summary>
    public string Directory { get; }

    public Registry Registry { get; private set; } = null!;

    /// <summary>Identities, twins, sessions and waiting messages, kept through <c>kill -9</c>.</summary>
    public Journal Journal { get; private set; } = null!;

    /// <summary>What the journal kept beside the identities, by <see cref="Device.FullId"/>; the hub takes it over and clears it.</summary>
    internal Dictionary<string, KeptState> Kept { get; } = new(StringComparer.Ordinal);

    /// <summary>The server's certificate with its private key.</summary>
    public X509Certificate2 ServerCertificate { get; private set; } = null!;

    /// <summary>Absolute path of the public certificate that clients must trust.</summary>
    public string AuthorityPath => Path.Combine(Directory, "ca.pem");

    /// <summary>Where the Connections records go.</summary>
    public string ConnectionsPath => Path.Combine(Directory, "connections.jsonl");

    private string PoliciesPath => Path.Combine(Directory, "policies.json");

    private string JournalPath => Path.Combine(Directory, "journal");

    /// <summary>
    /// Opens or makes the folder. There are at least <paramref name="devices"/> identities afterwards, and all of
    /// <paramref name="ids"/>. <paramref name="options"/>: how the journal is kept; null = as its own defaults say.
    /// </summary>
    /// <exception cref="HubDataException">A file is damaged, or the folder is in use by another hub.</exception>
    public static HubData Open(
        string directory, int devices, TimeProvider? time = null, IReadOnlyList<string>? ids = null, JournalOptions? options = null)
    {
        directory = MakeDirectory(directory);
        var data = new HubData(directory, TakeLock(directory));
        try
        {
            string[] names = ["localhost", "127.0.0.1", "::1", .. MachineName()];
            DateTimeOffset now = (time ?? TimeProvider.System).GetUtcNow();
            using X509Certificate2 authority = HubCertificates.OpenAuthority(directory, now);
            data.ServerCertificate = HubCertificates.OpenServer(directory, authority, names, now);
            data.Registry = new Registry(names);
            data.OpenPolicies();
            data.OpenJournal(options ?? new JournalOptions());
            data.AddDevices(devices, ids ?? [], now.ToUnixTimeMilliseconds());
            return data;
        }
        catch
        {
            data.Dispose();
            throw;
        }
    }

    /// <summary>Makes the folder where it is missing, open to its owner only; returns its absolute path.</summary>
    public static string MakeDirectory(string directory)
    {
        directory = Path.GetFullPath(directory);
        if (OperatingSystem.IsWindows())
        {
            System.IO.Directory.CreateDirectory(directory);
        }
        else
        {
            System.IO.Directory.CreateDirectory(
                directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        return directory;
    }

    /// <summary>An identity as the journal keeps it.</summary>
    public static byte[] StateOf(Device device) => JsonSerializer.SerializeToUtf8Bytes(
        new DeviceRow(
            device.IsEnabled, device.PrimaryKey, device.SecondaryKey, device.GenerationId, device.ETag, device.CreatedUtcMs, device.Index,
            device.StatusReason, device.StatusUpdatedUtcMs, device.Authentication, device.PrimaryThumbprint,
            device.SecondaryThumbprint, device.IsEdge, device.ManagedBy, device.ModelId),
        Rows);

    /// <inheritdoc/>
    public void Dispose()
    {
        Journal?.Dispose();
        ServerCertificate?.Dispose();
        folderLock.Dispose();
    }

    private static FileStream TakeLock(string directory)
    {
        string path = Path.Combine(directory, "lock");
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            throw new HubDataException($"{directory}: in use by another hub");
        }
    }

    private static IEnumerable<string> MachineName()
    {
        string name = Environment.MachineName.ToLowerInvariant();
        bool usable = Uri.CheckHostName(name) == UriHostNameType.Dns && name != "localhost";
        return usable ? [name] : [];
    }

    private void OpenPolicies()
    {
        if (!File.Exists(PoliciesPath))
        {
            Registry.AddDefaultPolicies();
            var file = new PoliciesFile(
                1, [.. Registry.Policies.Select(p => new PolicyRow(p.Name, (int)p.Rights, p.PrimaryKey, p.SecondaryKey))]);
            HubFiles.WriteAtomically(PoliciesPath, secret: true, stream => JsonSerializer.Serialize(stream, file, Json));
            return;
        }

        foreach (PolicyRow row in ReadPolicies())
        {
            if (string.IsNullOrEmpty(row?.Name) || row.Name.Length > Registry.PolicyNameLengthMax || !IsKey(row.PrimaryKey))
            {
                throw Damaged($"$.policies[{Registry.Policies.Count}] lacks a name or a key");
            }

            Registry.Add(new AccessPolicy(row.Name, (AccessRights)row.Rights, row.PrimaryKey, row.SecondaryKey ?? []));
        }
    }

    private List<PolicyRow> ReadPolicies()
    {
        try
        {
            using FileStream stream = File.OpenRead(PoliciesPath);
            PoliciesFile? file = JsonSerializer.Deserialize<PoliciesFile>(stream, Json);
            return file is { Version: 1, Policies: { Count: > 0 } policies }
                ? policies
                : throw Damaged("it lacks version 1 or policies");
        }
        catch (JsonException exception)
        {
            // The exception's own text may quote the file, and the file holds keys.
            throw Damaged($"not valid JSON at line {exception.LineNumber + 1}, path {exception.Path ?? "$"}");
        }
    }

    // Entries come in no order that says which device a twin belongs to, so all are gathered first.
    private void OpenJournal(JournalOptions options)
    {
        var identities = new Dictionary<string, DeviceRow>(StringComparer.Ordinal);
        Journal = Journal.Open(JournalPath, options, (key, value, isDeleted) =>
        {
            JournalKeyKind kind = JournalKeys.Parse(key, out string id, out long sequence);
            if (kind != JournalKeyKind.Device)
            {
                KeptState kept = Kept.TryGetValue(id, out KeptState? known) ? known : Kept[id] = new KeptState();
                kept.Take(kind, sequence, isDeleted ? null : value.ToArray());
            }
            else if (isDeleted)
            {
                identities.Remove(id);
            }
            else
            {
                identities[id] = ReadRow(key, value);
            }
        });

        // A device before its modules, and all in the order in which they were made, which is the order of their indices.
        foreach ((string id, DeviceRow row) in identities
            .OrderBy(entry => entry.Key.Contains('/')).ThenBy(entry => entry.Value.CreatedUtcMs).ThenBy(entry => entry.Value.Order))
        {
            Load(id, row);
        }
    }

    private DeviceRow ReadRow(string key, ReadOnlySpan<byte> value)
    {
        DeviceRow? row = null;
        try
        {
            row = JsonSerializer.Deserialize<DeviceRow>(value, Rows);
        }
        catch (JsonException)
        {
            // Its text may quote a key; what follows names the place.
        }

        return row is { PrimaryKey.Length: <= 64 }
            ? row
            : throw new HubDataException($"{JournalPath}: what is kept under {key} is not an identity");
    }

    private void Load(string fullId, DeviceRow row)
    {
        string[] parts = fullId.Split('/');
        if (!parts.All(part => Registry.IsId(part)) || (parts.Length == 2 && !Registry.TryFind(parts[0], out _)))
        {
            throw new HubDataException($"{JournalPath}: what is kept under device/{fullId} is not an identity");
        }

        Device device = Registry.Add(
            parts[0], row.PrimaryKey, row.SecondaryKey ?? [], row.GenerationId, row.ETag, parts.Length == 2 ? parts[1] : null);
        Registry.SetEnabled(device, row.IsEnabled);
        device.CreatedUtcMs = row.CreatedUtcMs;
        device.StatusReason = row.StatusReason;
        device.StatusUpdatedUtcMs = row.StatusUpdatedUtcMs;
        device.Authentication = row.Authentication;
        device.PrimaryThumbprint = row.PrimaryThumbprint;
        device.SecondaryThumbprint = row.SecondaryThumbprint;
        device.IsEdge = row.IsEdge;
        device.ManagedBy = row.ManagedBy;
        device.ModelId = row.ModelId ?? "";
    }

    private void AddDevices(int devices, IReadOnlyList<string> ids, long utcMs)
    {
        int before = Registry.Devices.Count;
        Registry.AddNumbered(devices);
        Registry.AddMissing(ids);
        var batch = new JournalBatch();
        foreach (Device device in Registry.Devices[before..])
        {
            device.CreatedUtcMs = utcMs;
            batch.Put(JournalKeys.Device(device.FullId), StateOf(device));
            if (batch.Length > JournalBatch.LengthMax / 2)
            {
                Journal.Append(batch).GetAwaiter().GetResult();
                batch = new JournalBatch();
            }
        }

        Journal.Append(batch).GetAwaiter().GetResult();
    }

    private static bool IsKey(byte[]? key) => key is { Length: >= 16 and <= 64 };

    private HubDataException Damaged(string what) => new($"{PoliciesPath}: {what}");

    private sealed record PoliciesFile(int Version, List<PolicyRow> Policies);

    private sealed record PolicyRow(string Name, int Rights, byte[] PrimaryKey, byte[] SecondaryKey);

    private sealed record DeviceRow(
        bool IsEnabled, byte[] PrimaryKey, byte[] SecondaryKey, string GenerationId, string ETag, long CreatedUtcMs, int Order,
        string? StatusReason, long? StatusUpdatedUtcMs, AuthenticationType Authentication, string? PrimaryThumbprint,
        string? SecondaryThumbprint, bool IsEdge, string? ManagedBy, string? ModelId);
}

/// <summary>What the journal kept of one identity beside its row.</summary>
internal sealed class KeptState
{
    /// <summary><see cref="Agent.Hub.Twin.State"/>; null = as it was made.</summary>
    public byte[]? Twin { get; private set; }

    /// <summary>The persistent session's subscriptions and the quality of the devicebound one; null = no session.</summary>
    public byte[]? Session { get; private set; }

    /// <summary>Waiting messages by their sequence; null = none.</summary>
    public SortedDictionary<long, byte[]>? Commands { get; private set; }

    /// <summary>Takes one entry in; <paramref name="value"/> null = deleted.</summary>
    public void Take(JournalKeyKind kind, long sequence, byte[]? value)
    {
        switch (kind)
        {
            case JournalKeyKind.Twin:
                Twin = value;
                break;
            case JournalKeyKind.Session:
                Session = value;
                break;
            case JournalKeyKind.Command when value is not null:
                (Commands ??= [])[sequence] = value;
                break;
            case JournalKeyKind.Command:
                Commands?.Remove(sequence);
                break;
        }
    }
}
