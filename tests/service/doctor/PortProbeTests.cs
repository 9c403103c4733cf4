using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Agent.Service.Doctor;
using Agent.Tests.Wire;

namespace Agent.Tests.Service.Doctor;

/// <summary>The probe against ports that behave and ports that do not.</summary>
[Collection(RealTime.Name)]
public sealed class PortProbeTests
{
    private static readonly CancellationToken Never = CancellationToken.None;

    [Fact]
    public async Task A_port_with_a_good_certificate_is_open_and_its_chain_is_told()
    {
        using TlsPeer peer = TlsPeer.With(TestCertificates.Shared.Server);

        PortFinding finding = await Probe().TryAsync("localhost", peer.Port, isMqtt: true, Never);

        Assert.Equal((PortStage.Open, ""), (finding.Stage, finding.Problem));
        Assert.StartsWith("Tls", finding.Protocol, StringComparison.Ordinal);
        CertificateFinding certificate = finding.Certificate!;
        Assert.Equal(["localhost", "wire test root"], certificate.Names);
        Assert.Equal((true, ""), (certificate.IsNameRight, certificate.ChainProblem));
        long nowMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds();
        Assert.InRange(certificate.NotAfterMs, nowMs, nowMs + 86_400_000);
    }

    [Fact]
    public async Task A_certificate_that_has_expired_is_described_and_not_just_refused()
    {
        using TlsPeer peer = TlsPeer.With(TestCertificates.Shared.Sign(
            "localhost", DateTimeOffset.UtcNow.AddDays(-9), DateTimeOffset.UtcNow.AddDays(-2)));

        PortFinding finding = await Probe().TryAsync("localhost", peer.Port, isMqtt: true, Never);

        Assert.Equal(PortStage.Open, finding.Stage);
        Assert.True(finding.Certificate!.NotAfterMs < DateTimeOffset.UtcNow.ToUnixTimeMilliseconds());
    }

    [Fact]
    public async Task A_certificate_for_another_host_or_of_a_stranger_is_noticed()
    {
        using TlsPeer other = TlsPeer.With(TestCertificates.Shared.Sign(
            "elsewhere", DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1)));
        using TlsPeer stranger = TlsPeer.With(TestCertificates.Stranger.Server);

        PortFinding wrongName = await Probe().TryAsync("localhost", other.Port, isMqtt: true, Never);
        PortFinding untrusted = await Probe().TryAsync("localhost", stranger.Port, isMqtt: true, Never);

        Assert.False(wrongName.Certificate!.IsNameRight);
        Assert.True(untrusted.Certificate!.IsNameRight);
        Assert.NotEqual("", untrusted.Certificate.ChainProblem);
    }

    [Fact]
    public async Task A_port_nobody_listens_on_is_refused()
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));

        PortFinding finding = await Probe().TryAsync("127.0.0.1", ((IPEndPoint)socket.LocalEndPoint!).Port, isMqtt: true, Never);

        Assert.Equal(PortStage.Tcp, finding.Stage);
        Assert.StartsWith("connection refused", finding.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_that_accepts_and_says_nothing_is_left_after_the_limit()
    {
        using TlsPeer peer = TlsPeer.Silent();
        long began = Stopwatch.GetTimestamp();

        PortFinding finding = await Probe(tlsMs: 300).TryAsync("localhost", peer.Port, isMqtt: true, Never);

        Assert.Equal(PortStage.Tls, finding.Stage);
        Assert.Contains("no TLS handshake within", finding.Problem, StringComparison.Ordinal);
        Assert.InRange(Stopwatch.GetElapsedTime(began).TotalSeconds, 0, 30);
    }

    [Fact]
    public async Task What_is_not_TLS_or_hangs_up_is_told_apart_from_a_closed_port()
    {
        using TlsPeer plain = TlsPeer.Saying(Encoding.ASCII.GetBytes("HTTP/1.1 400 Bad Request\r\n\r\n"));
        using TlsPeer closing = TlsPeer.Closing();

        foreach (TlsPeer peer in new[] { plain, closing })
        {
            PortFinding finding = await Probe().TryAsync("localhost", peer.Port, isMqtt: true, Never);

            Assert.Equal(PortStage.Tls, finding.Stage);
            Assert.StartsWith("TCP stands, but", finding.Problem, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_name_that_does_not_exist_ends_at_the_name()
    {
        PortFinding finding = await Probe().TryAsync("no-such-host.invalid", 8883, isMqtt: true, Never);

        Assert.Equal(PortStage.Name, finding.Stage);
    }

    private static PortProbe Probe(int tlsMs = 20_000) => new(TimeProvider.System)
    {
        Roots = TestCertificates.Shared.Roots,
        TlsWithin = TimeSpan.FromMilliseconds(tlsMs),
    };
}
