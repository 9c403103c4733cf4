using System.Net.Sockets;
using Agent.Wire;

namespace Agent.Tests.Wire;

public sealed class IdleStreamTests : IAsyncLifetime
{
    private Socket _near = null!;
    private Socket _far = null!;
    private IdleStream _stream = null!;

    public async ValueTask InitializeAsync()
    {
        (_near, _far) = await WireWorld.PairAsync();
        _stream = new IdleStream(_near);
    }

    public async ValueTask DisposeAsync()
    {
        await _stream.DisposeAsync();
        _near.Dispose();
        _far.Dispose();
    }

    [Fact]
    public async Task A_zero_byte_read_waits_for_something_to_read_and_loses_none_of_it()
    {
        Task<int> waiting = _stream.ReadAsync(Memory<byte>.Empty).AsTask();
        await Task.Delay(50);
        Assert.False(waiting.IsCompleted);

        byte[] sent = [.. Enumerable.Range(0, 100_000).Select(number => (byte)number)];
        Task sending = _far.SendAsync(sent).WaitAsync(WireWorld.Patience);
        Assert.Equal(0, await waiting.WaitAsync(WireWorld.Patience));
        Assert.Equal(0, await _stream.ReadAsync(Memory<byte>.Empty).AsTask().WaitAsync(WireWorld.Patience));

        byte[] got = new byte[sent.Length];
        Assert.Equal(3, await _stream.ReadAsync(got.AsMemory(0, 3)).AsTask().WaitAsync(WireWorld.Patience));
        await _stream.ReadExactlyAsync(got.AsMemory(3)).AsTask().WaitAsync(WireWorld.Patience);
        await sending;
        Assert.Equal(sent, got);
        Assert.False(_stream.ReadAsync(Memory<byte>.Empty).IsCompleted);
    }

    [Fact]
    public async Task The_end_completes_a_zero_byte_read_and_is_read_after_it()
    {
        Task<int> waiting = _stream.ReadAsync(Memory<byte>.Empty).AsTask();
        _far.Shutdown(SocketShutdown.Send);

        Assert.Equal(0, await waiting.WaitAsync(WireWorld.Patience));
        Assert.Equal(0, await _stream.ReadAsync(new byte[4]).AsTask().WaitAsync(WireWorld.Patience));
    }

    [Fact]
    public async Task A_reset_is_told_by_the_zero_byte_read_because_the_system_tells_it_once()
    {
        Task<int> waiting = _stream.ReadAsync(Memory<byte>.Empty).AsTask();
        _far.Close(timeout: 0);

        SocketException fault = await Assert.ThrowsAsync<SocketException>(() => waiting.WaitAsync(WireWorld.Patience));
        Assert.Equal(SocketError.ConnectionReset, fault.SocketErrorCode);
    }
}
