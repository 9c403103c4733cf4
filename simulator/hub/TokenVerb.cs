namespace Agent.Hub;

/// <summary><c>simulator token</c>: prints a SAS token for a connection string, alone on standard output.</summary>
public static class TokenVerb
{
    private const long LifetimeSecondsMax = 10L * 366 * 24 * 3600;

    /// <summary>Returns the exit code: 0, or 2 with one line on <paramref name="error"/> that never quotes the key.</summary>
    /// <param name="connectionString">A device's or a service's.</param>
    /// <param name="lifetimeSeconds">Negative makes an expired token, which is what one tests with.</param>
    /// <param name="output">Gets the token.</param>
    /// <param name="error">Gets the problem.</param>
    /// <param name="time">The clock; null = the system's.</param>
    public static int Run(
        string? connectionString, long lifetimeSeconds, TextWriter output, TextWriter error, TimeProvider? time = null)
    {
        if (!ConnectionString.TryParse(connectionString, out ConnectionString? source, out string? problem))
        {
            error.WriteLine("--" + problem.Replace("connection string", "connection-string", StringComparison.Ordinal));
            return 2;
        }

        long now = (time ?? TimeProvider.System).GetUtcNow().ToUnixTimeSeconds();
        if (lifetimeSeconds is < -LifetimeSecondsMax or > LifetimeSecondsMax || now + lifetimeSeconds < 0)
        {
            error.WriteLine($"--lifetime {lifetimeSeconds}: allowed are -{LifetimeSecondsMax} to {LifetimeSecondsMax} seconds");
            return 2;
        }

        output.WriteLine(SasTokenWriter.Write(source, now + lifetimeSeconds));
        output.Flush();
        return 0;
    }
}
