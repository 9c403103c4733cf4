namespace Agent.Service;

/// <summary>What the checker says about a device. The numbers are written to disk and stay as they are.</summary>
public enum Status : byte
{
    /// <summary>Nothing is known from which a deadline or a connection follows.</summary>
    Unknown = 0,

    /// <summary>Every heartbeat that is due has come; or, for a device without heartbeats, the hub says it is connected.</summary>
    Online = 1,

    /// <summary>One heartbeat is overdue; or, without heartbeats, the hub says it is disconnected and it may yet come back.</summary>
    Late = 2,

    /// <summary>As many heartbeats in a row as the settings say have not come; or it has been disconnected for too long.</summary>
    Silent = 3,

    /// <summary>In a reconnect that was announced by its heartbeat or follows its rhythm.</summary>
    Renewing = 4,

    /// <summary>Alive, but it comes and goes without a rhythm.</summary>
    Flapping = 5,

    /// <summary>Deleted from the hub's registry and not heard since.</summary>
    Retired = 6,
}

/// <summary>Why a device has its status. The numbers are written to disk and stay as they are.</summary>
public enum Cause : byte
{
    /// <summary>Nothing to explain.</summary>
    None = 0,

    /// <summary>Its heartbeat said that it would renew its token now.</summary>
    AnnouncedRenewal = 1,

    /// <summary>It reconnects at a regular period and this is the moment.</summary>
    RhythmicRenewal = 2,

    /// <summary>It went to renew its token, as announced or by its rhythm, and did not come back.</summary>
    RenewalFailed = 3,

    /// <summary>Quiet, and no word from the hub: power, network, or the program hangs.</summary>
    NoWord = 4,

    /// <summary>The hub reported it disconnected; Event Grid's events carry no reason (facts/iothub.md §4).</summary>
    HubReportsDisconnect = 5,

    /// <summary>404104: the connection ended without a goodbye: power, network, or keep-alive not answered.</summary>
    ClosedRemotely = 6,

    /// <summary>401002, 401003: token expired or not accepted: clock, key or an unknown device.</summary>
    TokenRejected = 7,

    /// <summary>400027, 409002: another connection took the identity.</summary>
    TakenOver = 8,

    /// <summary>403012: the device is disabled.</summary>
    Disabled = 9,

    /// <summary>403002: the hub's daily quota of messages is used up.</summary>
    QuotaExceeded = 10,

    /// <summary>429xxx: the hub throttles.</summary>
    Throttled = 11,

    /// <summary>500xxx, 503xxx: trouble in the hub.</summary>
    HubTrouble = 12,

    /// <summary>It disconnected cleanly and stayed away: stopped on purpose, or its application waits.</summary>
    SaidGoodbye = 13,

    /// <summary>It connects again and again without a rhythm.</summary>
    Unsteady = 14,

    /// <summary>Deleted from the registry.</summary>
    Deleted = 15,

    /// <summary>The hub logged an error this program has no row for.</summary>
    OtherHubError = 16,
}

/// <summary>The codes of the hub's Connections log (facts/iothub.md §2) as one byte each.</summary>
public static class HubCodes
{
    /// <summary>No record yet.</summary>
    public const byte None = 0;

    /// <summary>A clean disconnect: level Information, no code.</summary>
    public const byte Clean = 1;

    /// <summary>An error whose code is not listed here.</summary>
    public const byte Other = 2;

    private const int FirstListed = 3;

    private static readonly (int Code, Cause Cause)[] Listed =
    [
        (404104, Cause.ClosedRemotely),
        (401002, Cause.TokenRejected),
        (401003, Cause.TokenRejected),
        (400027, Cause.TakenOver),
        (409002, Cause.TakenOver),
        (403012, Cause.Disabled),
        (403002, Cause.QuotaExceeded),
        (429000, Cause.Throttled),
        (429001, Cause.Throttled),
        (429002, Cause.Throttled),
        (429003, Cause.Throttled),
        (429005, Cause.Throttled),
        (500001, Cause.HubTrouble),
        (500008, Cause.HubTrouble),
        (503000, Cause.HubTrouble),
        (503001, Cause.HubTrouble),
        (503005, Cause.HubTrouble),
    ];

    /// <summary>The byte of a code as logged, such as 404104.</summary>
    public static byte Pack(int code)
    {
        int index = Array.FindIndex(Listed, entry => entry.Code == code);
        return index < 0 ? Other : (byte)(index + FirstListed);
    }

    /// <summary>The code as logged; null = none, clean, or not listed.</summary>
    public static int? Number(byte packed) =>
        packed >= FirstListed && packed - FirstListed < Listed.Length ? Listed[packed - FirstListed].Code : null;

    /// <summary>What the code means for a device that stays away.</summary>
    public static Cause CauseOf(byte packed) => packed switch
    {
        None => Cause.NoWord,
        Clean => Cause.SaidGoodbye,
        Other => Cause.OtherHubError,
        _ => packed - FirstListed < Listed.Length ? Listed[packed - FirstListed].Cause : Cause.OtherHubError,
    };

    /// <summary>
    /// Of two codes of one moment the one that explains more: 401003 comes with a 404104 of the same instant (facts/iothub.md §1.4), and
    /// any error says more than "clean".
    /// </summary>
    public static byte Stronger(byte a, byte b) => Rank(a) >= Rank(b) ? a : b;

    // 404104 accompanies other codes, so it is the weakest error. The byte itself breaks ties, whichever came first.
    private static int Rank(byte packed) => packed == FirstListed ? 2 : packed + FirstListed;
}
