// From what was seen to why it ended.
//
// MQTT 3.1.1 closes without a word and the board's library without a reason, so most reasons are conclusions:
//
//   phase      seen                                                       reason
//   network    no address / anything else                                 NoAddress / NetworkLost
//   any        no route                                                   NetworkLost
//   any        out of memory                                              OutOfMemory; in TLS TlsNoMemory
//   name       anything                                                   NameNotResolved
//   tcp        refused or no answer, and 443 of the same host is open     PortBlocked
//              refused / no answer / reset                                TcpRefused / TcpTimedOut / ConnectionReset
//   tls        no answer                                                  SilentPeer
//              the library names root, name or dates                      TlsWrongRoot, TlsWrongName, TlsWrongClock
//              largest free block too small for one session               TlsNoMemory
//              clock unknown, or earlier than a time known before         TlsWrongClock
//              certificate error (-9984) with clock and memory in order   TlsWrongRoot (a wrong name looks the same;
//                                                                         a large step of the clock makes it TlsWrongClock)
//              anything else                                              TlsFailed
//   connack    code 1, 2, 3, 4, 5, other                                  Refused...
//              4 or 5, and the token had run out                          TokenExpired
//              4 or 5, and the clock is suspect                           ClockSkew
//              4 or 5 twice, or 3 three times, after the hub closed a
//              link it had accepted                                       Disabled
//              no answer                                                  SilentPeer
//              closed instead of answered, the third time in a row        Throttled
//              closed / reset                                             ClosedByPeer / ConnectionReset
//   connected  closed, and the token had run out                          HubClosedAtExpiry
//              closed with a message in flight, the second time running   Throttled (also: quota used up)
//              closed with nothing in flight, the third time running,
//              each link having come up at the first attempt              TakenOver
//              no answer to a ping                                        KeepAliveLost
//              message not acknowledged, other things came since          PublishNotAcknowledged
//              message not acknowledged, nothing came since               SilentPeer
//              ended somehow, and silent for two keep-alives              KeepAliveLost
//              not MQTT / reset / no answer / closed                      ProtocolViolation / ConnectionReset / SilentPeer / ClosedByPeer
//
// What only the future can tell (a clock corrected later, a port that turns out blocked) is classified again with the
// new evidence; IsVague says which reasons may be replaced so. The thresholds are where one accident ends and a
// pattern begins: a hub that restarts closes a link once; another client with our id closes it every time.
namespace Agent.Core
{
    /// <summary>A pure function from evidence to reason.</summary>
    public static class ReasonClassifier
    {
        /// <summary>Links closed in a row, each up at the first attempt, before somebody else must be using the id.</summary>
        public const int TakeoverCloses = 3;

        /// <summary>Links closed in a row with a message in flight before it is the message that closes them.</summary>
        public const int ThrottleCloses = 2;

        /// <summary>Refusals in a row, after a link the hub had accepted and closed, before the device must be disabled.</summary>
        public const int DisabledRefusals = 2;

        public static DisconnectReason Of(Evidence seen)
        {
            if (seen.End == LinkEnd.OutOfMemory)
            {
                return seen.Phase == LinkPhase.Tls ? DisconnectReason.TlsNoMemory : DisconnectReason.OutOfMemory;
            }

            if (seen.End == LinkEnd.Unreachable)
            {
                return DisconnectReason.NetworkLost;
            }

            switch (seen.Phase)
            {
                case LinkPhase.Network: return seen.HasAddress ? DisconnectReason.NetworkLost : DisconnectReason.NoAddress;
                case LinkPhase.Name: return DisconnectReason.NameNotResolved;
                case LinkPhase.Tcp: return OfTcp(seen);
                case LinkPhase.Tls: return OfTls(seen);
                case LinkPhase.Connack: return OfConnack(seen);
                case LinkPhase.Connected: return OfConnected(seen);
                default: return DisconnectReason.Unknown;
            }
        }

        /// <summary>Whether a later, better founded reason may replace this one.</summary>
        public static bool IsVague(DisconnectReason reason)
        {
            switch (reason)
            {
                case DisconnectReason.None:
                case DisconnectReason.Unknown:
                case DisconnectReason.TcpRefused:
                case DisconnectReason.TcpTimedOut:
                case DisconnectReason.TlsFailed:
                case DisconnectReason.ConnectTimedOut:
                case DisconnectReason.ClosedByPeer:
                case DisconnectReason.ConnectionReset:
                case DisconnectReason.RefusedUnavailable:
                case DisconnectReason.RefusedCredentials:
                case DisconnectReason.RefusedNotAuthorized:
                case DisconnectReason.PlannedRenewal:
                case DisconnectReason.SettingsChange: return true;
                default: return false;
            }
        }

        /// <summary>Whether it is a conclusion worth replacing a vague reason of the same outage.</summary>
        public static bool IsTelling(DisconnectReason reason)
        {
            switch (reason)
            {
                case DisconnectReason.PortBlocked:
                case DisconnectReason.ClockSkew:
                case DisconnectReason.Disabled:
                case DisconnectReason.TakenOver:
                case DisconnectReason.Throttled:
                case DisconnectReason.TokenExpired:
                case DisconnectReason.TlsWrongClock:
                case DisconnectReason.TlsNoMemory: return true;
                default: return false;
            }
        }

        /// <summary>Whether the hub was reached: such an end may be the settings' fault, another cannot.</summary>
        public static bool IsOfHub(DisconnectReason reason)
        {
            switch (reason)
            {
                case DisconnectReason.NetworkLost:
                case DisconnectReason.NoAddress:
                case DisconnectReason.NameNotResolved:
                case DisconnectReason.TcpRefused:
                case DisconnectReason.TcpTimedOut:
                case DisconnectReason.PortBlocked: return false;
                default: return (int)reason >= 0x40;
            }
        }

        private static DisconnectReason OfTcp(Evidence seen)
        {
            if (seen.Probe == PortProbe.Open && (seen.End == LinkEnd.Refused || seen.End == LinkEnd.TimedOut))
            {
                return DisconnectReason.PortBlocked;
            }

            switch (seen.End)
            {
                case LinkEnd.Refused: return DisconnectReason.TcpRefused;
                case LinkEnd.TimedOut: return DisconnectReason.TcpTimedOut;
                case LinkEnd.Reset: return DisconnectReason.ConnectionReset;
                default: return DisconnectReason.Unknown;
            }
        }

        private static DisconnectReason OfTls(Evidence seen)
        {
            if (seen.End == LinkEnd.TimedOut)
            {
                return DisconnectReason.SilentPeer;
            }

            switch (seen.Tls)
            {
                case TlsFault.WrongDates: return DisconnectReason.TlsWrongClock;
                case TlsFault.WrongName: return DisconnectReason.TlsWrongName;
                case TlsFault.WrongRoot: return DisconnectReason.TlsWrongRoot;
                default: break;
            }

            if (seen.LargestBlockBytes != Evidence.Unknown && seen.LargestBlockBytes < Session.TlsBlockBytes)
            {
                return DisconnectReason.TlsNoMemory;
            }

            if (!seen.ClockKnown || seen.ClockSuspect)
            {
                return DisconnectReason.TlsWrongClock;
            }

            return seen.Error == Evidence.CertificateError ? DisconnectReason.TlsWrongRoot : DisconnectReason.TlsFailed;
        }

        private static DisconnectReason OfConnack(Evidence seen)
        {
            switch (seen.End)
            {
                case LinkEnd.Refused: return OfRefusal(seen);
                case LinkEnd.Reset: return DisconnectReason.ConnectionReset;
                case LinkEnd.Malformed: return DisconnectReason.ProtocolViolation;
                case LinkEnd.Closed:
                    return seen.ClosesBeforeConnack >= TakeoverCloses
                        ? DisconnectReason.Throttled
                        : DisconnectReason.ClosedByPeer;
                case LinkEnd.TimedOut: return DisconnectReason.SilentPeer;
                default: return DisconnectReason.ConnectTimedOut;
            }
        }

        private static DisconnectReason OfRefusal(Evidence seen)
        {
            switch (seen.ConnackCode)
            {
                case 1: return DisconnectReason.RefusedProtocolVersion;
                case 2: return DisconnectReason.RefusedIdentifier;
                case 3:
                    return seen.WasClosedWhileValid && seen.RefusalsInARow > DisabledRefusals
                        ? DisconnectReason.Disabled
                        : DisconnectReason.RefusedUnavailable;
                case 4:
                case 5: break;
                default: return DisconnectReason.RefusedOther;
            }

            if (seen.TokenRemainingSeconds <= 0)
            {
                return DisconnectReason.TokenExpired;
            }

            if (seen.ClockSuspect)
            {
                return DisconnectReason.ClockSkew;
            }

            if (seen.WasClosedWhileValid && seen.RefusalsInARow >= DisabledRefusals)
            {
                return DisconnectReason.Disabled;
            }

            return seen.ConnackCode == 4 ? DisconnectReason.RefusedCredentials : DisconnectReason.RefusedNotAuthorized;
        }

        private static DisconnectReason OfConnected(Evidence seen)
        {
            switch (seen.End)
            {
                case LinkEnd.PingTimedOut: return DisconnectReason.KeepAliveLost;
                case LinkEnd.AcknowledgeTimedOut:
                    return seen.SinceInboundSeconds >= seen.InFlightSeconds
                        ? DisconnectReason.SilentPeer
                        : DisconnectReason.PublishNotAcknowledged;
                case LinkEnd.Malformed: return DisconnectReason.ProtocolViolation;
                case LinkEnd.Reset: return DisconnectReason.ConnectionReset;
                case LinkEnd.TimedOut: return DisconnectReason.SilentPeer;
                default: break;
            }

            if (seen.TokenRemainingSeconds <= 0)
            {
                return DisconnectReason.HubClosedAtExpiry;
            }

            if (seen.End == LinkEnd.Unknown && seen.KeepAliveSeconds > 0
                && seen.SinceInboundSeconds >= (2 * seen.KeepAliveSeconds) - 2)
            {
                return DisconnectReason.KeepAliveLost;
            }

            if (seen.ClosesInFlightInARow >= ThrottleCloses)
            {
                return DisconnectReason.Throttled;
            }

            return seen.ClosesInARow >= TakeoverCloses ? DisconnectReason.TakenOver : DisconnectReason.ClosedByPeer;
        }
    }
}
