using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>The table at the top of ReasonClassifier.cs, row by row, and what must not depend on anything else.</summary>
public sealed class ReasonClassifierTests
{
    private static readonly (string Seen, Action<Evidence> Sees, DisconnectReason Reason)[] Rows =
    [
        ("no address", e => { e.Phase = LinkPhase.Network; e.HasAddress = false; }, DisconnectReason.NoAddress),
        ("network gone", e => e.Phase = LinkPhase.Network, DisconnectReason.NetworkLost),
        ("no route", e => e.Saw(LinkPhase.Tcp, LinkEnd.Unreachable, 10065), DisconnectReason.NetworkLost),
        ("no route any more", e => e.Saw(LinkPhase.Connected, LinkEnd.Unreachable, 0), DisconnectReason.NetworkLost),
        ("out of memory", e => e.Saw(LinkPhase.Connected, LinkEnd.OutOfMemory, 0), DisconnectReason.OutOfMemory),
        ("out of memory in TLS", e => e.Saw(LinkPhase.Tls, LinkEnd.OutOfMemory, 0), DisconnectReason.TlsNoMemory),
        ("name", e => e.Saw(LinkPhase.Name, LinkEnd.Unknown, 11001), DisconnectReason.NameNotResolved),
        ("refused", e => e.Saw(LinkPhase.Tcp, LinkEnd.Refused, 10061), DisconnectReason.TcpRefused),
        ("refused, 443 too", e => e.Saw(LinkPhase.Tcp, LinkEnd.Refused, 10061).Probe = PortProbe.Failed, DisconnectReason.TcpRefused),
        ("refused, 443 open", e => e.Saw(LinkPhase.Tcp, LinkEnd.Refused, 10061).Probe = PortProbe.Open, DisconnectReason.PortBlocked),
        ("silent, 443 open", e => e.Saw(LinkPhase.Tcp, LinkEnd.TimedOut, 10060).Probe = PortProbe.Open, DisconnectReason.PortBlocked),
        ("no answer", e => e.Saw(LinkPhase.Tcp, LinkEnd.TimedOut, 10060), DisconnectReason.TcpTimedOut),
        ("reset at TCP", e => e.Saw(LinkPhase.Tcp, LinkEnd.Reset, 10054), DisconnectReason.ConnectionReset),
        ("silent in TLS", e => e.Saw(LinkPhase.Tls, LinkEnd.TimedOut, 0), DisconnectReason.SilentPeer),
        ("root", e => e.Saw(LinkPhase.Tls, LinkEnd.Unknown, 0).Tls = TlsFault.WrongRoot, DisconnectReason.TlsWrongRoot),
        ("name in certificate", e => e.Saw(LinkPhase.Tls, LinkEnd.Unknown, 0).Tls = TlsFault.WrongName, DisconnectReason.TlsWrongName),
        ("dates", e => e.Saw(LinkPhase.Tls, LinkEnd.Unknown, 0).Tls = TlsFault.WrongDates, DisconnectReason.TlsWrongClock),
        ("-9984", e => e.Saw(LinkPhase.Tls, LinkEnd.Unknown, -9984), DisconnectReason.TlsWrongRoot),
        ("-9984, no clock", e => e.Saw(LinkPhase.Tls, LinkEnd.Unknown, -9984).ClockKnown = false, DisconnectReason.TlsWrongClock),
        ("-9984, old clock", e => e.Saw(LinkPhase.Tls, LinkEnd.Unknown, -9984).ClockSuspect = true, DisconnectReason.TlsWrongClock),
        ("-9984, small block", e => e.Saw(LinkPhase.Tls, LinkEnd.Unknown, -9984).LargestBlockBytes = 16_000, DisconnectReason.TlsNoMemory),
        ("-9984, large block", e => e.Saw(LinkPhase.Tls, LinkEnd.Unknown, -9984).LargestBlockBytes = 17_000, DisconnectReason.TlsWrongRoot),
        ("TLS", e => e.Saw(LinkPhase.Tls, LinkEnd.Closed, 0), DisconnectReason.TlsFailed),
        ("CONNACK 1", e => Refused(e, 1), DisconnectReason.RefusedProtocolVersion),
        ("CONNACK 2", e => Refused(e, 2), DisconnectReason.RefusedIdentifier),
        ("CONNACK 3", e => Refused(e, 3), DisconnectReason.RefusedUnavailable),
        ("CONNACK 4", e => Refused(e, 4), DisconnectReason.RefusedCredentials),
        ("CONNACK 5", e => Refused(e, 5), DisconnectReason.RefusedNotAuthorized),
        ("CONNACK 9", e => Refused(e, 9), DisconnectReason.RefusedOther),
        ("CONNACK 5, token old", e => Refused(e, 5).TokenRemainingSeconds = 0, DisconnectReason.TokenExpired),
        ("CONNACK 5, clock old", e => Refused(e, 5).ClockSuspect = true, DisconnectReason.ClockSkew),
        ("CONNACK 5 after a close", e => After(Refused(e, 5), 1), DisconnectReason.RefusedNotAuthorized),
        ("CONNACK 5 twice after a close", e => After(Refused(e, 5), 2), DisconnectReason.Disabled),
        ("CONNACK 3 twice after a close", e => After(Refused(e, 3), 2), DisconnectReason.RefusedUnavailable),
        ("CONNACK 3 thrice after a close", e => After(Refused(e, 3), 3), DisconnectReason.Disabled),
        ("no CONNACK", e => e.Saw(LinkPhase.Connack, LinkEnd.TimedOut, 0), DisconnectReason.SilentPeer),
        ("closed for CONNACK", e => e.Saw(LinkPhase.Connack, LinkEnd.Closed, 0), DisconnectReason.ClosedByPeer),
        ("three times", e => e.Saw(LinkPhase.Connack, LinkEnd.Closed, 0).ClosesBeforeConnack = 3, DisconnectReason.Throttled),
        ("reset for CONNACK", e => e.Saw(LinkPhase.Connack, LinkEnd.Reset, 0), DisconnectReason.ConnectionReset),
        ("not MQTT for CONNACK", e => e.Saw(LinkPhase.Connack, LinkEnd.Malformed, 0), DisconnectReason.ProtocolViolation),
        ("never came so far", e => e.Saw(LinkPhase.Connack, LinkEnd.Unknown, 0), DisconnectReason.ConnectTimedOut),
        ("closed", e => Up(e, LinkEnd.Closed), DisconnectReason.ClosedByPeer),
        ("closed after expiry", e => Up(e, LinkEnd.Closed).TokenRemainingSeconds = -600, DisconnectReason.HubClosedAtExpiry),
        ("closed twice", e => Up(e, LinkEnd.Closed).ClosesInARow = 2, DisconnectReason.ClosedByPeer),
        ("closed thrice", e => Up(e, LinkEnd.Closed).ClosesInARow = 3, DisconnectReason.TakenOver),
        ("closed for a message", e => Up(e, LinkEnd.Closed).ClosesInFlightInARow = 1, DisconnectReason.ClosedByPeer),
        ("closed for a message twice", e => Up(e, LinkEnd.Closed).ClosesInFlightInARow = 2, DisconnectReason.Throttled),
        ("reset", e => Up(e, LinkEnd.Reset), DisconnectReason.ConnectionReset),
        ("TCP gave up", e => Up(e, LinkEnd.TimedOut), DisconnectReason.SilentPeer),
        ("ping", e => Up(e, LinkEnd.PingTimedOut), DisconnectReason.KeepAliveLost),
        ("no PUBACK, others came", e => Silent(Up(e, LinkEnd.AcknowledgeTimedOut), 5), DisconnectReason.PublishNotAcknowledged),
        ("no PUBACK, nothing came", e => Silent(Up(e, LinkEnd.AcknowledgeTimedOut), 30), DisconnectReason.SilentPeer),
        ("not MQTT", e => Up(e, LinkEnd.Malformed), DisconnectReason.ProtocolViolation),
        ("ended, 2 keep-alives silent", e => Silent(Up(e, LinkEnd.Unknown), 479), DisconnectReason.KeepAliveLost),
        ("ended", e => Silent(Up(e, LinkEnd.Unknown), 20), DisconnectReason.ClosedByPeer),
        ("nothing known", _ => { }, DisconnectReason.Unknown),
    ];

    [Fact]
    public void Every_row_gives_its_reason()
    {
        foreach ((string seen, Action<Evidence> sees, DisconnectReason reason) in Rows)
        {
            Evidence evidence = New();
            sees(evidence);
            evidence.TokenRemainingSeconds = evidence.TokenRemainingSeconds == 0 && seen != "CONNACK 5, token old"
                ? 1000
                : evidence.TokenRemainingSeconds;
            Assert.True(reason == ReasonClassifier.Of(evidence), $"{seen}: {ReasonClassifier.Of(evidence)} and not {reason}");
        }
    }

    [Fact]
    public void Random_evidence_always_has_a_listed_reason()
    {
        SeededRandom random = new(9);
        for (int i = 0; i < 100_000; i++)
        {
            Evidence evidence = New().Saw((LinkPhase)random.Next(8), (LinkEnd)random.Next(11), random.Next(3) == 0 ? -9984 : 0);
            evidence.Tls = (TlsFault)random.Next(4);
            evidence.ConnackCode = random.Next(8);
            evidence.ClockKnown = random.Next(2) == 0;
            evidence.TokenRemainingSeconds = random.Next(3) - 1;
            evidence.ClosesInARow = random.Next(5);
            evidence.RefusalsInARow = random.Next(4);
            evidence.WasClosedWhileValid = random.Next(2) == 0;
            Assert.NotEqual("unlisted reason", DisconnectReasonText.Of(ReasonClassifier.Of(evidence)));
        }
    }

    [Fact]
    public void Every_reason_flashes_in_its_own_way()
    {
        DisconnectReason[] all = [.. Enum.GetValues<DisconnectReason>().Where(reason => (int)reason > 1)];
        var codes = all.Select(reason => (DiagnosticsText.LongFlashes(reason), DiagnosticsText.ShortFlashes(reason))).ToList();
        Assert.Equal(codes.Count, codes.Distinct().Count());
        Assert.All(codes, code => Assert.InRange(code.Item1, 1, 5));
    }

    private static Evidence New()
    {
        Evidence evidence = new();
        evidence.TokenRemainingSeconds = 1000;
        return evidence;
    }

    private static Evidence Refused(Evidence evidence, int code)
    {
        evidence.Saw(LinkPhase.Connack, LinkEnd.Refused, 0).ConnackCode = code;
        evidence.TokenRemainingSeconds = 1000;
        return evidence;
    }

    private static void After(Evidence evidence, int refusals)
    {
        evidence.WasClosedWhileValid = true;
        evidence.RefusalsInARow = refusals;
    }

    private static Evidence Up(Evidence evidence, LinkEnd end)
    {
        evidence.Saw(LinkPhase.Connected, end, 0).KeepAliveSeconds = 240;
        evidence.TokenRemainingSeconds = 1000;
        return evidence;
    }

    private static void Silent(Evidence evidence, int seconds)
    {
        evidence.SinceInboundSeconds = seconds;
        evidence.InFlightSeconds = 30;
    }
}
