using System.Globalization;

namespace Agent.Hub;

/// <summary>What a journal key is about.</summary>
public enum JournalKeyKind : byte
{
    /// <summary>None of ours.</summary>
    Unknown,

    /// <summary>An identity: <c>device/{id}</c> or <c>device/{id}/{module}</c>, and so on.</summary>
    Device,

    /// <summary><see cref="Twin.State"/>: <c>twin/{id}</c>.</summary>
    Twin,

    /// <summary>A waiting message: <c>command/{id}/{sequence}</c>.</summary>
    Command,

    /// <summary>What a session with CleanSession 0 remembers: <c>session/{id}</c>.</summary>
    Session,
}

/// <summary>
/// The keys under which the hub keeps things. Ids hold no slash; an identity goes by its <see cref="Hub.Device.FullId"/>.
/// </summary>
public static class JournalKeys
{
    public static string Device(string id) => "device/" + id;

    public static string Twin(string id) => "twin/" + id;

    public static string Session(string id) => "session/" + id;

    public static string Command(string id, long sequence) =>
        string.Create(CultureInfo.InvariantCulture, $"command/{id}/{sequence}");

    /// <summary>What a key is about, and whom.</summary>
    public static JournalKeyKind Parse(string key, out string id, out long sequence)
    {
        sequence = 0;
        string[] parts = key.Split('/');
        id = parts is [_, _, _] and not ["command", ..] ? $"{parts[1]}/{parts[2]}" : parts.Length > 1 ? parts[1] : "";
        return parts switch
        {
            ["device", _] or ["device", _, _] => JournalKeyKind.Device,
            ["twin", _] or ["twin", _, _] => JournalKeyKind.Twin,
            ["session", _] or ["session", _, _] => JournalKeyKind.Session,
            ["command", _, var number] when long.TryParse(
                number, NumberStyles.None, CultureInfo.InvariantCulture, out sequence) => JournalKeyKind.Command,
            _ => JournalKeyKind.Unknown,
        };
    }
}
