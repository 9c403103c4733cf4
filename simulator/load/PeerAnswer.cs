namespace Agent.Load;

/// <summary>What a fleet of somebody else's client answers to an order.</summary>
/// <remarks>
/// The part of a <see cref="FleetChild"/>'s answer that can be asked of any client: it knows of no lost device and of no faults by
/// name, and what its runtime spends on compiling and collecting is not compared.
/// </remarks>
public static class PeerAnswer
{
    /// <summary>The answer.</summary>
    /// <param name="result">What the order brought: <c>sent</c>, <c>unsent</c>, <c>failed</c>.</param>
    /// <param name="openCount">Connections open now.</param>
    /// <param name="acknowledgements">From sending to PUBACK.</param>
    /// <param name="lag">How late the sending was.</param>
    public static object Of(object result, int openCount, LatencyCounts acknowledgements, LatencyCounts lag)
    {
        ArgumentNullException.ThrowIfNull(acknowledgements);
        ArgumentNullException.ThrowIfNull(lag);
        ProcessFigures own = ProcessFigures.Own();
        return new
        {
            result,
            cpuMicros = own.CpuMicros,
            bytes = own.Bytes,
            open = openCount,
            lost = 0,
            faults = new Dictionary<string, int>(),
            acknowledgements = acknowledgements.Pairs(),
            lag = lag.Pairs(),
        };
    }
}
