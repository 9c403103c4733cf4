namespace Agent.Service;

/// <summary>The sites devices belong to: their names, how many devices each has, and how many of those are overdue.</summary>
/// <remarks>
/// A site is the message property <c>site</c>: written by the device, or stamped by the hub from the twin's tag with a message enrichment
/// (facts/iothub.md §7). At most 4,095 names are kept; devices of further ones belong to none.
/// </remarks>
public sealed class Sites
{
    /// <summary>Longest name in characters.</summary>
    public const int NameLengthMax = 64;

    private const int SitesMax = 4096;

    private readonly Dictionary<string, ushort> numbers = [];
    private readonly List<Site> sites = [new Site("")];

    /// <summary>One more than the highest number; number 0 stands for no site.</summary>
    public int Count => sites.Count;

    /// <summary>A site by its number.</summary>
    public Site this[int number] => sites[number];

    /// <summary>The number of a name, which is added when it is new and there is room; otherwise 0.</summary>
    public ushort NumberOf(string name)
    {
        if (name.Length == 0)
        {
            return 0;
        }

        if (numbers.TryGetValue(name, out ushort number))
        {
            return number;
        }

        if (sites.Count == SitesMax)
        {
            return 0;
        }

        number = (ushort)sites.Count;
        numbers.Add(name, number);
        sites.Add(new Site(name));
        return number;
    }

    /// <summary>The number of a name, or -1.</summary>
    public int Find(string name) => numbers.TryGetValue(name, out ushort number) ? number : -1;
}

/// <summary>One site.</summary>
public sealed class Site(string name)
{
    /// <summary>As the messages say; empty = no site.</summary>
    public string Name { get; } = name;

    /// <summary>Devices whose latest heartbeat names it.</summary>
    public int Devices { get; set; }

    /// <summary>Those of them that are late or silent.</summary>
    public int Overdue { get; set; }

    /// <summary>Whether an alarm for the whole site covers those of its devices.</summary>
    public bool IsLost { get; set; }
}
