// What was seen when a link or an attempt ended: everything the classifier may look at, and nothing else.
//
// A driver fills in what only it can see (phase, error, TLS detail, memory, signal strength); the agent adds what it
// knows itself (token, clock, silence, history). One object is filled again and again.
namespace Agent.Core
{
    /// <summary>How far a link had come.</summary>
    public enum LinkPhase
    {
        None = 0,

        /// <summary>Joining the network, getting an address.</summary>
        Network = 1,

        /// <summary>Resolving the hub's name.</summary>
        Name = 2,

        /// <summary>Opening TCP.</summary>
        Tcp = 3,

        /// <summary>The TLS handshake.</summary>
        Tls = 4,

        /// <summary>CONNECT was sent, CONNACK has not come.</summary>
        Connack = 5,

        /// <summary>The hub had accepted us.</summary>
        Connected = 6,
    }

    /// <summary>How it ended, as the driver saw it.</summary>
    public enum LinkEnd
    {
        /// <summary>It ended; the driver cannot say how (M2Mqtt gives no reason, facts/nanoframework.md section 6).</summary>
        Unknown = 0,

        /// <summary>The other end closed (FIN).</summary>
        Closed = 1,

        /// <summary>Reset (RST).</summary>
        Reset = 2,

        /// <summary>No answer in time.</summary>
        TimedOut = 3,

        /// <summary>Refused: by the host in phase Tcp, by CONNACK in phase Connack.</summary>
        Refused = 4,

        /// <summary>No route; the network is not there.</summary>
        Unreachable = 5,

        /// <summary>The keep-alive ping was not answered.</summary>
        PingTimedOut = 6,

        /// <summary>A message was not acknowledged in time.</summary>
        AcknowledgeTimedOut = 7,

        /// <summary>What came was not MQTT.</summary>
        Malformed = 8,

        /// <summary>This device ran out of memory.</summary>
        OutOfMemory = 9,
    }

    /// <summary>What a TLS library says about the certificate, where it says anything.</summary>
    public enum TlsFault
    {
        Unknown = 0,
        WrongRoot = 1,
        WrongName = 2,
        WrongDates = 3,
    }

    /// <summary>Whether port 443 of the hub's host could be reached when 8883 could not.</summary>
    public enum PortProbe
    {
        NotMade = 0,
        Failed = 1,
        Open = 2,
    }

    /// <summary>The facts of one end.</summary>
    public sealed class Evidence
    {
        /// <summary>A figure nobody knows.</summary>
        public const int Unknown = -1;

        /// <summary>Mbed TLS's answer to any certificate it does not like (facts/nanoframework.md section 5).</summary>
        public const int CertificateError = -9984;

        // The driver's part.
        public LinkPhase Phase;
        public LinkEnd End;
        public TlsFault Tls;
        public int Error;
        public int ConnackCode;
        public bool HasAddress;
        public int Rssi;
        public long FreeBytes;
        public long LargestBlockBytes;

        // The agent's part.
        public PortProbe Probe;
        public bool ClockKnown;
        public bool ClockSuspect;
        public int TokenAgeSeconds;
        public int TokenRemainingSeconds;
        public int SinceInboundSeconds;
        public int KeepAliveSeconds;
        public int InFlightSeconds;
        public int ClosesInARow;
        public int ClosesInFlightInARow;
        public int ClosesBeforeConnack;
        public int RefusalsInARow;
        public bool WasClosedWhileValid;

        public Evidence()
        {
            Clear();
        }

        /// <summary>Nothing seen yet.</summary>
        public Evidence Clear()
        {
            Phase = LinkPhase.None;
            End = LinkEnd.Unknown;
            Tls = TlsFault.Unknown;
            Error = 0;
            ConnackCode = 0;
            HasAddress = true;
            Rssi = 0;
            FreeBytes = Unknown;
            LargestBlockBytes = Unknown;
            Probe = PortProbe.NotMade;
            ClockKnown = true;
            ClockSuspect = false;
            TokenAgeSeconds = 0;
            TokenRemainingSeconds = 0;
            SinceInboundSeconds = 0;
            KeepAliveSeconds = 0;
            InFlightSeconds = Unknown;
            ClosesInARow = 0;
            ClosesInFlightInARow = 0;
            ClosesBeforeConnack = 0;
            RefusalsInARow = 0;
            WasClosedWhileValid = false;
            return this;
        }

        /// <summary>The driver's part in one line.</summary>
        public Evidence Saw(LinkPhase phase, LinkEnd end, int error)
        {
            Clear();
            Phase = phase;
            End = end;
            Error = error;
            return this;
        }
    }
}
