// The one thread that owns everything: it reads both clocks, tells the agent what happened, lets it do what is due, carries out
// its orders, and waits for the next report or moment. All decisions are the agent's (device/core), the same that the PC makes;
// here is only how a board does it: the network has to be joined, the clock set and the identity known before there is an agent,
// and opening a connection blocks, so this thread, which has nothing else to do, does it.
using System;
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

        /// <summary>Bytes; one message of full length or two of the example's, the rest of the queue is in flash.</summary>
        private const int QueueMemoryBytes = 256;

        private readonly AutoResetEvent wake = new AutoResetEvent(false);
        private readonly LinkReports reports;
        private readonly HangGuard guard = new HangGuard(HangGuard.TickMs, HangGuard.TicksMax);
        private readonly BoardConfiguration configuration;
        private readonly StatusLed led;
        private readonly BoardClock clock;

        private Identity identity;
        private WifiRadio radio;
        private DeviceAgent agent;
        private Session session;
        private bool networkUp;
        private bool timeKnown;
        private long utcOffsetMs;
        private long joinAtMs;
        private long askTimeAtMs;
        private long provisionAtMs;
        private long measureAtMs;

        public Supervisor()
        {
            reports = new LinkReports(wake);
            configuration = new BoardConfiguration(BoardFiles.ReadText(BoardFiles.Board));
            led = new StatusLed(configuration.LedPin, configuration.LedLightsLow);
            clock = new BoardClock(configuration.SntpServer1, configuration.SntpServer2);
            guard.Supervisor = this;
            string detail;
            DisconnectReason last = Restart.TakeReason(out detail);
            SerialLog.Say(string.Concat(
                Version + ", last reboot: ",
                last == DisconnectReason.None ? "power" : DisconnectReasonText.Of(last),
                string.IsNullOrEmpty(detail) ? "" : " (" + detail + ")"));
        }

        /// <summary>Does not return; what it throws is a reason to reboot.</summary>
        public void Run()
        {
            WaitForIdentity();
            radio = new WifiRadio(wake, identity.WifiSsid, identity.WifiPassword, configuration.HasWifi);
            AzureRoots.Load(); // a torn file is found out now and not at the first connection
            while (true)
            {
                guard.Feed();
                Now now = clock.Read();
                Turn(now);
                Wait(now);
            }
        }

        /// <summary>
        /// The board is about to restart for a reason of its own: into the black box with it, as far as that is still possible.
        /// Called by another thread when this one stands still, so it may find anything; it never throws.
        /// </summary>
        public void NoteFatal(DisconnectReason reason)
        {
            try
            {
                if (agent != null)
                {
                    agent.OnFatal(clock.Read(), reason);
                }
            }
            catch (Exception)
            {
                // The reboot's own file has the reason too.
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
            if (agent == null)
            {
                TendIdentity(now);
                if (agent == null)
                {
                    led.Show(networkUp && !timeKnown ? StatusLed.NoTime : StatusLed.Starting);
                    return;
                }
            }

            NoteFigures(now);
            TakeReports(now);
            now = clock.Read();
            agent.OnWake(now);
            CarryOut(now);
            TendLinks(clock.Read());
            TendMeasurement(clock.Read());
            led.Show(session.State, session.LastReason);
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
                    if (agent != null)
                    {
                        agent.OnNetworkLost(now, true);
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
            if (networkUp && agent != null)
            {
                agent.OnNetworkUp(now);
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
            if (agent != null)
            {
                agent.OnTimeKnown(now);
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
                bool assigned = DeviceProvisioning.TryAssign(identity, AzureRoots.Load(), out problem);
                guard.Feed();
                SerialLog.Say(assigned ? "provisioned: " + identity.DeviceId : "provisioning failed: " + problem);
                provisionAtMs = clock.Read().Ms + ProvisionEveryMs;
                if (!assigned)
                {
                    return;
                }
            }

            StartAgent(clock.Read());
        }

        private void StartAgent(Now now)
        {
            string[] problems;
            TokenSettings defaults = configuration.Settings(out problems);
            for (int i = 0; i < problems.Length; i++)
            {
                SerialLog.Say("settings: " + problems[i]);
            }

            HmacSha256 hmac = new HmacSha256();
            tokens = SasToken.ForDevice(hmac, identity.Key, identity.HostName, identity.DeviceId);
            DeviceAgentOptions options = new DeviceAgentOptions();
            options.DeviceId = identity.DeviceId;
            options.Defaults = defaults;
            options.Random = new SeededRandom(Seed(hmac, now));
            options.StateStorage = new FlashArea(BoardFiles.State, 2, 4096);
            options.BlackBoxStorage = new FlashArea(BoardFiles.BlackBox, 4, 1024);
            options.QueueStorage = new FlashArea(BoardFiles.Queue, 8, 4096);
            options.QueueMemoryBytes = QueueMemoryBytes;
            options.CanPrewarm = true; // until the first connection has shown otherwise
            options.CanReboot = true;
            agent = new DeviceAgent(options);
            session = agent.Session;
            lines = new AgentLines(agent);
            lines.SayStart(identity);
            agent.OnStart(now);
            if (networkUp)
            {
                agent.OnNetworkUp(now);
            }
        }

        /// <summary>Different on every device and at every start, from what the device has: its key, signed over the start.</summary>
        private uint Seed(HmacSha256 hmac, Now now)
        {
            byte[] start = BitConverter.GetBytes(now.Ms ^ (now.UtcSeconds << 20));
            return BitConverter.ToUInt32(hmac.Sign(identity.Key, start), 0);
        }

        private void TendMeasurement(Now now)
        {
            if (configuration.MeasurementSeconds <= 0 || now.Ms < measureAtMs)
            {
                return;
            }

            measureAtMs = now.Ms + (configuration.MeasurementSeconds * 1000L);
            JsonWriter json = new JsonWriter(new byte[Measurement.BytesMax]);
            if (Measurement.Take(json, radio.SignalDbm(), HeapFigures.ManagedFreeBytes()) && json.IsWhole)
            {
                agent.Send(now, Measurement.Properties, json.Buffer, json.Length);
                CarryOut(now);
            }
        }

        private void Wait(Now now)
        {
            long wakeMs = now.Ms + (timeKnown || !networkUp ? WaitMsMax : 500);
            if (agent != null)
            {
                wakeMs = Earlier(wakeMs, agent.NextWakeMs);
                wakeMs = Earlier(wakeMs, retired == null ? Timers.Never : retiredAtMs);
                wakeMs = Earlier(wakeMs, configuration.MeasurementSeconds > 0 ? measureAtMs : Timers.Never);
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
