using Agent.Events;
using Agent.Hub;

namespace Agent.Detectors;

// The metric connectedDeviceCount is a number for the whole hub, taken once a minute, without a dimension that would name a device
// (facts/iothub.md §3). So this detector cannot see one outage among many devices; it sees that the number fell below a share of the
// fleet. The one alarm tells every outage that is in progress at that minute and young enough to have been in the fall: what began
// longer ago than the hub can believe in a dead link was out of the number before. Its alarms are stateful: while one is open nothing
// more is said, and it is resolved by three minutes above the threshold.
//
// The vendor gives "under 5 minutes" from a metric's minute to the notification at a frequency of a minute; chosen here: three. The
// rule is switched on when the fleet has first been above the threshold, as an operator would, so that a fleet that starts
// is no alarm. It is right when at least half of the missing devices were in an outage, and a false alarm when they were renewing.

/// <summary>One shard's share of the metric: how the number of connections changed in each minute.</summary>
internal sealed class ConnectionCounter(int deviceCount)
{
    /// <summary>The metric's grain, ms.</summary>
    public const long MinuteMs = 60_000;

    private readonly bool[] isConnected = new bool[deviceCount];

    /// <summary>Changes from one sample to the next, by minute; those before the minute last taken are gone.</summary>
    public Dictionary<long, int> Changes { get; } = [];

    public void Take(ShardView shard)
    {
        foreach (MonitoredRecord record in shard.Monitor.Records)
        {
            bool isConnect = record.Kind == LogKind.Connect;
            if (!isConnect && record.Kind >= LogKind.ConnectUnauthorized)
            {
                continue;
            }

            ref bool known = ref isConnected[shard.LocalOf(record.Device)];
            if (known != isConnect)
            {
                known = isConnect;
                long minute = (record.AtMs / MinuteMs) + 1;
                Changes[minute] = Changes.GetValueOrDefault(minute) + (isConnect ? 1 : -1);
            }
        }
    }
}

/// <summary><c>connectedDevices</c>: an alert on the metric below a share of the devices.</summary>
/// <param name="below">The share, 0..1.</param>
/// <param name="deviceCount">Devices of all shards.</param>
internal sealed class ConnectedDevicesDetector(double below, int deviceCount)
{
    /// <summary>From the sample to the notification, ms.</summary>
    public const long NotifiedAfterMs = 180_000;

    private const int ResolvedAfter = 3;

    private long minute;
    private int connected;
    private int goodMinutes;
    private bool isArmed;
    private bool isOpen;

    /// <summary>Takes the samples up to a moment in, of all shards together.</summary>
    /// <param name="shards">What each counted.</param>
    /// <param name="untilMs">The moment up to which they have counted.</param>
    /// <param name="raise">Told the alarm, and how many devices were missing at the sample.</param>
    public void Advance(IReadOnlyList<ConnectionCounter> shards, long untilMs, Action<RaisedAlarm, int> raise)
    {
        while ((minute + 1) * ConnectionCounter.MinuteMs <= untilMs)
        {
            minute++;
            foreach (ConnectionCounter shard in shards)
            {
                if (shard.Changes.Remove(minute, out int change))
                {
                    connected += change;
                }
            }

            Look(raise);
        }
    }

    private void Look(Action<RaisedAlarm, int> raise)
    {
        bool isLow = connected < below * deviceCount;
        goodMinutes = isLow ? 0 : goodMinutes + 1;
        isArmed = isArmed || !isLow;
        if (isOpen)
        {
            isOpen = goodMinutes < ResolvedAfter;
        }
        else if (isLow && isArmed)
        {
            isOpen = true;
            long atMs = minute * ConnectionCounter.MinuteMs;
            raise(
                new RaisedAlarm(RaisedAlarm.WholeFleet, atMs, atMs, atMs + NotifiedAfterMs),
                deviceCount - connected);
        }
    }
}
