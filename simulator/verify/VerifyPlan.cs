using System.Globalization;
using Agent.Fleet;
using Agent.Input;

namespace Agent.Verify;

/// <summary>What is to be verified, checked: an SDK, its token, the cases.</summary>
public sealed record VerifyPlan
{
    // So many devices that the k-th retry of a jittered schedule fills its band.
    public const int ModelDevices = 1000;

    // A shorter cycle would be nothing but the tolerance.
    private const double CycleSecondsMin = 4;
    private const long LifetimeSecondsMax = 86_400;
    private const long ReturnWithinMs = 300_000;

    public required GenuineSdk Sdk { get; init; }

    public required ClientSettings Settings { get; init; }

    /// <summary>How long the hub lets an expired token live, seconds: short, so that clients that never renew take part too.</summary>
    public required long GraceSeconds { get; init; }

    public required IReadOnlyList<VerifyCase> Cases { get; init; }

    public required Tolerance Tolerance { get; init; }

    public long LifetimeSeconds => Settings.LifetimeSeconds!.Value;

    /// <summary>Reads what the user gave.</summary>
    /// <exception cref="BadInputException">Unknown or impossible.</exception>
    public static VerifyPlan Make(string sdk, double? lifetime, double? margin, string? cases)
    {
        GenuineSdk genuine = GenuineSdk.Find(sdk) ?? throw new BadInputException(
            $"SDK: unknown \"{JsonReading.Clip(sdk)}\"; allowed: {string.Join(", ", GenuineSdk.All.Select(one => one.Id))}");
        long lifetimeSeconds = ReadLifetime(genuine, lifetime);
        var settings = new ClientSettings
        {
            LifetimeSeconds = lifetimeSeconds,
            RenewBeforeSeconds = ReadMargin(genuine, margin, lifetimeSeconds),
        };
        string[] names = (cases ?? string.Join(',', VerifyCase.Names)).Split(',', StringSplitOptions.TrimEntries);
        foreach (string name in names)
        {
            if (!VerifyCase.Names.Contains(name))
            {
                throw new BadInputException(
                    $"--case: unknown \"{JsonReading.Clip(name)}\"; allowed: {string.Join(", ", VerifyCase.Names)}");
            }
        }

        long graceSeconds = Math.Max(2, lifetimeSeconds / 6);
        double renewalSeconds = SdkCatalog.Create(genuine.Model, "source", settings, 1, 1).RenewalSeconds
            ?? lifetimeSeconds + graceSeconds;
        if (renewalSeconds < CycleSecondsMin)
        {
            throw new BadInputException(string.Create(
                CultureInfo.InvariantCulture,
                $"--lifetime: {genuine.Id} would renew after {renewalSeconds:0.###} s; allowed: {CycleSecondsMin} s or more"));
        }

        var plan = new VerifyPlan
        {
            Sdk = genuine,
            Settings = settings,
            GraceSeconds = graceSeconds,
            Cases = [.. VerifyCase.Plan(names, (long)(renewalSeconds * 1000), Math.Min(30_000, lifetimeSeconds * 500))],
            Tolerance = Tolerance.For(lifetimeSeconds),
        };
        return plan with { Cases = [.. plan.Cases.Select(plan.WithTimeToReturn)] };
    }

    // Whoever is refused comes back when its own schedule says so; the watch lasts until the latest has also renewed.
    private VerifyCase WithTimeToReturn(VerifyCase verifyCase)
    {
        if (verifyCase.RefuseForMs == 0)
        {
            return verifyCase;
        }

        double latestMs = ModelSide.Run(this, verifyCase with { RunForMs = verifyCase.RunForMs + ReturnWithinMs })
            .SelectMany(timeline => Story.Of(timeline).Gaps().Where(gap => gap.Gap == 1))
            .Select(gap => gap.LengthMs).DefaultIfEmpty().Max();
        return verifyCase with { RunForMs = verifyCase.RunForMs + (long)Math.Max(0, latestMs - verifyCase.RefuseForMs) };
    }

    private static long ReadLifetime(GenuineSdk genuine, double? given)
    {
        long shortest = genuine.FixedMarginSeconds + 4;
        if (given is not { } lifetime)
        {
            return genuine.FixedMarginSeconds + 60 - (genuine.FixedMarginSeconds > 0 ? 15 : 0);
        }

        if (lifetime != Math.Truncate(lifetime) || lifetime < shortest || lifetime > LifetimeSecondsMax)
        {
            string why = genuine.FixedMarginSeconds > 0 ? $" ({genuine.Id} always renews {genuine.FixedMarginSeconds} s before)" : "";
            throw new BadInputException(string.Create(
                CultureInfo.InvariantCulture,
                $"--lifetime: {lifetime} is no length for a token; allowed: whole seconds, {shortest} to {LifetimeSecondsMax}{why}"));
        }

        return (long)lifetime;
    }

    private static double? ReadMargin(GenuineSdk genuine, double? given, long lifetimeSeconds)
    {
        if (given is not { } margin)
        {
            return genuine.TakesMargin ? lifetimeSeconds / 4 : null;
        }

        if (!genuine.TakesMargin)
        {
            throw new BadInputException($"--margin: {genuine.Id} has none to set; leave it out");
        }

        if (!(margin > 0) || margin >= lifetimeSeconds)
        {
            throw new BadInputException(string.Create(
                CultureInfo.InvariantCulture,
                $"--margin: {margin} is no margin for a token of {lifetimeSeconds} s; allowed: more than 0, less than {lifetimeSeconds}"));
        }

        return margin;
    }
}

/// <summary>How far apart the two may be. Printed with every result.</summary>
/// <param name="TimeMs">Renewals, gaps, everything without chance in it.</param>
/// <param name="RetryMs">Outside the band of the model's devices at the same retry.</param>
/// <param name="Tries">Refused attempts more or fewer than the model's fewest and most.</param>
/// <param name="ExpirySeconds">Seconds left of the token at CONNECT.</param>
public sealed record Tolerance(double TimeMs, double RetryMs, int Tries, int ExpirySeconds)
{
    /// <summary>1 s or 1 % of the lifetime, whichever is more; a quarter of a second around a retry band.</summary>
    public static Tolerance For(long lifetimeSeconds) => new(Math.Max(1000, lifetimeSeconds * 10), 250, 1, 1);

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"times {TimeMs / 1000:0.##} s, retries {RetryMs / 1000:0.##} s around the band of {VerifyPlan.ModelDevices} model devices, ")
        + string.Create(CultureInfo.InvariantCulture, $"refused attempts {Tries}, token expiry {ExpirySeconds} s, the rest exact");
}
