using System.Net.Security;
using System.Runtime.InteropServices;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Agent.Wire.Native;

/// <summary>OpenSSL's own speed on this machine at this moment: both ends in one thread, no socket between them.</summary>
/// <remarks>
/// What no engine can beat, and what both are measured against: the same library, certificate, check of the name and tickets, but
/// neither system calls nor waiting. It is measured in the run it is compared in, because a neighbour's load moves both. It is
/// measured twice: connections that stay, as a fleet's do, and connections let go at once. The second is what such figures usually
/// are; it touches the same memory over and over, while memory touched for the first time costs up to a fifth of a handshake.
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
    /// <param name="areHeld">Whether both ends stay until all are made; memory is new to them if the process kept none free.</param>
    /// <exception cref="TlsEngineException">OpenSSL is not to be had.</exception>
    public static double PerCpuSecond(
        X509Certificate2 certificate, X509Certificate2Collection roots, string host, double cpuSeconds, bool areHeld)
    {
        TlsEngines.Demand(TlsEngine.Native);
        const SslProtocols protocols = SslProtocols.Tls13;
        using SslContext server = SslContext.ForServer(
            SslStreamCertificateContext.Create(certificate, null, offline: true), protocols, allowResume: true);
        using SslContext client = SslContext.ForClient(host, roots, protocols, allowResume: false);
        for (int warm = 0; warm < 20; warm++)
        {
            Free(ShakeOnce(server, client));
        }

        var held = new List<(nint Near, nint Far)>();
        long count = 0;
        double begin = ThreadCpuSeconds();
        double used;
        do
        {
            (nint Near, nint Far) pair = ShakeOnce(server, client);
            if (areHeld)
            {
                held.Add(pair);
            }
            else
            {
                Free(pair);
            }

            count++;
            used = ThreadCpuSeconds() - begin;
        }
        while (used < cpuSeconds);
        held.ForEach(Free);
        return count / used;
    }

    private static unsafe (nint Near, nint Far) ShakeOnce(SslContext server, SslContext client)
    {
        (nint Near, nint Far) pair = (client.NewSsl(), server.NewSsl());
        if (LibSsl.BioNewPair(out nint first, PairBytes, out nint second, PairBytes) != 1)
        {
            throw new OutOfMemoryException("OpenSSL has no memory for a pair");
        }

        LibSsl.SetBio(pair.Near, first, first);
        LibSsl.SetBio(pair.Far, second, second);
        bool isDone = false;
        for (int turns = 0; turns < 8 && !isDone; turns++)
        {
            int there = LibSsl.Handshake(pair.Near);
            int here = LibSsl.Handshake(pair.Far);
            isDone = there == 1 && here == 1;
        }

        byte* bytes = stackalloc byte[32];
        isDone = isDone && LibSsl.Write(pair.Near, bytes, 16) == 16 && LibSsl.Read(pair.Far, bytes, 32) == 16
            && LibSsl.Write(pair.Far, bytes, 4) == 4 && LibSsl.Read(pair.Near, bytes, 32) == 4;
        if (!isDone)
        {
            Free(pair);
            throw new AuthenticationException("OpenSSL's own handshake failed.");
        }

        // What stands for the network is no connection's: a socket's buffers are the system's.
        LibSsl.SetBio(pair.Near, 0, 0);
        LibSsl.SetBio(pair.Far, 0, 0);
        return pair;
    }

    private static void Free((nint Near, nint Far) pair)
    {
        LibSsl.Free(pair.Near);
        LibSsl.Free(pair.Far);
        LibSsl.ClearErrors();
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
