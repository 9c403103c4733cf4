// The one thread that owns everything: it reads both clocks, tells the session what happened, lets it do what is due, carries
// out its orders, and waits for the next report or moment. All decisions are the session's (device/core), the same that the PC
// makes; here is only how a board does it.
//
// What the board adds: the network has to be joined and the clock set before there is anything to decide; opening a connection
// blocks (so this thread, which has nothing else to do, does it); and the three ways to renew, which the session knows nothing of:
//   clean     DISCONNECT on the old link, close, then TCP, TLS and CONNECT on a new one.
//   takeover  the new link first, the hub drops the old one (and logs 400027); needs memory for two TLS sessions.
//   prewarm   TCP and TLS of the new link a few seconds early, then DISCONNECT and CONNECT one after the other: the gap is one
//             round trip. Needs the same memory, and a way to hand M2Mqtt an open channel (ChannelSlot).
// What is lacking is said once, and the renewal is clean.
using System;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using Agent.Core;

namespace Agent.Board
{
    /// <summary>Drives one session for ever.</summary>
    public sealed partial class Supervisor
    {
        public const string Version = "agent-board/1.0";

        private const int WaitMsMax = 5000;
        private const long ClockStepMs = 2000;
        private const long AskTimeEveryMs = 15000;
        private const long JoinEveryMs = 5000;
        private const long ProvisionEveryMs = 30000;
        private const int NoIdentityPauseMs = 10000;

        private readonly AutoResetEvent wake = new AutoResetEvent(false);
        private readonly LinkReports reports;
        private readonly HangGuard guard = new HangGuard(HangGuard.TickMs, HangGuard.TicksMax);
        private readonly BoardConfiguration configuration;
        private readonly StatusLed led;
        private readonly BoardClock clock;
        private readonly BoardState state;

        private Identity identity;
        private WifiRadio radio;
        private X509Certificate roots;
        private Session session;
        private bool networkUp;
        private bool timeKnown;
        private long utcOffsetMs;
        private long joinAtMs;
        private long askTimeAtMs;
        private long provisionAtMs;

        public Supervisor()
        {
            reports = new LinkReports(wake);
            configuration = new BoardConfiguration(BoardFiles.ReadText(BoardFiles.Board));
            led = new StatusLed(configuration.LedPin, configuration.LedLightsLow);
            clock = new BoardClock(configuration.SntpServer1, configuration.SntpServer2);
            state = new BoardState();
            string detail;
            DisconnectReason last = Restart.TakeReason(out detail);
            SerialLog.Say(string.Concat(
                Version + ", start " + state.Boots.ToString() + ", last reboot: ",
                last == DisconnectReason.None ? "power" : DisconnectReasonText.Of(last),
                string.IsNullOrEmpty(detail) ? "" : " (" + detail + ")"));
        }

        /// <summary>Does not return; what it throws is a reason to reboot.</summary>
        public void Run()
        {
            WaitForIdentity();
            radio = new WifiRadio(wake, identity.WifiSsid, identity.WifiPassword, configuration.HasWifi);
            roots = AzureRoots.Load();
            ChooseRenewMode();
            while (true)
            {
                guard.Feed();
                Now now = clock.Read();
                Turn(now);
                Wait(now);
            }
        }

        private void WaitForIdentity()
        {
            string told = null;
            while (identity == null)
            {
                guard.Feed();
                string problem;
                identity = Identity.Parse(
                    BoardFiles.ReadText(BoardFiles.Identity), BoardFiles.ReadText(BoardFiles.Assigned), out problem);
                if (problem != told)
                {
                    SerialLog.Say("no identity: " + problem);
                    told = problem;
                }

                if (identity == null)
                {
                    led.Show(StatusLed.NoIdentity);
                    Thread.Sleep(NoIdentityPauseMs); // somebody may be putting the file there right now
                }
            }
        }

        private void Turn(Now now)
        {
            TendNetwork(now);
            now = clock.Read(); // joining may have taken a while
            TendTime(now);
            if (session == null)
            {
                TendIdentity(now);
                if (session == null)
                {
                    led.Show(!networkUp ? StatusLed.NoNetwork : !timeKnown ? StatusLed.NoTime : StatusLed.HubUnreachable);
                    return;
                }
            }

            TakeReports(now);
            session.OnWake(now);
            CarryOut(now);
            TendLinks(clock.Read());
            led.Show(StatusLed.CodeOf(session.State, session.LastReason));
        }

        private void TendNetwork(Now now)
        {
            if (networkUp)
            {
                if (!WifiRadio.IsUp)
                {
                    networkUp = false;
                    joinAtMs = now.Ms;
                    SerialLog.Say("network lost");
                    if (session != null)
                    {
                        session.OnNetworkLost(now);
                        CarryOut(now);
                    }
                }

                return;
            }

            if (now.Ms < joinAtMs)
            {
                return;
            }

            string problem;
            networkUp = radio.TryJoin(now.Ms, out problem);
            guard.Feed();
            now = clock.Read();
            joinAtMs = now.Ms + JoinEveryMs;
            SerialLog.Say(networkUp ? "network up" : "network: " + problem);
            if (networkUp && session != null)
            {
                session.OnNetworkUp(now);
                CarryOut(now);
            }
        }

        /// <summary>The date is asked for until it is known; later steps of the clock are told to the session.</summary>
        private void TendTime(Now now)
        {
            if (!now.UtcKnown)
            {
                timeKnown = false;
                if (!networkUp || now.Ms < askTimeAtMs)
                {
                    return;
                }

                askTimeAtMs = now.Ms + AskTimeEveryMs;
                clock.Ask();
                now = clock.Read();
                if (!now.UtcKnown)
                {
                    return;
                }
            }

            long offsetMs = (now.UtcSeconds * 1000) - now.Ms;
            long stepMs = offsetMs - utcOffsetMs;
            if (timeKnown && stepMs <= ClockStepMs && stepMs >= -ClockStepMs)
            {
                return;
            }

            SerialLog.Say(timeKnown ? "clock changed by " + (stepMs / 1000).ToString() + " s" : "time known");
            timeKnown = true;
            utcOffsetMs = offsetMs;
            if (session != null)
            {
                session.OnTimeKnown(now);
                CarryOut(now);
            }
        }

        private void TendIdentity(Now now)
        {
            if (!identity.IsAssigned)
            {
                if (!networkUp || !timeKnown || now.Ms < provisionAtMs)
                {
                    return;
                }

                string problem;
                bool assigned = DeviceProvisioning.TryAssign(identity, roots, out problem);
                guard.Feed();
                SerialLog.Say(assigned ? "provisioned: " + identity.DeviceId : "provisioning failed: " + problem);
                provisionAtMs = clock.Read().Ms + ProvisionEveryMs;
                if (!assigned)
                {
                    return;
                }
            }

            StartSession(clock.Read());
        }

        private void StartSession(Now now)
        {
            string[] problems;
            settings = configuration.Settings(out problems);
            for (int i = 0; i < problems.Length; i++)
            {
                SerialLog.Say("settings: " + problems[i]);
            }

            HmacSha256 hmac = new HmacSha256();
            tokens = SasToken.ForDevice(hmac, identity.Key, identity.HostName, identity.DeviceId);
            userName = HubTopics.UserName(identity.HostName, identity.DeviceId, Version);
            session = new Session(settings, new SeededRandom(Seed(hmac, now)), state.NextSequence);
            shown = session.State;
            SerialLog.Say(identity.DeviceId + " at " + identity.HostName + ", token "
                + settings.LifetimeSeconds.ToString() + " s, " + renewModeText);
            if (networkUp)
            {
                session.OnNetworkUp(now);
            }
        }

        /// <summary>Different on every device and at every start, from what the device has: its key, signed over the start.</summary>
        private uint Seed(HmacSha256 hmac, Now now)
        {
            byte[] start = BitConverter.GetBytes(now.Ms ^ ((long)state.Boots << 32) ^ (now.UtcSeconds << 8));
            return BitConverter.ToUInt32(hmac.Sign(identity.Key, start), 0);
        }

        private void Wait(Now now)
        {
            long wakeMs = now.Ms + (timeKnown || !networkUp ? WaitMsMax : 500);
            if (session != null)
            {
                wakeMs = Earlier(wakeMs, session.NextWakeMs);
                wakeMs = Earlier(wakeMs, NextLinkMs());
            }

            long waitMs = wakeMs - clock.Read().Ms;
            if (waitMs > 0)
            {
                wake.WaitOne((int)waitMs, false);
            }
        }

        private static long Earlier(long a, long b)
        {
            return a < b ? a : b;
        }
    }
}
