namespace Agent.Service.Alarms;

/// <summary>Where what is to be told waits until it has been told. The seam between the alarms and the store that keeps them.</summary>
/// <remarks>
/// <para>
/// Outbox pattern: a store puts the rows of an edge down in the same transaction as the edge itself (with
/// <see cref="Delivery.Append"/>), so after a crash either both are there or neither. That half is not here, because a transaction
/// is the store's own thing. Here is the other half, for whoever delivers.
/// </para>
/// <para>
/// A claim is a lease: no other claimer gets the row before it ends, and if the claimer dies the row is simply free again. So an edge can
/// be posted twice (posted, then died before <see cref="RecordAsync"/>), never be lost, and the receiver knows the repetition
/// by its id. Exactly once over HTTP without the receiver's help does not exist.
/// </para>
/// </remarks>
public interface IOutbox
{
    /// <summary>Leases rows of a destination that are due and not idle, oldest episode first.</summary>
    /// <param name="destination">Whose.</param>
    /// <param name="nowMs">UTC milliseconds.</param>
    /// <param name="leaseUntilMs">Until when nobody else gets them, UTC milliseconds.</param>
    /// <param name="count">At most so many, 1 or more.</param>
    ValueTask<IReadOnlyList<Delivery>> ClaimAsync(
        string destination, long nowMs, long leaseUntilMs, int count, CancellationToken cancellation);

    /// <summary>
    /// Writes down what became of a claimed row and ends the lease: everything of it but the notices, of which there may be more by now.
    /// Durable when it returns. A row that is over is forgotten, its number is not.
    /// </summary>
    ValueTask RecordAsync(Delivery row, CancellationToken cancellation);
}

/// <summary>The whole outbox, as the side that fills it sees it.</summary>
/// <remarks>Adding is safe to repeat, by the same process after a crash and by several replicas at once.</remarks>
public interface IAlarmOutbox : IOutbox, IAsyncDisposable
{
    /// <summary>Episodes not taken in because the outbox was full.</summary>
    long Overflown { get; }

    /// <summary>Rows that are not idle, for one destination.</summary>
    int Waiting(string destination);

    /// <summary>Makes a destination known; a new one hears of later episodes only.</summary>
    ValueTask IntroduceAsync(string destination, long lastEpisode);

    /// <summary>Adds edges for every destination that wants them. Kept when it returns.</summary>
    /// <returns>Whether anything is new.</returns>
    /// <exception cref="IOException">They are not kept.</exception>
    ValueTask<bool> AppendAsync(IReadOnlyList<Notice> notices, IReadOnlyList<Destination> destinations);
}
