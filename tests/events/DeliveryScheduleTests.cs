using Agent.Events;

namespace Agent.Tests.Events;

public sealed class DeliveryScheduleTests
{
    private const long Second = 1000;
    private const long Minute = 60 * Second;
    private const long Hour = 60 * Minute;

    /// <summary>The vendor's page, "retry schedule".</summary>
    private static readonly long[] Documented =
    [
        10 * Second, 30 * Second, Minute, 5 * Minute, 10 * Minute, 30 * Minute, Hour, 3 * Hour, 6 * Hour, 12 * Hour, 12 * Hour,
    ];

    [Fact]
    public void Waits_are_the_documented_ones_and_at_most_a_tenth_longer()
    {
        DeliverySchedule schedule = New();
        for (int attempt = 1; attempt <= Documented.Length; attempt++)
        {
            long shortest = Wait(schedule, attempt, 500, 0);
            long longest = Wait(schedule, attempt, 500, uint.MaxValue);

            Assert.Equal(Documented[attempt - 1], shortest);
            Assert.InRange(longest, shortest + (shortest / 10) - 2, shortest + (shortest / 10));
        }
    }

    [Theory]
    [InlineData(200, DeliveryOutcome.Delivered)]
    [InlineData(201, DeliveryOutcome.Delivered)]
    [InlineData(202, DeliveryOutcome.Delivered)]
    [InlineData(203, DeliveryOutcome.Delivered)]
    [InlineData(204, DeliveryOutcome.Delivered)]
    [InlineData(205, DeliveryOutcome.GenericError)]
    [InlineData(302, DeliveryOutcome.GenericError)]
    [InlineData(404, DeliveryOutcome.NotFound)]
    [InlineData(408, DeliveryOutcome.TimedOut)]
    [InlineData(429, DeliveryOutcome.Busy)]
    [InlineData(500, DeliveryOutcome.GenericError)]
    [InlineData(503, DeliveryOutcome.Busy)]
    public void Only_200_to_204_are_a_success(int status, DeliveryOutcome expected) =>
        Assert.Equal(expected, DeliverySchedule.OutcomeOf(status));

    [Theory]
    [InlineData(400, "UndeliverableDueToHttpBadRequest")]
    [InlineData(401, "UndeliverableDueToHttpUnauthorized")]
    [InlineData(403, "UndeliverableDueToHttpForbidden")]
    [InlineData(413, "UndeliverableDueToHttpRequestEntityTooLarge")]
    public void Some_answers_end_it_at_the_first_attempt(int status, string reason)
    {
        DeliveryStep step = After(New(), 1, status);

        Assert.Equal(new DeliveryStep(DeliveryVerdict.DeadLetter, 5 * Minute, reason), step);
    }

    [Theory]
    [InlineData(408, 120)]
    [InlineData(503, 30)]
    [InlineData(429, 10)]
    [InlineData(500, 10)]
    [InlineData(404, 10)]
    [InlineData(0, 10)]
    public void Some_answers_have_a_shortest_wait(int status, int seconds) =>
        Assert.Equal(seconds * Second, Wait(New(), 1, status, 0));

    [Fact]
    public void A_longer_step_is_not_shortened_to_the_shortest_wait() =>
        Assert.Equal(5 * Minute, Wait(New(), 4, 408, 0));

    [Fact]
    public void The_last_attempt_is_the_last()
    {
        DeliverySchedule schedule = New(new DeliveryPolicy { AttemptsMax = 3 });

        Assert.Equal(DeliveryVerdict.Retry, After(schedule, 2, 500).Verdict);
        Assert.Equal(
            new DeliveryStep(DeliveryVerdict.DeadLetter, 5 * Minute, "MaxDeliveryAttemptsExceeded"), After(schedule, 3, 500));
    }

    [Fact]
    public void A_day_holds_eleven_attempts_and_then_the_event_is_too_old()
    {
        DeliverySchedule schedule = New();
        long now = 0;
        int attempts = 1;
        DeliveryStep step;
        while ((step = schedule.After(now, 0, attempts, DeliveryOutcome.GenericError, 500, 0)).Verdict == DeliveryVerdict.Retry)
        {
            now = step.AtMs;
            attempts++;
        }

        Assert.Equal(11, attempts);
        Assert.Equal(new DeliveryStep(DeliveryVerdict.DeadLetter, (24 * Hour) + (5 * Minute), "TimeToLiveExceeded"), step);
    }

    /// <summary>The page's own example: a time to live of 30 minutes leaves six attempts, whatever the number allowed.</summary>
    [Fact]
    public void Thirty_minutes_hold_six_attempts()
    {
        DeliverySchedule schedule = New(new DeliveryPolicy { TimeToLiveMinutes = 30, AttemptsMax = 10 });
        long now = 0;
        int attempts = 1;
        while (schedule.After(now, 0, attempts, DeliveryOutcome.Busy, 429, 0) is { Verdict: DeliveryVerdict.Retry } step)
        {
            now = step.AtMs;
            attempts++;
        }

        Assert.Equal(6, attempts);
    }

    [Fact]
    public void Without_a_place_for_dead_letters_events_are_dropped_with_the_same_reason()
    {
        var schedule = new DeliverySchedule(new DeliveryPolicy(), keepsDeadLetters: false);
        DeliveryStep step = schedule.After(0, 0, 1, DeliveryOutcome.BadRequest, 400, 0);

        Assert.Equal((DeliveryVerdict.Drop, "UndeliverableDueToHttpBadRequest"), (step.Verdict, step.Reason));
    }

    [Fact]
    public void The_scale_shortens_every_wait_alike()
    {
        DeliverySchedule schedule = New(new DeliveryPolicy { TimeScale = 60 });

        Assert.Equal(500, Wait(schedule, 2, 500, 0));
        Assert.Equal(2000, Wait(schedule, 1, 408, 0));
        Assert.Equal(24 * Minute, schedule.TimeToLiveMs);
        Assert.Equal(5 * Second, After(schedule, 1, 400).AtMs);
    }

    [Theory]
    [InlineData(DeliveryOutcome.Busy, 10)]
    [InlineData(DeliveryOutcome.TimedOut, 10)]
    [InlineData(DeliveryOutcome.SocketError, 30)]
    [InlineData(DeliveryOutcome.NotFound, 300)]
    [InlineData(DeliveryOutcome.Unauthorized, 300)]
    [InlineData(DeliveryOutcome.Forbidden, 300)]
    [InlineData(DeliveryOutcome.ResolutionError, 300)]
    public void Ten_failures_in_a_row_put_the_endpoint_on_probation(DeliveryOutcome outcome, int seconds)
    {
        var probation = new EndpointProbation(New());
        for (int failure = 1; failure < EndpointProbation.FailuresMax; failure++)
        {
            probation.OnOutcome(0, outcome);
            Assert.Equal(long.MinValue, probation.UntilMs);
        }

        probation.OnOutcome(1000, outcome);
        Assert.Equal(1000 + (seconds * Second), probation.UntilMs);
    }

    [Fact]
    public void A_success_ends_the_row()
    {
        var probation = new EndpointProbation(New());
        for (int failure = 0; failure < 100; failure++)
        {
            probation.OnOutcome(0, failure % EndpointProbation.FailuresMax == 9 ? DeliveryOutcome.Delivered : DeliveryOutcome.Busy);
        }

        Assert.Equal(long.MinValue, probation.UntilMs);
    }

    [Theory]
    [InlineData(0, 1, 1, 1, 1.0)]
    [InlineData(31, 1, 1, 1, 1.0)]
    [InlineData(1, 0, 1, 1, 1.0)]
    [InlineData(1, 1441, 1, 1, 1.0)]
    [InlineData(1, 1, 0, 1, 1.0)]
    [InlineData(1, 1, 5001, 1, 1.0)]
    [InlineData(1, 1, 1, 0, 1.0)]
    [InlineData(1, 1, 1, 1025, 1.0)]
    [InlineData(1, 1, 1, 1, 0.0)]
    [InlineData(1, 1, 1, 1, double.NaN)]
    public void Settings_out_of_the_documented_range_are_named(int attempts, int minutes, int events, int kilobytes, double scale) =>
        Assert.NotNull(new DeliveryPolicy
        {
            AttemptsMax = attempts,
            TimeToLiveMinutes = minutes,
            EventsPerBatchMax = events,
            BatchKilobytesPreferred = kilobytes,
            TimeScale = scale,
        }.FindProblem());

    [Fact]
    public void The_clouds_defaults_are_in_range() => Assert.Null(new DeliveryPolicy().FindProblem());

    private static DeliverySchedule New(DeliveryPolicy? policy = null) => new(policy ?? new DeliveryPolicy(), keepsDeadLetters: true);

    private static DeliveryStep After(DeliverySchedule schedule, int attempts, int status) =>
        schedule.After(0, 0, attempts, DeliverySchedule.OutcomeOf(status), status, 0);

    private static long Wait(DeliverySchedule schedule, int attempts, int status, uint draw)
    {
        DeliveryOutcome outcome = status == 0 ? DeliveryOutcome.SocketError : DeliverySchedule.OutcomeOf(status);
        DeliveryStep step = schedule.After(7, 7, attempts, outcome, status, draw);
        Assert.Equal(DeliveryVerdict.Retry, step.Verdict);
        return step.AtMs - 7;
    }
}
