using System.Text.Json;
using Agent.Core;
using Agent.Input;

namespace Agent.Hub;

/// <summary>What can be done to a hub's devices on demand; names and meaning are those of the scenario file.</summary>
public enum HubFaultKind : byte
{
    /// <summary>The TCP connection ends without a word, by FIN or RST (404104). A moment.</summary>
    TcpDrop,

    /// <summary>The connection is cut as when it moves to another node (404104). A moment.</summary>
    HubFailover,

    /// <summary>Every token counts as expired for longer than the grace (401003, then 404104). A moment.</summary>
    GraceOver,

    /// <summary>CONNECT is answered with a code of one's choice; living connections are left alone.</summary>
    Refuse,

    /// <summary>The hub hears nothing and says nothing, and closes nothing. No record.</summary>
    SilentHub,

    /// <summary>Messages are taken at once and acknowledged later. No record.</summary>
    AckDelay,

    /// <summary>The connection is cut, and every attempt hung up on (429002).</summary>
    Throttle,

    /// <summary>A message costs the device its connection instead of being acknowledged (403002).</summary>
    QuotaExceeded,

    /// <summary>The identity is disabled (403012).</summary>
    DeviceDisabled,

    /// <summary>The primary key is another one; living connections are left alone (401003 at the next attempt with the old one).</summary>
    KeyRotated,
}

/// <summary>The names of <see cref="HubFaultKind"/>.</summary>
public static class HubFaultKinds
{
    private static readonly string[] Names =
        [.. Enum.GetNames<HubFaultKind>().Select(name => char.ToLowerInvariant(name[0]) + name[1..])];

    /// <summary>All names, in order.</summary>
    public static IReadOnlyList<string> All => Names;

    /// <summary>camelCase, as in scenario files.</summary>
    public static string Name(this HubFaultKind kind) => Names[(int)kind];

    /// <summary>Whether it is over as soon as it has happened.</summary>
    public static bool IsMoment(this HubFaultKind kind) =>
        kind is HubFaultKind.TcpDrop or HubFaultKind.HubFailover or HubFaultKind.GraceOver;
}

/// <summary>A fault somebody ordered: the body of <c>POST /local/faults</c>.</summary>
/// <remarks>
/// <c>{ "kind": "throttle", "for": "00:01:00", "share": 0.1, "seed": 7 }</c>. Exactly one of <c>devices</c> (a list of ids),
/// <c>share</c> (above 0, at most 1, of the identities there are; <c>seed</c>, default 1, says which) and <c>all</c> (true) names
/// the target; there is no target by default, because "all" is too much to do by mistake. <c>for</c> is a TimeSpan text; without
/// it a lasting fault stays until it is ended. <c>how</c> ("fin" or "rst") goes with tcpDrop, <c>code</c> (1 to 5) with refuse,
/// <c>by</c> (a TimeSpan text) with ackDelay.
/// </remarks>
public sealed record HubFaultOrder
{
    /// <summary>Longest body, bytes: room for every id of a mid-sized fleet.</summary>
    public const int LengthMax = 1 << 20;

    private const long ForMsMax = 7 * 86_400_000L;
    private const long ByMsMax = 600_000;

    public required HubFaultKind Kind { get; init; }

    /// <summary>How long it lasts, ms; null = until it is ended, or a moment.</summary>
    public long? ForMs { get; init; }

    /// <summary>tcpDrop: by RST.</summary>
    public bool Reset { get; init; }

    /// <summary>refuse: the CONNACK code.</summary>
    public byte Code { get; init; } = 5;

    /// <summary>ackDelay: how late, ms.</summary>
    public long ByMs { get; init; }

    /// <summary>Ids; null = not chosen by id.</summary>
    public IReadOnlyList<string>? Devices { get; init; }

    /// <summary>Share of the identities; null = not chosen by share.</summary>
    public double? Share { get; init; }

    /// <summary>Which of the identities a share is.</summary>
    public uint Seed { get; init; } = 1;

    /// <summary>Whether it is for every device, also those made later.</summary>
    public bool All => Devices is null && Share is null;

    /// <summary>Reads an order.</summary>
    /// <exception cref="BadInputException">One line that names the JSON path, what is wrong and what is allowed.</exception>
    public static HubFaultOrder Parse(ReadOnlyMemory<byte> body)
    {
        if (body.Length > LengthMax)
        {
            throw new BadInputException($"$: longer than {LengthMax} bytes");
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(
                body, new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, MaxDepth = 8 });
            return Read(new JsonReading(document.RootElement, "$"));
        }
        catch (JsonException exception)
        {
            throw new BadInputException(
                $"$: not valid JSON at line {exception.LineNumber + 1}, byte {exception.BytePositionInLine + 1}");
        }
        catch (InvalidOperationException)
        {
            throw new BadInputException("$: a text is not valid Unicode");
        }
    }

    /// <summary>Draws the devices of a share: round(share × count) of them, the same for the same seed and identities.</summary>
    public static int[] Draw(IReadOnlyList<int> devices, double share, uint seed)
    {
        int[] drawn = [.. devices];
        int count = (int)Math.Round(share * drawn.Length, MidpointRounding.AwayFromZero);
        var random = new SeededRandom(seed);
        for (int i = 0; i < count; i++)
        {
            int other = i + random.Next(drawn.Length - i);
            (drawn[i], drawn[other]) = (drawn[other], drawn[i]);
        }

        return drawn[..count];
    }

    private static HubFaultOrder Read(JsonReading json)
    {
        if (!json.Has("kind"))
        {
            throw new BadInputException($"$.kind: missing; allowed: {string.Join(", ", HubFaultKinds.All)}");
        }

        string name = json.Choice("kind", "", HubFaultKinds.All);
        var kind = (HubFaultKind)HubFaultKinds.All.ToList().IndexOf(name);
        long? forMs = json.Duration("for", minMs: 1, ForMsMax);
        if (forMs is not null && kind.IsMoment())
        {
            throw new BadInputException($"$.for: {name} is a moment and does not last");
        }

        var order = new HubFaultOrder
        {
            Kind = kind,
            ForMs = forMs,
            Reset = kind == HubFaultKind.TcpDrop && json.Choice("how", "fin", ["fin", "rst"]) == "rst",
            Code = kind == HubFaultKind.Refuse ? (byte)(json.Whole("code", 1, 5) ?? 5) : (byte)5,
            ByMs = kind != HubFaultKind.AckDelay ? 0
                : json.Duration("by", minMs: 1, ByMsMax)
                    ?? throw new BadInputException("$.by: missing; how late, as text like \"00:00:05\""),
            Devices = json.Has("devices") ? ReadIds(json) : null,
            Share = json.Real("share", 0, 1) is { } share ? CheckShare(share) : null,
            Seed = (uint)(json.Whole("seed", 0, uint.MaxValue) ?? 1),
        };
        bool isForAll = json.Flag("all", false);
        json.RefuseTheRest();
        int targets = (order.Devices is null ? 0 : 1) + (order.Share is null ? 0 : 1) + (isForAll ? 1 : 0);
        return targets == 1 ? order
            : throw new BadInputException("$: exactly one of devices, share and all must say whom it is for");
    }

    private static double CheckShare(double share) =>
        share > 0 ? share : throw new BadInputException("$.share: 0 is nobody; allowed: above 0, at most 1");

    private static List<string> ReadIds(JsonReading json)
    {
        var ids = new List<string>();
        foreach ((JsonElement value, string path) in json.Items("devices"))
        {
            ids.Add(value.ValueKind == JsonValueKind.String ? value.GetString()!
                : throw new BadInputException($"{path}: expected a device id, found {JsonReading.KindName(value)}"));
        }

        return ids.Count > 0 ? ids : throw new BadInputException("$.devices: empty; name at least one device");
    }
}
