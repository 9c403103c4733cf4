namespace Agent.Fleet;

/// <summary>
/// The token rule both .NET SDKs share: a token is used again for as long as more than a share of its life remains
/// (facts: sdk-renewal §3, items 1 and 8).
/// </summary>
internal static class CachedToken
{
    /// <summary>The expiry to put into a CONNECT that is being built now, seconds since 1970.</summary>
    public static long Expiry(ref ClientState device, Turn turn, long lifetimeSeconds, double bufferShare)
    {
        double nowSeconds = turn.UtcMs / 1000.0;
        double percent = Math.Round(bufferShare * 100); // The SDK's option is a whole percentage.
        long bufferSeconds = (long)(lifetimeSeconds * percent / 100);
        return device.TokenExpiry != 0 && device.TokenExpiry - nowSeconds > bufferSeconds
            ? device.TokenExpiry
            : (long)Math.Round(nowSeconds + lifetimeSeconds, MidpointRounding.ToEven);
    }
}
