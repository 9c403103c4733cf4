using System.Globalization;
using Agent.Core;
using Agent.Wire;

namespace Agent.Host;

/// <summary>The PC's two clocks, read together. The one place of this program that asks what time it is.</summary>
internal sealed class HostClock(TimeProvider time)
{
    // 2025-01-01. A PC whose battery is flat starts in the past; a token made then would only be refused.
    private const long PlausibleUtcSeconds = 1_735_689_600;

    public Now Read()
    {
        long utcSeconds = time.GetUtcNow().ToUnixTimeSeconds();
        return new Now(time.NowMs(), utcSeconds, utcSeconds >= PlausibleUtcSeconds);
    }

    /// <summary>The date and time for a log line.</summary>
    public string Stamp() => time.GetUtcNow().ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
}
