using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Agent.Hub;

/// <summary>Why a change of a twin was not made.</summary>
public enum TwinFault : byte
{
    /// <summary>It was made.</summary>
    None = 0,

    /// <summary>Not JSON, or beyond a limit: 400 (400004 for a service).</summary>
    Invalid = 1,

    /// <summary>If-Match names another etag: 412001.</summary>
    Stale = 2,
}

/// <summary>What a change came to.</summary>
/// <param name="Twin">The twin from now on; the old one when there is a fault.</param>
/// <param name="Fault">Why nothing was changed.</param>
/// <param name="Problems">All that is wrong with the body, for a person.</param>
/// <param name="Notice">Body of the desired notification to publish; null = desired properties were not touched.</param>
public readonly record struct TwinResult(Twin Twin, TwinFault Fault, IReadOnlyList<string> Problems, byte[]? Notice)
{
    /// <summary>Whether <see cref="Twin"/> is the twin from now on.</summary>
    public bool IsDone => Fault == TwinFault.None;

    /// <summary>The answer to a service; call it only when there is a fault.</summary>
    public HubError Error => Fault == TwinFault.Stale
        ? HubError.PreconditionFailed("Precondition failed: Device version did not match, existing ETag: " + Twin.ETag)
        : HubError.ArgumentInvalid(string.Join("; ", Problems));
}

/// <summary>What a twin document shows of the identity and its connection (facts/iothub.md §7).</summary>
public readonly record struct TwinIdentity(string DeviceId)
{
    /// <summary>Null for a device.</summary>
    public string? ModuleId { get; init; }

    /// <summary>The identity's own etag, which moves independently of the twin's.</summary>
    public string DeviceETag { get; init; } = "";

    public bool IsEnabled { get; init; } = true;

    public string? StatusReason { get; init; }

    /// <summary>Null = never.</summary>
    public long? StatusUpdateUtcMs { get; init; }

    /// <summary>As the hub shows it, up to 5 min late (facts/iothub.md §5).</summary>
    public bool IsConnected { get; init; }

    /// <summary>Null = never.</summary>
    public long? LastActivityUtcMs { get; init; }

    /// <summary>Cloud-to-device messages waiting.</summary>
    public int CommandCount { get; init; }

    /// <summary><c>sas</c>, <c>selfSigned</c> or <c>certificateAuthority</c>.</summary>
    public string AuthenticationType { get; init; } = "sas";

    public string? PrimaryThumbprint { get; init; }

    public string? SecondaryThumbprint { get; init; }

    /// <summary>From the CONNECT's <c>model-id</c>.</summary>
    public string ModelId { get; init; } = "";

    public bool IsEdge { get; init; }
}

/// <summary>One device's twin: tags, desired and reported properties, their versions and times. A value, never changed.</summary>
/// <remarks>
/// Each operation takes the time and answers with the next twin. How the hub numbers things was read off real documents: the etag
/// is a counter of the service's changes (8 bytes, base64), reported properties count in their own <c>$version</c>, and
/// <c>version</c> is the sum of the two; a new twin has etag 1, reported 1, version 2. So a device that reports does not spoil
/// the etag a service holds. A patch counts by being there, its values are not compared (azure-iot-sdk-csharp issue 954). A
/// section that a PUT leaves out is left alone, since the vendor's page lists replacing tags and replacing desired properties
/// as two operations.
/// </remarks>
public sealed class Twin
{
    /// <summary>Longest body a service may send; sections have their own limits.</summary>
    public const int DocumentLengthMax = 262_144;

    /// <summary>Desired and reported properties, as the vendor's page counts (facts/iothub.md §6).</summary>
    public const int PropertiesSizeMax = 32_768;

    public const int TagsSizeMax = 8_192;

    /// <summary>Longest reported patch: keys and punctuation may make it longer than what is counted.</summary>
    private const int PatchLengthMax = 65_536;

    private const int StateDepthMax = 64;

    private static readonly JsonWriterOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly TwinNode desired;
    private readonly TwinNode reported;
    private readonly TwinNode tags;
    private readonly long serviceVersion;

    private Twin(TwinNode desired, TwinNode reported, TwinNode tags, long serviceVersion, long desiredVersion, long reportedVersion)
    {
        this.desired = desired;
        this.reported = reported;
        this.tags = tags;
        this.serviceVersion = serviceVersion;
        DesiredVersion = desiredVersion;
        ReportedVersion = reportedVersion;
    }

    public long DesiredVersion { get; }

    public long ReportedVersion { get; }

    /// <summary>Moves with every change.</summary>
    public long Version => serviceVersion + ReportedVersion;

    /// <summary>Moves with every change of tags or desired properties.</summary>
    public string ETag
    {
        get
        {
            Span<byte> bytes = stackalloc byte[8];
            BinaryPrimitives.WriteInt64BigEndian(bytes, serviceVersion);
            return Convert.ToBase64String(bytes);
        }
    }

    /// <summary>The twin of an identity made at that moment.</summary>
    public static Twin New(long utcMs)
    {
        TwinNode empty = TwinNode.Empty.At(utcMs, 1);
        return new Twin(empty, empty, empty, 1, 1, 1);
    }

    /// <summary>A device's reported patch: status 204 with <see cref="ReportedVersion"/>, or 400.</summary>
    public TwinResult Report(ReadOnlySpan<byte> patch, long utcMs)
    {
        var problems = new List<string>();
        TwinNode? changes = patch.Length > PatchLengthMax
            ? Refused(problems, $"reported: the patch is longer than {PatchLengthMax} bytes")
            : TwinReader.ReadSection(patch, "reported", problems);
        if (changes is null)
        {
            return new TwinResult(this, TwinFault.Invalid, problems, null);
        }

        TwinNode merged = TwinNode.Merge(reported, changes, utcMs, ReportedVersion + 1);
        CheckSize(reported, merged, PropertiesSizeMax, "reported", problems);
        return problems.Count > 0
            ? new TwinResult(this, TwinFault.Invalid, problems, null)
            : new TwinResult(
                new Twin(desired, merged, tags, serviceVersion, DesiredVersion, ReportedVersion + 1), TwinFault.None, [], null);
    }

    /// <summary>
    /// A service's PATCH of tags and desired properties. <paramref name="ifMatch"/>: an etag, quoted or not, <c>*</c> or null.
    /// </summary>
    public TwinResult Patch(ReadOnlySpan<byte> body, string? ifMatch, long utcMs) => Change(body, ifMatch, utcMs, replace: false);

    /// <summary>A service's PUT: the sections named are replaced.</summary>
    public TwinResult Replace(ReadOnlySpan<byte> body, string? ifMatch, long utcMs) => Change(body, ifMatch, utcMs, replace: true);

    /// <summary>The answer to a device's GET: no tags, no metadata.</summary>
    public byte[] DeviceJson() => Json(writer =>
    {
        writer.WriteStartObject();
        WriteSection(writer, "desired", desired, DesiredVersion);
        WriteSection(writer, "reported", reported, ReportedVersion);
        writer.WriteEndObject();
    });

    /// <summary>The document a service reads.</summary>
    public byte[] ServiceJson(TwinIdentity identity) => Json(writer => WriteService(writer, identity));

    /// <summary>The document a service reads, into a larger one.</summary>
    public void WriteService(Utf8JsonWriter writer, in TwinIdentity identity)
    {
        writer.WriteStartObject();
        writer.WriteString("deviceId", identity.DeviceId);
        if (identity.ModuleId is { } module)
        {
            writer.WriteString("moduleId", module);
        }

        writer.WriteString("etag", ETag);
        writer.WriteString("deviceEtag", identity.DeviceETag);
        writer.WriteString("status", identity.IsEnabled ? "enabled" : "disabled");
        if (identity.StatusReason is { } reason)
        {
            writer.WriteString("statusReason", reason);
        }

        writer.WriteString("statusUpdateTime", UtcText.Of(identity.StatusUpdateUtcMs));
        writer.WriteString("connectionState", identity.IsConnected ? "Connected" : "Disconnected");
        writer.WriteString("lastActivityTime", UtcText.Of(identity.LastActivityUtcMs));
        writer.WriteNumber("cloudToDeviceMessageCount", identity.CommandCount);
        writer.WriteString("authenticationType", identity.AuthenticationType);
        writer.WriteStartObject("x509Thumbprint");
        writer.WriteString("primaryThumbprint", identity.PrimaryThumbprint);
        writer.WriteString("secondaryThumbprint", identity.SecondaryThumbprint);
        writer.WriteEndObject();
        writer.WriteString("modelId", identity.ModelId);
        writer.WriteNumber("version", Version);
        if (tags.Members!.Count > 0)
        {
            writer.WritePropertyName("tags");
            tags.Write(writer);
        }

        writer.WriteStartObject("properties");
        WriteSection(writer, "desired", desired, DesiredVersion, withMetadata: true);
        WriteSection(writer, "reported", reported, ReportedVersion, withMetadata: true);
        writer.WriteEndObject();
        writer.WriteStartObject("capabilities");
        writer.WriteBoolean("iotEdge", identity.IsEdge);
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    /// <summary>Everything, for the journal.</summary>
    public byte[] State() => Json(writer =>
    {
        writer.WriteStartObject();
        writer.WriteNumber("service", serviceVersion);
        writer.WriteNumber("desired", DesiredVersion);
        writer.WriteNumber("reported", ReportedVersion);
        writer.WritePropertyName("d");
        TwinState.Write(writer, desired);
        writer.WritePropertyName("r");
        TwinState.Write(writer, reported);
        writer.WritePropertyName("t");
        TwinState.Write(writer, tags);
        writer.WriteEndObject();
    });

    /// <summary>Reads what <see cref="State"/> wrote; false when it is something else.</summary>
    public static bool TryRead(ReadOnlyMemory<byte> state, out Twin? twin)
    {
        twin = null;
        try
        {
            using JsonDocument document = JsonDocument.Parse(state, new JsonDocumentOptions { MaxDepth = StateDepthMax });
            JsonElement root = document.RootElement;
            twin = new Twin(
                TwinState.Read(root.GetProperty("d")), TwinState.Read(root.GetProperty("r")), TwinState.Read(root.GetProperty("t")),
                root.GetProperty("service").GetInt64(), root.GetProperty("desired").GetInt64(), root.GetProperty("reported").GetInt64());
            if (twin.desired.Kind != TwinKind.Object || twin.reported.Kind != TwinKind.Object || twin.tags.Kind != TwinKind.Object)
            {
                twin = null;
            }
        }
        catch (Exception exception)
            when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or ArgumentException)
        {
            twin = null;
        }

        return twin is not null;
    }

    /// <summary>A section as queries see it: <c>tags</c>, <c>desired</c> or <c>reported</c>.</summary>
    internal TwinNode Section(string name) => name switch
    {
        "tags" => tags,
        "desired" => desired,
        _ => reported,
    };

    private TwinResult Change(ReadOnlySpan<byte> body, string? ifMatch, long utcMs, bool replace)
    {
        if (!Matches(ifMatch))
        {
            return new TwinResult(this, TwinFault.Stale, [], null);
        }

        var problems = new List<string>();
        if (body.Length > DocumentLengthMax)
        {
            Refused(problems, $"twin: the document is longer than {DocumentLengthMax} bytes");
            return new TwinResult(this, TwinFault.Invalid, problems, null);
        }

        (TwinNode? toDesired, TwinNode? toTags) = TwinReader.ReadDocument(body, problems);
        bool changesDesired = toDesired is not null && (replace || toDesired.Kind == TwinKind.Null || toDesired.Members!.Count > 0);
        bool changesTags = toTags is not null && (replace || toTags.Kind == TwinKind.Null || toTags.Members!.Count > 0);
        long desiredAfter = DesiredVersion + (changesDesired ? 1 : 0);
        long serviceAfter = serviceVersion + (changesDesired || changesTags ? 1 : 0);
        TwinNode newDesired = changesDesired ? After(desired, toDesired!, utcMs, desiredAfter, replace) : desired;
        TwinNode newTags = changesTags ? After(tags, toTags!, utcMs, serviceAfter, replace) : tags;
        CheckSize(desired, newDesired, PropertiesSizeMax, "twin.properties.desired", problems);
        CheckSize(tags, newTags, TagsSizeMax, "twin.tags", problems);
        if (problems.Count > 0)
        {
            return new TwinResult(this, TwinFault.Invalid, problems, null);
        }

        byte[]? notice = changesDesired ? Notice(toDesired!, newDesired, desiredAfter, replace) : null;
        return new TwinResult(
            new Twin(newDesired, reported, newTags, serviceAfter, desiredAfter, ReportedVersion), TwinFault.None, [], notice);
    }

    /// <summary>The patch and <c>$version</c>; a replacement is told as a patch that deletes what is gone.</summary>
    private byte[] Notice(TwinNode change, TwinNode after, long version, bool replace)
    {
        TwinNode patch = replace || change.Kind == TwinKind.Null ? TwinNode.PatchOf(desired, after) : change;
        return Json(writer =>
        {
            writer.WriteStartObject();
            patch.WriteMembers(writer);
            writer.WriteNumber("$version", version);
            writer.WriteEndObject();
        });
    }

    private bool Matches(string? ifMatch)
    {
        if (string.IsNullOrEmpty(ifMatch) || ifMatch == "*")
        {
            return true;
        }

        string tag = ifMatch.StartsWith("W/", StringComparison.Ordinal) ? ifMatch[2..] : ifMatch;
        return tag.Trim('"') is var bare && (bare == "*" || bare == ETag);
    }

    // A replacement is a merge into nothing: nulls vanish, and every level gets the moment.
    private static TwinNode After(TwinNode old, TwinNode change, long utcMs, long version, bool replace) =>
        TwinNode.Merge(
            replace || change.Kind == TwinKind.Null ? null : old,
            change.Kind == TwinKind.Null ? TwinNode.Empty : change, utcMs, version);

    // What makes a section smaller is allowed even where it stays too large (the vendor's page: "would increase the size").
    private static void CheckSize(TwinNode before, TwinNode after, int max, string name, List<string> problems)
    {
        if (!ReferenceEquals(before, after) && after.Size() is var size && size > max && size > before.Size())
        {
            problems.Add(string.Create(CultureInfo.InvariantCulture, $"{name} would be {size} bytes long, at most {max} are allowed"));
        }
    }

    private static TwinNode? Refused(List<string> problems, string why)
    {
        problems.Add(why);
        return null;
    }

    private static void WriteSection(
        Utf8JsonWriter writer, string name, TwinNode section, long version, bool withMetadata = false)
    {
        writer.WriteStartObject(name);
        section.WriteMembers(writer);
        if (withMetadata)
        {
            writer.WritePropertyName("$metadata");
            section.WriteMetadata(writer, withVersion: name == "desired");
        }

        writer.WriteNumber("$version", version);
        writer.WriteEndObject();
    }

    private static byte[] Json(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer, Relaxed))
        {
            write(writer);
        }

        return buffer.WrittenSpan.ToArray();
    }
}
