using System.Net.Security;
using System.Runtime.InteropServices;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Agent.Wire.Native;

/// <summary>OpenSSL's own speed on this machine at this moment: both ends in one thread, no socket between them.</summary>
/// <remarks>
/// What no engine can beat, and what both are measured against: the same library, certificate, check of the name and tickets, but
/// neither system calls nor waiting. It is measured in the run it is compared in, because a neighbour's load moves both.
/// </remarks>
public static partial class HandshakeBaseline
{
    private const int ThreadCpuClock = 3;
    private const int PairBytes = 32 * 1024;

    /// <summary>Full TLS handshakes, both ends, for each second of processor time.</summary>
    /// <param name="certificate">The server's, with its key.</param>
    /// <param name="roots">What the client trusts.</param>
    /// <param name="host">The name it asks for.</param>
    /// <param name="cpuSeconds">How long to measure, more than 0.</param>
    /// <exception cref="TlsEngineException">OpenSSL is not to be had.</exception>
    public static double PerCpuSecond(
        X509Certificate2 certificate, X509Certificate2Collection roots, string host, double cpuSeconds)
    {
        TlsEngines.Demand(TlsEngine.Native);
        const SslProtocols protocols = SslProtocols.Tls13;
        using SslContext server = SslContext.ForServer(
            SslStreamCertificateContext.Create(certificate, null, offline: true), protocols, allowResume: true);
        using SslContext client = SslContext.ForClient(host, roots, protocols, allowResume: false);
        for (int warm = 0; warm < 20; warm++)
        {
            ShakeOnce(server, client);
        }

        long count = 0;
        double begin = ThreadCpuSeconds();
        double used;
        do
        {
            ShakeOnce(server, client);
            count++;
            used = ThreadCpuSeconds() - begin;
        }
        while (used < cpuSeconds);
        return count / used;
    }

    private static unsafe void ShakeOnce(SslContext server, SslContext client)
    {
        nint near = client.NewSsl();
        nint far = server.NewSsl();
        try
        {
            if (LibSsl.BioNewPair(out nint first, PairBytes, out nint second, PairBytes) != 1)
            {
                throw new OutOfMemoryException("OpenSSL has no memory for a pair");
            }

            LibSsl.SetBio(near, first, first);
            LibSsl.SetBio(far, second, second);
            bool isDone = false;
            for (int turns = 0; turns < 8 && !isDone; turns++)
            {
                int there = LibSsl.Handshake(near);
                int here = LibSsl.Handshake(far);
                isDone = there == 1 && here == 1;
            }

            byte* bytes = stackalloc byte[32];
            isDone = isDone && LibSsl.Write(near, bytes, 16) == 16 && LibSsl.Read(far, bytes, 32) == 16
                && LibSsl.Write(far, bytes, 4) == 4 && LibSsl.Read(near, bytes, 32) == 4;
            if (!isDone)
            {
                throw new AuthenticationException("OpenSSL's own handshake failed.");
            }
        }
        finally
        {
            LibSsl.Free(near);
            LibSsl.Free(far);
            LibSsl.ClearErrors();
        }
    }

    private static unsafe double ThreadCpuSeconds()
    {
        long* spec = stackalloc long[2];
        _ = Clock(ThreadCpuClock, spec);
        return spec[0] + (spec[1] / 1e9);
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static unsafe partial int Clock(int clock, long* spec);
}
