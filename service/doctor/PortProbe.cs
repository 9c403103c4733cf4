using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Agent.Service.Doctor;

/// <summary>Tries a port: name, TCP, TLS handshake, certificate chain; each within a time limit. Sends nothing but the handshake.</summary>
/// <remarks>
/// The certificate is looked at and never refused during the handshake, so that one which is expired or for another host can be described
/// instead of being an unexplained failure. Nothing is sent afterwards, so nothing depends on trusting it.
/// </remarks>
public sealed class PortProbe(TimeProvider time)
{
    private const int AddressesMax = 4;

    /// <summary>For the name and for each address.</summary>
    public TimeSpan TcpWithin { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>For the handshake.</summary>
    public TimeSpan TlsWithin { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Trusted instead of the system's roots; null = the system's.</summary>
    public X509Certificate2Collection? Roots { get; init; }

    /// <summary>Tries a port; never throws for what the other side does.</summary>
    public async Task<PortFinding> TryAsync(string host, int port, bool isMqtt, CancellationToken cancellation)
    {
        var finding = new PortFinding { Host = host, Port = port, IsMqtt = isMqtt, Stage = PortStage.Name };
        IPAddress[] addresses;
        try
        {
            addresses = await Dns.GetHostAddressesAsync(host, cancellation).WaitAsync(TcpWithin, cancellation).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is SocketException or ArgumentException or TimeoutException)
        {
            bool isLate = failure is TimeoutException;
            return finding with { Problem = isLate ? "its name was not resolved in time" : "its name is not resolved" };
        }

        long began = Stopwatch.GetTimestamp();
        (Socket? socket, string problem) = await ConnectAsync(addresses, port, cancellation).ConfigureAwait(false);
        if (socket is null)
        {
            return finding with { Stage = PortStage.Tcp, Problem = problem };
        }

        int tcpMs = (int)Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        using (socket)
        {
            return await ShakeHandsAsync(socket, finding with { Stage = PortStage.Tls, TcpMs = tcpMs }, cancellation).ConfigureAwait(false);
        }
    }

    private async Task<(Socket? Socket, string Problem)> ConnectAsync(IPAddress[] addresses, int port, CancellationToken cancellation)
    {
        string problem = "its name has no address";
        foreach (IPAddress address in addresses.Take(AddressesMax))
        {
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            patience.CancelAfter(TcpWithin);
            try
            {
                await socket.ConnectAsync(new IPEndPoint(address, port), patience.Token).ConfigureAwait(false);
                return (socket, "");
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                socket.Dispose();
                problem = string.Create(
                    CultureInfo.InvariantCulture, $"no answer within {TcpWithin.TotalSeconds:0} s, as if a firewall dropped it");
            }
            catch (SocketException failure)
            {
                socket.Dispose();
                problem = failure.SocketErrorCode switch
                {
                    SocketError.ConnectionRefused => "connection refused: the host answers, and nothing listens there",
                    SocketError.NetworkUnreachable or SocketError.HostUnreachable => "no way there: the network says it is unreachable",
                    SocketError.TimedOut => "no answer, as if a firewall dropped it",
                    _ => $"no connection ({failure.SocketErrorCode})",
                };
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }

        return (null, problem);
    }

    private async Task<PortFinding> ShakeHandsAsync(Socket socket, PortFinding finding, CancellationToken cancellation)
    {
        CertificateFinding? certificate = null;
        var network = new NetworkStream(socket, ownsSocket: false);
        var tls = new SslStream(network, leaveInnerStreamOpen: false, (_, server, chain, errors) =>
        {
            certificate = Describe(server, chain, errors);
            return true;
        });
        await using (tls.ConfigureAwait(false))
        {
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            patience.CancelAfter(TlsWithin);
            long began = Stopwatch.GetTimestamp();
            try
            {
                await tls.AuthenticateAsClientAsync(
                    new SslClientAuthenticationOptions
                    {
                        TargetHost = finding.Host,
                        CertificateChainPolicy = Policy(),
                    },
                    patience.Token).ConfigureAwait(false);
                return finding with
                {
                    Stage = PortStage.Open,
                    TlsMs = (int)Stopwatch.GetElapsedTime(began).TotalMilliseconds,
                    Protocol = tls.SslProtocol.ToString(),
                    Certificate = certificate,
                };
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                return finding with
                {
                    Certificate = certificate,
                    Problem = string.Create(
                        CultureInfo.InvariantCulture, $"TCP stands, but no TLS handshake within {TlsWithin.TotalSeconds:0} s"),
                };
            }
            catch (AuthenticationException)
            {
                return finding with
                {
                    Certificate = certificate,
                    Problem = "TCP stands, but the TLS handshake failed: what answers is not TLS, or not ours",
                };
            }
            catch (IOException)
            {
                return finding with
                {
                    Certificate = certificate,
                    Problem = "TCP stands, but the connection was closed during the TLS handshake",
                };
            }
        }
    }

    private X509ChainPolicy Policy()
    {
        var policy = new X509ChainPolicy
        {
            // Downloads would let whoever answers choose what this machine fetches, and no limit above covers them.
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
            VerificationTime = time.GetUtcNow().UtcDateTime,
            VerificationTimeIgnored = false,
        };
        if (Roots is not null)
        {
            policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            policy.CustomTrustStore.AddRange(Roots);
        }

        return policy;
    }

    private static CertificateFinding? Describe(X509Certificate? server, X509Chain? chain, SslPolicyErrors errors)
    {
        if (server is not X509Certificate2 leaf)
        {
            return null;
        }

        X509Certificate2[] members = chain is { ChainElements.Count: > 0 }
            ? [.. chain.ChainElements.Select(element => element.Certificate)]
            : [leaf];
        IEnumerable<string> problems = chain?.ChainStatus
            .Where(status => status.Status is not (X509ChainStatusFlags.NoError or X509ChainStatusFlags.NotTimeValid))
            .Select(status => status.Status.ToString()).Distinct() ?? [];
        return new CertificateFinding(
            [.. members.Select(member => OneLine(member.GetNameInfo(X509NameType.SimpleName, forIssuer: false)))],
            Ms(members.Max(member => member.NotBefore)),
            Ms(members.Min(member => member.NotAfter)),
            !errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch),
            string.Join(", ", problems));
    }

    private static long Ms(DateTime local) => new DateTimeOffset(local.ToUniversalTime()).ToUnixTimeMilliseconds();

    private static string OneLine(string name) => string.Concat(name.Take(100).Select(letter => char.IsControl(letter) ? ' ' : letter));
}
