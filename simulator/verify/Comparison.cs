using System.Globalization;

namespace Agent.Verify;

/// <summary>One property of the two timelines.</summary>
/// <param name="Name">What was compared.</param>
/// <param name="Agrees">Whether it is the same, within the tolerance.</param>
/// <param name="Genuine">As the genuine SDK had it.</param>
/// <param name="Model">As the model had it.</param>
public sealed record Check(string Name, bool Agrees, string Genuine, string Model);

/// <summary>One line of the two timelines side by side; null where one of them has nothing to show.</summary>
/// <param name="GenuineMs">Moment, ms since the first CONNECT.</param>
/// <param name="Genuine">Event.</param>
/// <param name="ModelMs">Moment in the model device that came nearest.</param>
/// <param name="Model">Its event.</param>
/// <param name="DifferenceMs">
/// Genuine less model, of the length of time that decides (<see cref="Place.LengthMs"/>). So a difference shows once, where it
/// arises, and not in every line after it.
/// </param>
/// <param name="Agrees">Whether the line is the same, within the tolerance.</param>
public sealed record Row(double? GenuineMs, string Genuine, double? ModelMs, string Model, double? DifferenceMs, bool Agrees);

/// <summary>What comparing one case found.</summary>
public sealed record CaseResult(
    VerifyCase Case, bool Agrees, IReadOnlyList<Check> Checks, IReadOnlyList<Row> Rows, IReadOnlyList<string> Notes,
    IReadOnlyList<Step> Genuine, IReadOnlyList<Step> Model);

/// <summary>Lays a genuine client's timeline beside those of many model devices.</summary>
public sealed class Comparison
{
    private readonly Tolerance tolerance;
    private readonly Story genuine;
    private readonly Story model;
    private readonly List<Story> devices;
    private readonly Dictionary<PlaceKey, (double Min, double Max)> bands = [];
    private readonly List<Check> checks = [];
    private readonly List<Row> rows = [];
    private readonly List<(string Genuine, string Model, bool Agrees)> retries = [];

    private Comparison(Tolerance tolerance, Story genuine, List<Story> devices, IEnumerable<Story> refused)
    {
        this.tolerance = tolerance;
        this.genuine = genuine;
        this.devices = devices;
        Story nearest = devices.MaxBy(story => Likeness(story.Shape, genuine.Shape))!;
        List<Story> peers = devices.FindAll(story => story.Shape.SequenceEqual(nearest.Shape));
        IEnumerable<Place> retries = refused.SelectMany(story => story.Places()).Where(place => IsRetry(place.Key));
        foreach (Place place in peers.SelectMany(story => story.Places()).Where(place => !IsRetry(place.Key)).Concat(retries))
        {
            bands[place.Key.Band] = bands.TryGetValue(place.Key.Band, out (double Min, double Max) band)
                ? (Math.Min(band.Min, place.LengthMs), Math.Max(band.Max, place.LengthMs))
                : (place.LengthMs, place.LengthMs);
        }

        model = peers.MinBy(Distance)!;

        static bool IsRetry(PlaceKey key) => key is { Line: 0, Try: > 1 };
    }

    /// <summary>Compares.</summary>
    /// <param name="verifyCase">What was played.</param>
    /// <param name="tolerance">How far apart they may be.</param>
    /// <param name="genuine">Timeline of the genuine client.</param>
    /// <param name="devices">Timelines of the model's devices, at least one.</param>
    /// <param name="refused">Timelines of devices that go on being refused, for the bands of single retries.</param>
    public static CaseResult Of(
        VerifyCase verifyCase, Tolerance tolerance, IReadOnlyList<Step> genuine, IReadOnlyList<IReadOnlyList<Step>> devices,
        IReadOnlyList<IReadOnlyList<Step>> refused)
    {
        var stories = devices.Select(Story.Of).ToList();
        var comparison = new Comparison(tolerance, Story.Of(genuine), stories, refused.Select(Story.Of));
        comparison.Compare();
        IReadOnlyList<Step> modelTimeline = devices[stories.IndexOf(comparison.model)];
        return new CaseResult(
            verifyCase, comparison.checks.TrueForAll(check => check.Agrees), comparison.checks, comparison.rows,
            [.. comparison.Notes()], genuine, modelTimeline);
    }

    private void Compare()
    {
        Align();
        CheckOrder();
        CheckMoments();
        CheckGaps();
        CheckRetries();
        CheckFields();
        CheckSubscriptions();
        Add("state at the end", State(genuine), State(model));
    }

    private void CheckOrder()
    {
        int same = SamePrefix(model.Shape, genuine.Shape);
        bool equal = same == model.Shape.Count && same == genuine.Shape.Count;
        checks.Add(equal
            ? new Check("order of events", true, $"{same} kinds of line", "the same")
            : new Check("order of events", false, Line(genuine, same), Line(model, same)));
        Add("DISCONNECT before its close", Count(genuine), Count(model));

        static string Line(Story story, int index) =>
            $"line {index + 1}: {(index < story.Shape.Count ? story.Shape[index] : "nothing more")}";

        static string Count(Story story) => string.Create(
            CultureInfo.InvariantCulture,
            $"{story.Attempts.Count(one => one.Rest is [.., { Kind: StepKind.Disconnect }, { Kind: StepKind.Close }])} times");
    }

    // Ends of connections: a renewal, or the hub's cut when the client has none.
    private void CheckMoments()
    {
        (List<Place> ours, List<Place> theirs) = (Ends(genuine), Ends(model));
        bool agrees = ours.Count == theirs.Count
            && ours.Zip(theirs).All(pair => IsInside(pair.First, tolerance.TimeMs));
        checks.Add(new Check("lengths of connections, s", agrees, Lengths(ours), Lengths(theirs)));

        static List<Place> Ends(Story story)
        {
            var ends = new List<Place>();
            foreach (Place place in story.Places().Where(place => place.Key.Accepted))
            {
                if (place.Step.Kind == StepKind.Disconnect
                    || (place.Step.Kind == StepKind.Close && !(ends is [.., { Step.Kind: StepKind.Disconnect } last]
                        && last.Key.Gap == place.Key.Gap)))
                {
                    ends.Add(place);
                }
            }

            return ends;
        }

        static string Lengths(List<Place> places) =>
            places.Count == 0 ? "none" : string.Join(
                ", ", places.Select(place => Seconds(place.LengthMs) + (place.PastExpiry ? " past expiry" : "")));
    }

    private void CheckGaps()
    {
        var band = devices.SelectMany(story => story.Gaps()).GroupBy(gap => gap.Gap).ToDictionary(
            group => group.Key,
            group => (Min: group.Min(gap => gap.LengthMs), Max: group.Max(gap => gap.LengthMs),
                Fewest: group.Min(gap => gap.Refused), Most: group.Max(gap => gap.Refused)));
        var ours = genuine.Gaps().ToList();
        bool agrees = ours.TrueForAll(gap => band.TryGetValue(gap.Gap, out var allowed)
            && gap.LengthMs >= allowed.Min - tolerance.TimeMs && gap.LengthMs <= allowed.Max + tolerance.TimeMs);
        checks.Add(new Check(
            "gaps, s from close to CONNACK", agrees,
            ours.Count == 0 ? "none" : string.Join(", ", ours.Select(gap => Seconds(gap.LengthMs))),
            band.Count == 0 ? "none" : string.Join(", ", band.Values.Select(gap => Range(gap.Min, gap.Max)))));

        bool triesAgree = ours.TrueForAll(gap => !band.TryGetValue(gap.Gap, out var allowed)
            || (gap.Refused >= allowed.Fewest - tolerance.Tries && gap.Refused <= allowed.Most + tolerance.Tries));
        if (ours.Exists(gap => gap.Refused > 0) || band.Values.Any(gap => gap.Most > 0))
        {
            checks.Add(new Check(
                "attempts refused", triesAgree,
                string.Join(", ", ours.Where(gap => gap.Refused > 0).Select(gap => Text(gap.Refused))),
                string.Join(", ", band.Values.Where(gap => gap.Most > 0).Select(gap => $"{gap.Fewest}..{gap.Most}"))));
        }
    }

    private void CheckRetries()
    {
        if (retries.Count > 0)
        {
            checks.Add(new Check(
                "retries, s after the close", retries.TrueForAll(retry => retry.Agrees),
                string.Join(", ", retries.Select(retry => retry.Genuine)), string.Join(", ", retries.Select(retry => retry.Model))));
        }
    }

    private void CheckFields()
    {
        ConnectFacts? ours = null, theirs = null;
        string difference = "";
        for (int i = 0; i < genuine.Attempts.Count && difference.Length == 0; i++)
        {
            ours = genuine.Attempts[i].Connect.Connect;
            theirs = Counterpart(i)?.Connect.Connect ?? theirs;
            difference = ours is null || theirs is null ? "" : Difference(ours, theirs);
        }

        string name = difference.Length == 0 ? "CONNECT fields" : "CONNECT field: " + difference;
        checks.Add(new Check(name, difference.Length == 0 && ours is not null, Describe(ours), Describe(theirs)));
    }

    private string Difference(ConnectFacts a, ConnectFacts b) =>
        a.KeepAliveSeconds != b.KeepAliveSeconds ? "keep-alive"
        : a.CleanSession != b.CleanSession ? "clean session"
        : a.HasWill != b.HasWill ? "will"
        : a.IdIsDevice != b.IdIsDevice ? "client id"
        : a.UserName != b.UserName ? "user name"
        : a.Client != b.Client ? "DeviceClientType"
        : a.TokenFields != b.TokenFields ? "order of the password"
        : Math.Abs(a.TokenSecondsLeft - b.TokenSecondsLeft) > tolerance.ExpirySeconds ? "seconds left of the token"
        : "";

    private static string Describe(ConnectFacts? facts) => facts is null ? "none" : string.Create(
        CultureInfo.InvariantCulture,
        $"keep-alive {facts.KeepAliveSeconds}, clean {(facts.CleanSession ? 1 : 0)}, will {(facts.HasWill ? 1 : 0)}, ")
        + string.Create(
            CultureInfo.InvariantCulture,
            $"token {facts.TokenFields} with {facts.TokenSecondsLeft} s left, {facts.Client}, {facts.UserName}");

    private void CheckSubscriptions() => Add("subscriptions per connection", Subscriptions(genuine), Subscriptions(model));

    private static string Subscriptions(Story story) => string.Join(" | ", story.Attempts.Where(attempt => attempt.IsAccepted)
        .Select(attempt => string.Join("; ", attempt.Rest.Where(step => step.Kind == StepKind.Subscribe).Select(step => step.Text)))
        .Select(text => text.Length == 0 ? "none" : text));

    private IEnumerable<string> Notes()
    {
        string? ours = genuine.Attempts.Select(attempt => attempt.Connect.Connect?.ClientVersion).FirstOrDefault();
        string? theirs = model.Attempts.Select(attempt => attempt.Connect.Connect?.ClientVersion).FirstOrDefault();
        if (ours is { Length: > 0 } && ours != theirs)
        {
            yield return $"the genuine SDK is version {ours}, the model describes {theirs}";
        }
    }

    // Connection by connection: refused attempts by their number, then the accepted one line by line.
    private void Align()
    {
        Dictionary<PlaceKey, Place> ours = ByPlace(genuine);
        Dictionary<PlaceKey, Place> theirs = ByPlace(model);
        foreach (PlaceKey key in ours.Keys.Union(theirs.Keys)
            .OrderBy(key => key.Gap).ThenBy(key => key.Accepted).ThenBy(key => key.Try).ThenBy(key => key.Line))
        {
            Place? left = ours.TryGetValue(key, out Place a) ? a : null;
            Place? right = theirs.TryGetValue(key, out Place b) ? b : null;
            if (key is { Accepted: false, Line: > 0 })
            {
                continue; // Its CONNACK and close are in the attempt's own line.
            }

            string suffix = key.Accepted ? "" : " refused";
            rows.Add(new Row(
                left?.Step.AtMs, left is null ? "" : left.Value.Step.Title + suffix,
                right?.Step.AtMs, right is null ? "" : right.Value.Step.Title + suffix,
                left?.LengthMs - right?.LengthMs, Agrees(key, left, right)));
        }
    }

    private bool Agrees(PlaceKey key, Place? left, Place? right)
    {
        if (left is not { } ours)
        {
            return !key.Accepted; // A retry more in this one model device.
        }

        bool isRetry = key.Line == 0 && key.Gap > 0 && IsAfterDrop(key.Gap);
        bool inside = IsInside(ours, isRetry ? tolerance.RetryMs : tolerance.TimeMs);
        if (isRetry)
        {
            string band = bands.TryGetValue(ours.Key.Band, out (double Min, double Max) allowed)
                ? Range(allowed.Min, allowed.Max) : "none";
            retries.Add((Seconds(ours.LengthMs), band, inside));
        }

        return inside && (right is { } theirs ? theirs.Step.Title == ours.Step.Title : !key.Accepted);
    }

    private bool IsInside(Place place, double toleranceMs)
    {
        // A try that none of the model's devices needed is judged by their number, not by its moment.
        if (!bands.TryGetValue(place.Key.Band, out (double Min, double Max) band))
        {
            return place.Key.Line == 0 && place.Key.Try > 1;
        }

        return place.LengthMs >= band.Min - toleranceMs && place.LengthMs <= band.Max + toleranceMs;
    }

    private bool IsAfterDrop(int gap) =>
        genuine.Attempts.Where(attempt => attempt.IsAccepted).ElementAtOrDefault(gap - 1)?.Close is { Text: "hub" };

    // The same attempt on the other side: refused ones by number, accepted ones by what came before them.
    private Attempt? Counterpart(int index)
    {
        Place ours = genuine.Places().Where(place => place.Key.Line == 0).ElementAt(index);
        PlaceKey key = ours.Key.Accepted ? ours.Key with { Try = 0 } : ours.Key;
        int i = 0;
        foreach (Place place in model.Places().Where(place => place.Key.Line == 0))
        {
            if ((place.Key.Accepted ? place.Key with { Try = 0 } : place.Key) == key)
            {
                return model.Attempts[i];
            }

            i++;
        }

        return null;
    }

    private static Dictionary<PlaceKey, Place> ByPlace(Story story) => story.Places().ToDictionary(
        place => place.Key.Accepted ? place.Key with { Try = 0 } : place.Key);

    private double Distance(Story story)
    {
        double tries = Math.Abs(story.Attempts.Count - genuine.Attempts.Count) * 1e9;
        return tries + story.Attempts.Zip(genuine.Attempts).Sum(pair => Math.Abs(pair.First.Connect.AtMs - pair.Second.Connect.AtMs));
    }

    private void Add(string name, string ours, string theirs) => checks.Add(new Check(name, ours == theirs, ours, theirs));

    private static int SamePrefix(IReadOnlyList<string> a, IReadOnlyList<string> b)
    {
        int same = 0;
        while (same < a.Count && same < b.Count && a[same] == b[same])
        {
            same++;
        }

        return same;
    }

    private static int Likeness(IReadOnlyList<string> a, IReadOnlyList<string> b) =>
        (SamePrefix(a, b) * 1000) - Math.Abs(a.Count - b.Count);

    private static string State(Story story) => story.Attempts.Count == 0 ? "never connected"
        : story.EndsConnected ? "connected" : "not connected";

    private static string Seconds(double ms) => (ms / 1000).ToString("0.000", CultureInfo.InvariantCulture);

    private static string Range(double min, double max) => min == max ? Seconds(min) : $"{Seconds(min)}..{Seconds(max)}";

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
