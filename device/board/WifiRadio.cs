// Wi-Fi: joining, noticing its loss, signal strength.
//
// The radio rejoins a network it knows by itself; what it knows lies in its own flash area, and every ConnectDhcp writes that
// area anew. So each join first only waits for the radio (Reconnect), and the name and password of the identity file are
// written at most once after a start and once an hour of outage: 24 writes a day at the worst.
// Joining blocks its caller, which is the supervisor: without a network it has nothing else to do.
// Every call is guarded: a rig without a radio throws NotImplementedException from any of them.
using System;
using System.Device.Wifi;
using System.Net.NetworkInformation;
using System.Threading;
using nanoFramework.Networking;

namespace Agent.Board
{
    /// <summary>The station side of the radio.</summary>
    public sealed class WifiRadio
    {
        /// <summary>dBm value that means "not known".</summary>
        public const int NoSignal = 0;

        private const int RejoinPatienceMs = 10000;
        private const int JoinPatienceMs = 30000;
        private const long WritePauseMs = 3600000;

        // Whether the interface's state means anything: not when the network is not our job, nor on a rig that says "down" while
        // it is joined. Then an outage shows as attempts that fail, as on the PC.
        private static bool isWatched;

        private readonly AutoResetEvent wake;
        private readonly string ssid;
        private readonly string password;
        private readonly bool isOurJob;
        private bool written;
        private long writtenMs;

        /// <param name="wake">Set when the radio reports a change.</param>
        /// <param name="isOurJob">False when something else brings the network up.</param>
        public WifiRadio(AutoResetEvent wake, string ssid, string password, bool isOurJob)
        {
            this.wake = wake;
            this.ssid = ssid;
            this.password = password;
            this.isOurJob = isOurJob;
            isWatched = isOurJob;
            try
            {
                NetworkChange.NetworkAvailabilityChanged += OnAvailabilityChanged;
            }
            catch (Exception)
            {
                // Without the event the supervisor looks once in a while, which is slower and as good.
            }
        }

        /// <summary>Whether there is a network; true where that cannot be told.</summary>
        public static bool IsUp => !isWatched || IsInterfaceUp();

        /// <summary>Joins; blocks for at most 40 s. False = not yet, with a word about it.</summary>
        public bool TryJoin(long nowMs, out string problem)
        {
            problem = "no network";
            try
            {
                if (!isOurJob)
                {
                    return true;
                }

                if (WifiNetworkHelper.Reconnect(false, 0, new CancellationTokenSource(RejoinPatienceMs).Token))
                {
                    isWatched = IsInterfaceUp();
                    return true;
                }

                if (string.IsNullOrEmpty(ssid) || (written && nowMs - writtenMs < WritePauseMs))
                {
                    return false;
                }

                written = true;
                writtenMs = nowMs;
                bool joined = WifiNetworkHelper.ConnectDhcp(
                    ssid, password, WifiReconnectionKind.Automatic, false, 0,
                    new CancellationTokenSource(JoinPatienceMs).Token);
                problem = WifiNetworkHelper.Status == NetworkHelperStatus.TokenExpiredWaitingIPAddress
                    ? "joined, but no address" : "no network";
                isWatched = !joined || IsInterfaceUp();
                return joined;
            }
            catch (Exception fault)
            {
                problem = fault.GetType().Name;
                return false;
            }
        }

        /// <summary>Signal strength in dBm as of the last scan, or <see cref="NoSignal"/>; does not start a scan.</summary>
        public int SignalDbm()
        {
            try
            {
                WifiAdapter adapter = WifiNetworkHelper.WifiAdapter;
                WifiAvailableNetwork[] seen = adapter == null ? null : adapter.NetworkReport.AvailableNetworks;
                for (int i = 0; seen != null && i < seen.Length; i++)
                {
                    if (seen[i].Ssid == ssid)
                    {
                        return (int)seen[i].NetworkRssiInDecibelMilliwatts;
                    }
                }
            }
            catch (Exception)
            {
                // A board that cannot say is treated like one that has not looked.
            }

            return NoSignal;
        }

        private static bool IsInterfaceUp()
        {
            try
            {
                return NetworkInterface.GetIsNetworkAvailable();
            }
            catch (Exception)
            {
                return false;
            }
        }

        private void OnAvailabilityChanged(object sender, NetworkAvailabilityEventArgs e)
        {
            try
            {
                wake.Set();
            }
            catch (Exception)
            {
                // An exception here would end the system's event thread without a word.
            }
        }
    }
}
