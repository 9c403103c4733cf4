using Agent.Hub;

namespace Agent.World;

// What a detector costs in a month of 30 days, in US dollars of the public lists, without discounts and free grants. The hub's own price is
// per unit; a detector pays for the share of a unit that it uses up, be it of the day's messages or of a throttle, because the rest of the
// unit is there for the fleet's own work. Whole units are counted by whoever buys them (`advise`).
//
// Sources: hub units and quotas facts/iothub.md §6 (HubOptions); the others from infracost's golden files of public list prices
// (internal/providers/terraform/azure/testdata: eventgrid_system_topic $0.06 per 100,000 operations; log_analytics_workspace $2.99
// per GB; monitor_scheduled_query_rules_alert_v2 $3.00 a month for a rule asked every minute; monitor_metric_alert $0.10 per time
// series). An event is two operations, taken in and handed out. A Connections record is charged as 1,000 bytes: the record of
// the vendor's reference is about 800, and a table adds columns of its own.

/// <summary>What a detector uses in a day.</summary>
/// <param name="MessagesPerDeviceDay">Messages of the hub's quota.</param>
/// <param name="CommandsPerDeviceMinute">Messages to devices, which have a throttle of their own.</param>
/// <param name="EventsPerDeviceDay">Event Grid events.</param>
/// <param name="RecordsPerDeviceDay">Log records.</param>
/// <param name="MessagesPerDay">Messages of the hub's quota that do not depend on the number of devices.</param>
/// <param name="RulesUsdPerMonth">Alert rules.</param>
/// <param name="NeedsStandard">Whether the Basic tiers lack what it needs.</param>
public readonly record struct DetectorUse(
    double MessagesPerDeviceDay = 0,
    double CommandsPerDeviceMinute = 0,
    double EventsPerDeviceDay = 0,
    double RecordsPerDeviceDay = 0,
    double MessagesPerDay = 0,
    double RulesUsdPerMonth = 0,
    bool NeedsStandard = false)
{
    /// <summary>Days of a month.</summary>
    public const double MonthDays = 30;

    private const double UsdPerOperation = 0.06 / 100_000;
    private const double OperationsPerEvent = 2;
    private const double UsdPerLogByte = 2.99 / 1e9;
    private const double BytesPerRecord = 1000;

    /// <summary>
    /// Dollars a month for so many devices on a tier, with the share of a unit that is used up; null = the tier cannot do it.
    /// </summary>
    public double? UsdPerMonth(string tier, double devices)
    {
        var hub = new HubOptions { Tier = tier };
        return NeedsStandard && hub.IsBasic ? null : (UnitsUsed(tier, devices) * hub.UsdPerUnitMonth) + BesidesHubUsdPerMonth(devices);
    }

    /// <summary>Units that this takes for itself, in fractions: of the day's messages, or of the throttle if that is more.</summary>
    public double UnitsUsed(string tier, double devices)
    {
        var hub = new HubOptions { Tier = tier };
        double ofQuota = ((MessagesPerDeviceDay * devices) + MessagesPerDay) / hub.MessagesPerDayLimit;
        double ofThrottle = CommandsPerDeviceMinute * devices / Throttles.PerMinute(hub, ThrottleKind.Commands);
        return Math.Max(ofQuota, ofThrottle);
    }

    /// <summary>Dollars a month for everything that is not the hub.</summary>
    public double BesidesHubUsdPerMonth(double devices) =>
        RulesUsdPerMonth + (devices * MonthDays * (
            (EventsPerDeviceDay * OperationsPerEvent * UsdPerOperation) + (RecordsPerDeviceDay * BytesPerRecord * UsdPerLogByte)));
}
