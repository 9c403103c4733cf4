using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>The connectionState that lags, told the time.</summary>
public sealed class ConnectionStateViewTests
{
    private const long Start = 1_767_225_600_000;
    private const long Lag = ConnectionStateView.LagMsDefault;
    private readonly ConnectionStateView view = new();

    [Fact]
    public void A_device_never_seen_is_disconnected_and_has_no_dates() =>
        Assert.Equal(new ConnectionView(false, null, null, 3), view.Read(5, Start, 3));

    [Fact]
    public void A_change_is_shown_at_the_device_s_next_moment_and_dated_with_it()
    {
        for (int device = 0; device < 50; device++)
        {
            long shown = view.NextShownUtcMs(device, Start);
            Assert.InRange(shown, Start, Start + Lag - 1);
            view.OnChange(device, Start, isConnected: true);
            Assert.Equal(shown == Start, view.Read(device, Start, 0).IsConnected);
            Assert.False(shown > Start && view.Read(device, shown - 1, 0).IsConnected);
            Assert.Equal(new ConnectionView(true, shown, Start, 0), view.Read(device, shown, 0));
            Assert.Equal(new ConnectionView(true, shown, Start, 0), view.Read(device, shown + (10 * Lag), 0));
        }
    }

    [Fact]
    public void The_moments_of_a_device_are_five_minutes_apart_and_those_of_a_fleet_are_spread()
    {
        long[] moments = [.. Enumerable.Range(0, 1000).Select(device => view.NextShownUtcMs(device, Start))];
        Assert.All(Enumerable.Range(0, 1000), device =>
            Assert.Equal(moments[device] + Lag, view.NextShownUtcMs(device, moments[device] + 1)));
        int[] perMinute = [.. Enumerable.Range(0, 5).Select(minute => moments.Count(ms => (ms - Start) / 60_000 == minute))];
        Assert.All(perMinute, count => Assert.InRange(count, 150, 250));
    }

    [Fact]
    public void A_dead_device_stays_connected_for_up_to_five_minutes()
    {
        view.OnChange(7, Start, isConnected: true);
        long gone = view.NextShownUtcMs(7, Start) + 1;
        view.OnChange(7, gone, isConnected: false);
        Assert.True(view.Read(7, gone + Lag - 2, 0).IsConnected);
        Assert.Equal(new ConnectionView(false, gone + Lag - 1, Start, 0), view.Read(7, gone + Lag - 1, 0));
    }

    [Fact]
    public void A_blip_between_two_moments_is_never_shown()
    {
        view.OnChange(7, Start, isConnected: true);
        long shown = view.NextShownUtcMs(7, Start);
        view.OnChange(7, shown + 1000, isConnected: false);
        view.OnChange(7, shown + 2000, isConnected: true);
        Assert.Equal(new ConnectionView(true, shown, shown + 2000, 0), view.Read(7, shown + (3 * Lag), 0));
    }

    [Fact]
    public void What_was_shown_between_two_changes_is_not_forgotten_when_nobody_asked()
    {
        view.OnChange(7, Start, isConnected: true);
        long shown = view.NextShownUtcMs(7, Start);
        view.OnChange(7, shown + Lag + 1, isConnected: false);
        Assert.Equal(shown, view.Read(7, shown + Lag + 2, 0).UpdatedUtcMs);
    }

    // Against the plain definition: at each of the device's moments, what is true is shown.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_drawn_history_reads_as_the_definition_says(int seed)
    {
        var random = new Random(seed);
        long now = Start, truthAt = view.NextShownUtcMs(9, Start);
        bool isTrue = false, isShown = false;
        long? updated = null;
        for (int step = 0; step < 2000; step++)
        {
            now += random.Next(1, random.Next(2) == 0 ? 30_000 : 900_000);
            for (; truthAt < now; truthAt += Lag)
            {
                (isShown, updated) = isShown == isTrue ? (isShown, updated) : (isTrue, truthAt);
            }

            if (random.Next(3) == 0)
            {
                isTrue = !isTrue;
                view.OnChange(9, now, isTrue);
            }
            else if (truthAt != now)
            {
                ConnectionView seen = view.Read(9, now, 0);
                Assert.Equal((isShown, updated), (seen.IsConnected, seen.UpdatedUtcMs));
            }
        }
    }

    [Fact]
    public void Activity_is_shown_at_once_and_the_lag_can_be_switched_off()
    {
        view.OnActivity(70_000, Start + 5);
        Assert.Equal(Start + 5, view.Read(70_000, Start + 5, 0).LastActivityUtcMs);
        var prompt = new ConnectionStateView(0);
        prompt.OnChange(1, Start, isConnected: true);
        Assert.Equal(new ConnectionView(true, Start, Start, 0), prompt.Read(1, Start, 0));
    }
}
