using System.Net.Sockets;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>Steps of handshakes take turns, and whoever falls silent or goes away in one holds nobody up.</summary>
public class HandshakeLaneTests
{
    [Fact]
    public async Task Who_finds_no_place_is_let_in_when_one_is_given_back_in_the_order_of_coming()
    {
        var lane = new HandshakeLane(2);
        await lane.EnterAsync(default);
        await lane.EnterAsync(default);
        Task third = lane.EnterAsync(default);
        Task fourth = lane.EnterAsync(default);
        Assert.Equal((false, false, 0), (third.IsCompleted, fourth.IsCompleted, lane.FreeCount));

        lane.Leave();
        await third.WaitAsync(WireWorld.Patience);
        Assert.False(fourth.IsCompleted);

        lane.Leave();
        await fourth.WaitAsync(WireWorld.Patience);
        lane.Leave();
        lane.Leave();
        Assert.Equal(2, lane.FreeCount);
    }

    [Fact]
    public async Task A_stream_holds_a_place_from_the_end_of_a_read_to_the_next_and_none_while_it_waits()
    {
        var lane = new HandshakeLane(1);
        (Socket near, Socket far) = await WireWorld.PairAsync();
        using var _ = near;
        using var __ = far;
        await using var stream = new IdleStream(near);
        stream.BeginHandshake(lane);
        byte[] buffer = new byte[4];

        Task<int> reading = stream.ReadAsync(buffer).AsTask();
        Assert.Equal(1, lane.FreeCount);
        await far.SendAsync(new byte[4]);
        Assert.Equal(4, await reading.WaitAsync(WireWorld.Patience));
        Assert.Equal(0, lane.FreeCount);

        reading = stream.ReadAsync(buffer).AsTask();
        Assert.Equal(1, lane.FreeCount);
        await far.SendAsync(new byte[4]);
        await reading.WaitAsync(WireWorld.Patience);
        stream.EndHandshake();
        stream.EndHandshake();
        Assert.Equal(1, lane.FreeCount);

        await far.SendAsync(new byte[4]);
        Assert.Equal(4, await stream.ReadAsync(buffer).AsTask().WaitAsync(WireWorld.Patience));
        Assert.Equal(1, lane.FreeCount);
    }

    [Fact]
    public async Task Who_gives_up_while_waiting_for_a_place_takes_none()
    {
        var lane = new HandshakeLane(1);
        await lane.EnterAsync(default);
        (Socket near, Socket far) = await WireWorld.PairAsync();
        using var _ = near;
        using var __ = far;
        await using var stream = new IdleStream(near);
        stream.BeginHandshake(lane);
        await far.SendAsync(new byte[4]);
        using var giving = new CancellationTokenSource();
        Task<int> reading = stream.ReadAsync(new byte[4], giving.Token).AsTask();
        await giving.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading.WaitAsync(WireWorld.Patience));
        stream.EndHandshake();
        Assert.Equal(0, lane.FreeCount);
        lane.Leave();
        Assert.Equal(1, lane.FreeCount);
    }

    [Theory]
    [InlineData(null, 4)]
    [InlineData("", 4)]
    [InlineData("many", 4)]
    [InlineData("-1", 4)]
    [InlineData("0", 1)]
    [InlineData("1", 1)]
    [InlineData("3", 3)]
    [InlineData("99", 4)]
    public void There_are_as_many_places_as_asked_for_within_the_processors(string? asked, int places) =>
        Assert.Equal(places, HandshakeLane.PlacesFor(asked, processors: 4));
}
