using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Agent.Service.Mqtt;

/// <summary>Which broker to listen to, and as whom.</summary>
/// <remarks>
/// User and password come from a file or the environment, never from an argument or an address, which every user of the machine can
/// read. No text of this type shows them.
/// </remarks>
public sealed class MqttSettings
{
    /// <summary>The environment variables for user and password.</summary>
    public const string UserVariable = "AGENT_MQTT_USER", PasswordVariable = "AGENT_MQTT_PASSWORD";

    /// <summary>What <c>--help</c> says.</summary>
    public const string Help = $"""
          --mqtt mqtt[s]://HOST[:PORT] also takes heartbeats from a plain broker, --mqtt-topic PATTERN (default {TopicPattern.Default})
          says where the device's id stands, --mqtt-ca FILE whom to trust instead of the system's roots. User and password are two lines of
          --mqtt-login FILE, or in {UserVariable} and {PasswordVariable}.
        """;

    private const int PortPlain = 1883;
    private const int PortTls = 8883;
    private const int LoginBytesMax = 4096;

    /// <summary>Name or address of the broker; with TLS its certificate must carry it.</summary>
    public required string Host { get; init; }

    /// <summary>1 to 65535.</summary>
    public required int Port { get; init; }

    /// <summary>Whether the connection is TLS.</summary>
    public bool IsTls { get; init; }

    /// <summary>Roots to trust instead of the system's; null = the system's.</summary>
    public X509Certificate2Collection? Roots { get; init; }

    /// <summary>What to subscribe to, and who speaks.</summary>
    public required TopicPattern Topic { get; init; }

    /// <summary>User name; null = none is sent.</summary>
    public string? User { get; init; }

    /// <summary>Longest silence of the broker before the connection counts as lost, seconds, 1 to 65535.</summary>
    public ushort KeepAliveSeconds { get; init; } = 30;

    internal string? Password { get; init; }

    /// <summary>The options this reads.</summary>
    public static bool IsOption(string name) => name is "--mqtt" or "--mqtt-topic" or "--mqtt-ca" or "--mqtt-login";

    /// <summary>Puts the options together.</summary>
    /// <param name="options">Values by name: <c>--mqtt</c> and those that begin with it.</param>
    /// <param name="environment">Where user and password may be.</param>
    /// <param name="problem">What is wrong, in one line that begins with the option; empty = nothing.</param>
    public static MqttSettings? TryRead(
        IReadOnlyDictionary<string, string> options, Func<string, string?> environment, out string problem)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(environment);
        if (!options.TryGetValue("--mqtt", out string? address))
        {
            problem = $"{options.Keys.First(IsOption)} needs --mqtt URL";
            return null;
        }

        bool isUrl = Uri.TryCreate(address, UriKind.Absolute, out Uri? url) && url.Scheme is "mqtt" or "mqtts"
            && url.Host.Length > 0 && url.AbsolutePath is "" or "/" && url.Query.Length == 0 && url.UserInfo.Length == 0;
        if (!isUrl)
        {
            problem = "--mqtt takes mqtt://HOST[:PORT] or mqtts://HOST[:PORT]; user and password are in --mqtt-login FILE";
            return null;
        }

        TopicPattern? topic = TopicPattern.TryParse(options.GetValueOrDefault("--mqtt-topic", TopicPattern.Default), out problem);
        if (topic is null)
        {
            problem = "--mqtt-topic: " + problem;
            return null;
        }

        bool isTls = url!.Scheme == "mqtts";
        X509Certificate2Collection? roots = null;
        if (options.TryGetValue("--mqtt-ca", out string? file) && !(isTls && TryReadRoots(file, out roots)))
        {
            problem = isTls ? $"--mqtt-ca: {file} cannot be read as PEM certificates" : "--mqtt-ca needs an mqtts:// address";
            return null;
        }

        (string? user, string? password) = (environment(UserVariable), environment(PasswordVariable));
        if (options.TryGetValue("--mqtt-login", out file) && !TryReadLogin(file, out user, out password))
        {
            problem = $"--mqtt-login: {file} must have the user in its first line and the password in its second";
            return null;
        }

        return new MqttSettings
        {
            Host = url.IdnHost,
            Port = url.Port > 0 ? url.Port : isTls ? PortTls : PortPlain,
            IsTls = isTls,
            Roots = roots,
            Topic = topic,
            User = string.IsNullOrEmpty(user) ? null : user,
            Password = string.IsNullOrEmpty(user) || string.IsNullOrEmpty(password) ? null : password,
        };
    }

    /// <summary>Where it goes, without who goes there.</summary>
    public override string ToString() => $"{(IsTls ? "mqtts" : "mqtt")}://{Host}:{Port}";

    /// <summary>
    /// A name of 21 letters and digits, which every broker takes, the same after a restart and another one for another folder: the broker
    /// keeps messages for it while the checker is away, and would have two of one name drive each other out.
    /// </summary>
    internal static string ClientIdFor(string folder, string machine)
    {
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(machine + "\n" + Path.GetFullPath(folder)));
        return "agent" + Convert.ToHexStringLower(hash.AsSpan(0, 8));
    }

    private static bool TryReadRoots(string file, out X509Certificate2Collection? roots)
    {
        roots = [];
        try
        {
            roots.ImportFromPemFile(file);
            return roots.Count > 0;
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException or CryptographicException)
        {
            return false;
        }
    }

    private static bool TryReadLogin(string file, out string? user, out string? password)
    {
        (user, password) = (null, null);
        try
        {
            string[] lines = new FileInfo(file).Length <= LoginBytesMax ? File.ReadAllLines(file) : [];
            (user, password) = lines.Length >= 2 ? (lines[0].Trim(), lines[1].Trim()) : (null, null);
            return !string.IsNullOrEmpty(user);
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
