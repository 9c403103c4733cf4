using System.Security.Cryptography.X509Certificates;

namespace Agent.Events;

/// <summary>Where something is delivered and how; what event and log delivery have in common.</summary>
/// <remarks>
/// The cloud delivers to https with a certificate of a public authority only. Here http is allowed and the roots to trust can be
/// named: the receiver under test stands on the same machine, or in the next container.
/// </remarks>
public record DeliveryOptions
{
    /// <summary>As <see cref="TryReadUrl"/> reads it.</summary>
    public required Uri Url { get; init; }

    /// <summary>
    /// Name of the subscription, 3 to 64 letters, digits and dashes: in a header, and a folder of the dead letters. Written
    /// in capitals, as the cloud does.
    /// </summary>
    public string Name { get; init; } = "LOCAL";

    /// <summary>Retries, batches, scale of time.</summary>
    public DeliveryPolicy Policy { get; init; } = new();

    /// <summary>How much may wait.</summary>
    public QueueLimits Limits { get; init; } = QueueLimits.Default;

    /// <summary>Where dead letters go; null = nowhere, events given up are dropped, as in the cloud by default.</summary>
    public string? DeadLetterFolder { get; init; }

    /// <summary>Requests on the wire at a time. Event Grid sends in parallel and promises no order.</summary>
    public int ParallelMax { get; init; } = 8;

    /// <summary>How long a receiver has for its answer: 30 s (facts/iothub.md section 4).</summary>
    public TimeSpan AnswerWithin { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long every event waits before its first attempt.</summary>
    public TimeSpan HoldBack { get; init; }

    /// <summary>How long a hub that ends goes on delivering what is new, before the rest becomes dead letters.</summary>
    public TimeSpan StopWithin { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Trusted instead of the system's authorities when the receiver speaks https; null = the system's.</summary>
    public X509Certificate2Collection? TrustedRoots { get; init; }

    /// <summary>The only clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Uniform random numbers, for the randomisation of waits.</summary>
    public Func<uint> Draw { get; init; } = () => (uint)Random.Shared.NextInt64(1L << 32);

    /// <summary>Told how each request went, on a pool thread and outside every lock.</summary>
    public Action<DeliveryNote>? OnNote { get; init; }

    /// <summary>What is wrong with the options; null = nothing.</summary>
    public string? FindProblem() =>
        Name.Length is < 3 or > 64 || !Name.All(c => char.IsAsciiLetterOrDigit(c) || c == '-')
            ? "subscription name: allowed are 3 to 64 letters, digits and dashes"
            : Policy.FindProblem();

    /// <summary>Reads what a person gives as the address of a webhook. False with what is wrong with it.</summary>
    public static bool TryReadUrl(string text, out Uri url, out string problem)
    {
        problem = "";
        if (Uri.TryCreate(text, UriKind.Absolute, out url!)
            && (url.Scheme == Uri.UriSchemeHttp || url.Scheme == Uri.UriSchemeHttps)
            && url.UserInfo.Length == 0 && url.Fragment.Length == 0)
        {
            return true;
        }

        // The text may hold a secret and is not repeated.
        problem = "not an address of a webhook: allowed is http://HOST[:PORT]/PATH[?QUERY] or https://… without user name and #";
        url = new Uri("http://localhost/");
        return false;
    }

    /// <summary>The address without its query, which may hold a secret.</summary>
    internal string ShownUrl => Url.GetLeftPart(UriPartial.Path);
}

/// <summary>What happened to a subscription.</summary>
public enum DeliveryNoteKind : byte
{
    /// <summary>A handshake was tried.</summary>
    Handshake,

    /// <summary>A request with events ended.</summary>
    Attempt,

    /// <summary>Dead letters were written, or could not be.</summary>
    DeadLetters,
}

/// <summary>One thing that happened to a subscription.</summary>
/// <param name="Kind">What it is about.</param>
/// <param name="EventCount">Events concerned.</param>
/// <param name="Attempt">The how-manieth attempt, from 1.</param>
/// <param name="Outcome">How it went.</param>
/// <param name="Status">HTTP status; 0 = none.</param>
/// <param name="Verdict">What follows.</param>
/// <param name="WaitMs">In how many ms.</param>
/// <param name="Reason">Why it was given up, or what is wrong.</param>
public readonly record struct DeliveryNote(
    DeliveryNoteKind Kind, int EventCount, int Attempt, DeliveryOutcome Outcome, int Status, DeliveryVerdict Verdict, long WaitMs,
    string? Reason)
{
    /// <summary>Whether a person watching wants to know. What went well goes without saying.</summary>
    public bool IsTrouble => Kind == DeliveryNoteKind.Handshake || Verdict != DeliveryVerdict.Delivered;

    /// <summary>One line, without the address.</summary>
    public string Text => (Kind, Verdict) switch
    {
        (DeliveryNoteKind.Handshake, DeliveryVerdict.Delivered) => "the receiver wants the events",
        (DeliveryNoteKind.Handshake, DeliveryVerdict.Retry) => $"handshake: {Reason}; next attempt in {Seconds} s",
        (DeliveryNoteKind.Handshake, _) => $"handshake: {Reason}; no events will be delivered",
        (DeliveryNoteKind.DeadLetters, DeliveryVerdict.Retry) => $"{EventCount} dead letters not written: {Reason}",
        (DeliveryNoteKind.DeadLetters, _) => $"{EventCount} dead letters written",
        (_, DeliveryVerdict.Delivered) => $"{EventCount} delivered",
        (_, DeliveryVerdict.Retry) => $"{EventCount} not taken ({How}), attempt {Attempt}; next in {Seconds} s",
        _ => $"{EventCount} given up ({How}) after {Attempt} attempts: {Reason}",
    };

    private string How => Status == 0 ? Outcome.ToString() : $"{Status} {Outcome}";

    private string Seconds => (WaitMs / 1000.0).ToString("0.#", System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>Counts since the start.</summary>
/// <param name="Delivered">Events taken by the receiver.</param>
/// <param name="DeadLettered">Events written to the dead letters.</param>
/// <param name="Dropped">Events lost.</param>
/// <param name="Overflowed">Events that found the queue full; they are among the dead-lettered or dropped as well.</param>
/// <param name="Waiting">Events not done with.</param>
public readonly record struct DeliveryCounts(long Delivered, long DeadLettered, long Dropped, long Overflowed, int Waiting);
