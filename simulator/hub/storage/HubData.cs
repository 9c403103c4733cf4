using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>The folder behind <c>--data</c>: certificates, registry and logs of one hub.</summary>
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

    private readonly FileStream folderLock;

    private HubData(string directory, FileStream folderLock)
    {
        Directory = directory;
        this.folderLock = folderLock;
    }

    /// <summary>Absolute path of the folder.</summary>
    public string Directory { get; }

    public Registry Registry { get; private set; } = null!;

    /// <summary>The server's certificate with its private key.</summary>
    public X509Certificate2 ServerCertificate { get; private set; } = null!;

    /// <summary>Absolute path of the public certificate that clients must trust.</summary>
    public string AuthorityPath => Path.Combine(Directory, "ca.pem");

    /// <summary>Where the Connections records go.</summary>
    public string ConnectionsPath => Path.Combine(Directory, "connections.jsonl");

    private string RegistryPath => Path.Combine(Directory, "registry.json");

    /// <summary>
    /// Opens or makes the folder. There are at least <paramref name="devices"/> identities afterwards, and all of
    /// <paramref name="ids"/>.
    /// </summary>
    /// <exception cref="HubDataException">A file is damaged, or the folder is in use by another hub.</exception>
    public static HubData Open(
        string directory, int devices, TimeProvider? time = null, IReadOnlyList<string>? ids = null)
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
            data.OpenRegistry(devices, ids ?? []);
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

    /// <summary>Writes the registry as it is now.</summary>
    public void SaveRegistry()
    {
        var file = new RegistryFile(
            1,
            [.. Registry.Policies.Select(p => new PolicyRow(p.Name, (int)p.Rights, p.PrimaryKey, p.SecondaryKey))],
            [.. Registry.Devices.Select(d => new DeviceRow(
                d.Id, d.IsEnabled ? "enabled" : "disabled", d.PrimaryKey, d.SecondaryKey, d.GenerationId, d.ETag))]);
        HubFiles.WriteAtomically(RegistryPath, secret: true, stream => JsonSerializer.Serialize(stream, file, Json));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
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

    private void OpenRegistry(int devices, IReadOnlyList<string> ids)
    {
        bool changed = !File.Exists(RegistryPath);
        if (changed)
        {
            Registry.AddDefaultPolicies();
        }
        else
        {
            Load(ReadRows());
        }

        int before = Registry.Devices.Count;
        Registry.AddNumbered(devices);
        Registry.AddMissing(ids);
        if (changed || Registry.Devices.Count > before)
        {
            SaveRegistry();
        }
    }

    private RegistryFile ReadRows()
    {
        try
        {
            using FileStream stream = File.OpenRead(RegistryPath);
            RegistryFile? file = JsonSerializer.Deserialize<RegistryFile>(stream, Json);
            return file is { Version: 1, Policies: not null, Devices: not null }
                ? file
                : throw Damaged("it lacks version 1, policies or devices");
        }
        catch (JsonException exception)
        {
            // The exception's own text may quote the file, and the file holds keys.
            throw Damaged($"not valid JSON at line {exception.LineNumber + 1}, path {exception.Path ?? "$"}");
        }
    }

    private void Load(RegistryFile file)
    {
        foreach (PolicyRow row in file.Policies)
        {
            if (string.IsNullOrEmpty(row?.Name) || row.Name.Length > Registry.PolicyNameLengthMax || !IsKey(row.PrimaryKey))
            {
                throw Damaged($"$.policies[{Registry.Policies.Count}] lacks a name or a key");
            }

            Registry.Add(new AccessPolicy(row.Name, (AccessRights)row.Rights, row.PrimaryKey, row.SecondaryKey ?? []));
        }

        foreach (DeviceRow row in file.Devices)
        {
            if (row is null || !Registry.IsId(row.DeviceId) || !IsKey(row.PrimaryKey)
                || row.Status is not ("enabled" or "disabled"))
            {
                throw Damaged($"$.devices[{Registry.Devices.Count}] lacks a usable deviceId, status or primaryKey");
            }

            if (Registry.TryFind(row.DeviceId, out _))
            {
                throw Damaged($"$.devices[{Registry.Devices.Count}].deviceId is there twice");
            }

            Device device = Registry.Add(row.DeviceId, row.PrimaryKey, row.SecondaryKey ?? [], row.GenerationId, row.ETag);
            device.IsEnabled = row.Status == "enabled";
        }
    }

    private static bool IsKey(byte[]? key) => key is { Length: >= 16 and <= 64 };

    private HubDataException Damaged(string what) => new($"{RegistryPath}: {what}");

    private sealed record RegistryFile(int Version, List<PolicyRow> Policies, List<DeviceRow> Devices);

    private sealed record PolicyRow(string Name, int Rights, byte[] PrimaryKey, byte[] SecondaryKey);

    private sealed record DeviceRow(
        string DeviceId, string Status, byte[] PrimaryKey, byte[] SecondaryKey, string GenerationId, string ETag);
}
