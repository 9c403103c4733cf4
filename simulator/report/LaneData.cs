using System.Text;
using Agent.Hub;
using Agent.World;

namespace Agent.Report;

/// <summary>
/// The stretches of a lane as the page's script reads them: <c>gap.length.reason</c>, then <c>.count</c> where several
/// connections were put together, numbers in base 36, lengths in ms, separated by blanks.
/// </summary>
internal static class LaneData
{
    private const string Digits = "0123456789abcdefghijklmnopqrstuvwxyz";

    // An outage longer than this share of the run is never hidden inside a group of connections.
    private const int GapsKept = 500;

    /// <summary>Whether the hub's log would call the end of a connection an error.</summary>
    public static bool IsError(Reason reason) =>
        reason is not (Reason.None or Reason.Renewal or Reason.ClientDisconnect);

    /// <summary>Encodes a lane in about <paramref name="entriesMax"/> entries.</summary>
    public static string Encode(IReadOnlyList<LaneStretch> lane, long runForMs, int entriesMax)
    {
        int perGroup = Math.Max(1, (lane.Count + entriesMax - 1) / entriesMax);
        var text = new StringBuilder();
        long endMs = 0;
        for (int first = 0; first < lane.Count;)
        {
            int count = 1;
            Reason reason = lane[first].Reason;
            while (count < perGroup && first + count < lane.Count
                && lane[first + count].FromMs - lane[first + count - 1].ToMs <= runForMs / GapsKept)
            {
                Reason other = lane[first + count].Reason;
                reason = IsError(reason) ? reason : other;
                count++;
            }

            long fromMs = Math.Max(endMs, lane[first].FromMs);
            long toMs = Math.Max(fromMs, lane[first + count - 1].ToMs);
            Put(text, fromMs - endMs).Append('.');
            Put(text, toMs - fromMs).Append('.');
            Put(text, (byte)reason);
            if (count > 1)
            {
                Put(text.Append('.'), count);
            }

            text.Append(' ');
            endMs = toMs;
            first += count;
        }

        return text.ToString().TrimEnd();
    }

    /// <summary>The faults of a fleet: <c>start.length.kind</c>, the kind by its name.</summary>
    public static string Encode(IEnumerable<FaultPlan> faults)
    {
        var text = new StringBuilder();
        foreach (FaultPlan fault in faults)
        {
            Put(text, fault.AtMs).Append('.');
            Put(text, fault.ForMs ?? 0).Append('.').Append(fault.Kind).Append(' ');
        }

        return text.ToString().TrimEnd();
    }

    /// <summary>Names of the reasons that occur, for tooltips: <c>1i:renewal 10e:tokenExpired</c>, numbers in base 36.</summary>
    public static string ReasonNames(IEnumerable<FleetResult> fleets)
    {
        var text = new StringBuilder();
        foreach (Reason reason in fleets.SelectMany(fleet => fleet.Lane).Select(stretch => stretch.Reason).Distinct().Order())
        {
            Put(text, (byte)reason).Append(IsError(reason) ? "e:" : "i:").Append(reason.Name()).Append(' ');
        }

        return text.ToString().TrimEnd();
    }

    private static StringBuilder Put(StringBuilder text, long number)
    {
        Span<char> buffer = stackalloc char[13];
        int at = buffer.Length;
        do
        {
            buffer[--at] = Digits[(int)(number % 36)];
            number /= 36;
        }
        while (number > 0);
        return text.Append(buffer[at..]);
    }
}
