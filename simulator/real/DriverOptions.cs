using System.Diagnostics;
using System.Globalization;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;

namespace Agent.Real;

/// <summary>The arguments and the output that all drivers share; README.md beside this file is the contract.</summary>
internal sealed class DriverOptions
{
    private static readonly long Started = Stopwatch.GetTimestamp();

    public string ConnectionString { get; private set; } = "";

    public string AuthorityPath { get; private set; } = "";

    public int? LifetimeSeconds { get; private set; }

    public double? MarginSeconds { get; private set; }

    public double Seconds { get; private set; } = 60;

    public double HeartbeatSeconds { get; private set; }

    public IReadOnlyList<string> Features { get; private set; } = [];

    /// <summary>Reads them; null after it has said what is wrong.</summary>
    public static DriverOptions? Read(string[] arguments)
    {
        var options = new DriverOptions();
        for (int i = 0; i < arguments.Length; i += 2)
        {
            string value = i + 1 < arguments.Length ? arguments[i + 1] : "";
            if (!options.TryTake(arguments[i], value))
            {
                Console.Error.WriteLine($"driver: {arguments[i]} with this value is not understood; see simulator/real/README.md");
                return null;
            }
        }

        if (options.ConnectionString.Length == 0 || options.AuthorityPath.Length == 0)
        {
            Console.Error.WriteLine("driver: --connection-string and --ca are needed");
            return null;
        }

        return options;
    }

    /// <summary>Prints one line of the driver's own timeline.</summary>
    public static void Say(string name, params (string Key, object? Value)[] more)
    {
        var line = new Dictionary<string, object?>
        {
            ["t"] = Math.Round(Stopwatch.GetElapsedTime(Started).TotalSeconds, 3),
            ["event"] = name,
        };
        foreach ((string key, object? value) in more)
        {
            line[key] = value;
        }

        Console.WriteLine(JsonSerializer.Serialize(line));
    }

    /// <summary>Trusts the hub's own CA and nothing else; the host name must fit, too.</summary>
    public bool IsTrusted(X509Certificate? certificate, SslPolicyErrors errors)
    {
        if (certificate is null || (errors & ~SslPolicyErrors.RemoteCertificateChainErrors) != 0)
        {
            return false;
        }

        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.CustomTrustStore.ImportFromPemFile(AuthorityPath);
        using X509Certificate2 leaf = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
        return chain.Build(leaf);
    }

    /// <summary>Sends on the grid start + k × interval until told to stop; a slow send does not hold up the next.</summary>
    public async Task SendHeartbeatsAsync(Func<int, Task> sendAsync, CancellationToken stop)
    {
        if (HeartbeatSeconds <= 0)
        {
            return;
        }

        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(HeartbeatSeconds));
        for (int number = 1; await timer.WaitForNextTickAsync(stop); number++)
        {
            _ = SendOneAsync(sendAsync, number);
        }
    }

    private static async Task SendOneAsync(Func<int, Task> sendAsync, int number)
    {
        try
        {
            await sendAsync(number);
            Say("sent", ("sequence", number));
        }
        catch (Exception problem)
        {
            Say("error", ("during", "send"), ("sequence", number), ("message", problem.Message));
        }
    }

    private bool TryTake(string name, string value)
    {
        switch (name)
        {
            case "--connection-string":
                ConnectionString = value;
                return value.Length > 0;
            case "--ca":
                AuthorityPath = value;
                return File.Exists(value);
            case "--lifetime":
                bool isWhole = int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int lifetime);
                LifetimeSeconds = lifetime;
                return isWhole;
            case "--margin":
                bool isMargin = TryReadSeconds(value, out double margin);
                MarginSeconds = margin;
                return isMargin;
            case "--seconds":
                bool isLength = TryReadSeconds(value, out double seconds);
                Seconds = seconds;
                return isLength;
            case "--heartbeat":
                bool isInterval = TryReadSeconds(value, out double heartbeat);
                HeartbeatSeconds = heartbeat;
                return isInterval;
            case "--features":
                Features = value.Split(',', StringSplitOptions.RemoveEmptyEntries);
                return Features.All(feature => feature is "twin" or "methods" or "c2d");
            default:
                return false;
        }
    }

    private static bool TryReadSeconds(string text, out double seconds) =>
        double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out seconds);
}
