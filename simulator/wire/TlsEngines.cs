using System.Runtime.InteropServices;

namespace Agent.Wire;

/// <summary>A TLS engine that this machine does not have. The text is one line for a person.</summary>
public sealed class TlsEngineException(string message) : IOException(message);

/// <summary>Which engines there are here.</summary>
public static class TlsEngines
{
    private static readonly Lazy<string?> MissingForNative = new(FindMissing);

    /// <summary>The words of <c>--tls</c>, in the order of <see cref="TlsEngine"/>.</summary>
    public static IReadOnlyList<string> Names { get; } = ["portable", "native"];

    /// <summary>The word for it.</summary>
    public static string Name(this TlsEngine engine) => Names[(int)engine];

    /// <summary>Whether it can be used on this machine.</summary>
    public static bool IsAvailable(TlsEngine engine) => engine == TlsEngine.Portable || MissingForNative.Value is null;

    /// <summary>Does nothing where the engine can be used.</summary>
    /// <exception cref="TlsEngineException">It cannot; why, and what to do.</exception>
    public static void Demand(TlsEngine engine)
    {
        if (engine == TlsEngine.Native && MissingForNative.Value is { } missing)
        {
            throw new TlsEngineException($"TLS engine native: {missing}; the engine portable works everywhere");
        }
    }

    private static string? FindMissing()
    {
        const string library = "libssl.so.3";
        if (!OperatingSystem.IsLinux())
        {
            return "it is for Linux only";
        }

        if (!NativeLibrary.TryLoad(library, out nint ssl) || !NativeLibrary.TryLoad("libcrypto.so.3", out _))
        {
            return $"{library} of OpenSSL 3 is not installed (Debian package libssl3)";
        }

        return NativeLibrary.TryGetExport(ssl, "SSL_set1_host", out _) ? null : $"{library} is not OpenSSL's";
    }
}
