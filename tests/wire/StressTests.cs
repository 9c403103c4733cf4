using System.Buffers.Binary;
using System.Collections.Concurrent;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>Many threads and many endings at once over real sockets; the draw is seeded, the interleaving is not.</summary>
public abstract class StressTests(TlsEngine engine, ITestOutputHelper output)
{
    public sealed class Portable(ITestOutputHelper output) : StressTests(TlsEngine.Portable, output);

    public sealed class Native(ITestOutputHelper output) : StressTests(TlsEngine.Native, output);

    private readonly TlsEngine engine = WireWorld.Demand(engine);

    private const int Seed = 20_260_312;

    [Fact]
    public async Task Messages_from_several_threads_arrive_whole_and_in_each_threads_order()
    {
        const int threads = 4;
        const int each = 2000;
        var server = new Subscribers();
        await using WireWorld world = await WireWorld.StartAsync(engine, handler: server);
        var client = new Counting(threads, each);
        ClientSession session = await ClientSession.DialAsync(world.Server.LocalEndPoint, WireWorld.Client(engine), client);
        session.SendConnect(new ConnectPacket { ClientId = "many"u8 });
        session.SendSubscribe(1, new TopicFilter("#"));
        ServerSession far = await server.First.WaitAsync(WireWorld.Patience);
        await Task.WhenAll(Enumerable.Range(0, threads).Select(thread => Task.Run(() => SendAll(far, thread, each))));
        await client.Complete.WaitAsync(WireWorld.Patience);
        Assert.False(client.Overlapped);
        session.Close();
    }

    [Fact]
    public async Task Every_connection_that_ends_in_any_way_is_told_once_at_both_ends_and_leaves_nothing()
    {
        const int connections = 300;
        output.WriteLine($"seed {Seed}, {connections} connections");
        var random = new Random(Seed);
        int[] endings = [.. Enumerable.Range(0, connections).Select(_ => random.Next(6))];
        var server = new Subscribers();
        var client = new Ends();
        await using WireWorld world = await WireWorld.StartAsync(engine, handler: server);
        await Parallel.ForEachAsync(
            endings, new ParallelOptions { MaxDegreeOfParallelism = 16 },
            async (ending, _) => await LiveAndDieAsync(world, client, ending));
        await client.WhenAsync(connections).WaitAsync(WireWorld.Patience);
        await world.Server.StopAsync().WaitAsync(WireWorld.Patience);
        Assert.Equal(0, world.Server.ConnectionCount);
        Assert.Equal(connections + 1, server.ClosedCount);
        Assert.False(server.Overlapped);
        Assert.False(client.Overlapped);
        IEnumerable<string> closed = server.Calls.Where(call => call.StartsWith("closed", StringComparison.Ordinal));
        foreach (IGrouping<string, string> group in closed.GroupBy(call => call))
        {
            output.WriteLine($"{group.Count(),5} {group.Key}");
        }
    }

    private async Task LiveAndDieAsync(WireWorld world, Ends client, int ending)
    {
        var ready = new TaskCompletionSource<ServerSession?>(TaskCreationOptions.RunContinuationsAsynchronously);
        ClientSession near = await ClientSession.DialAsync(world.Server.LocalEndPoint, WireWorld.Client(engine), client, ready);
        using (near.BeginBatch())
        {
            near.SendConnect(new ConnectPacket { ClientId = "s"u8 });
            near.SendPublish("a"u8, new byte[5000], 1, 1);
        }

        await ready.Task.WaitAsync(WireWorld.Patience);
        ServerSession far = ((Subscribers)world.Handler).ByPort[near.LocalEndPoint!.Port];
        Task noise = Task.Run(() => SendSome(far, near));
        switch (ending)
        {
            case 0:
                near.Close();
                break;
            case 1:
                near.Close(reset: true);
                break;
            case 2:
                far.Close();
                break;
            case 3:
                far.Close(SessionEnd.HandlerClosed, reset: true);
                break;
            case 4:
                near.SendDisconnect();
                near.Close();
                break;
            default:
                far.Close();
                near.Close();
                break;
        }

        await noise;
    }

    private static void SendSome(ServerSession far, ClientSession near)
    {
        byte[] payload = new byte[3000];
        for (int count = 0; count < 20; count++)
        {
            far.SendPublish("n"u8, payload, 0, 0);
            near.SendPublish("n"u8, payload, 0, 0);
        }
    }

    private static void SendAll(ServerSession far, int thread, int count)
    {
        byte[] payload = new byte[8 + (thread * 31)];
        for (int number = 0; number < count; number++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(payload, thread);
            BinaryPrimitives.WriteInt32LittleEndian(payload.AsSpan(4), number);
            Assert.True(far.SendPublish("t"u8, payload, 0, 0));
        }
    }

    private sealed class Subscribers : RecordingHandler
    {
        private readonly TaskCompletionSource<ServerSession> _first = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<ServerSession> First => _first.Task;

        public ConcurrentDictionary<int, ServerSession> ByPort { get; } = new();

        public override void OnConnect(ServerSession session, in ConnectPacket packet)
        {
            ByPort[session.RemoteEndPoint!.Port] = session;
            base.OnConnect(session, packet);
        }

        public override void OnSubscribe(ServerSession session, in SubscribePacket packet)
        {
            base.OnSubscribe(session, packet);
            _first.TrySetResult(session);
        }
    }

    /// <summary>Tells each session's tag when its PUBACK is there, and counts the ends.</summary>
    private sealed class Ends : RecordingHandler
    {
        private readonly SemaphoreSlim _ended = new(0);

        public async Task WhenAsync(int count)
        {
            for (int seen = 0; seen < count; seen++)
            {
                await _ended.WaitAsync();
            }
        }

        public override void OnPuback(ClientSession session, ushort packetId) =>
            ((TaskCompletionSource<ServerSession?>)session.Tag!).SetResult(null);

        public override void OnClosed(ClientSession session, SessionEnd end)
        {
            base.OnClosed(session, end);
            _ended.Release();
        }
    }

    private sealed class Counting(int threads, int each) : RecordingHandler
    {
        private readonly TaskCompletionSource _complete = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly int[] _next = new int[threads];

        public Task Complete => _complete.Task;

        public override void OnPublish(ClientSession session, in PublishPacket packet)
        {
            base.OnPublish(session, packet);
            int thread = BinaryPrimitives.ReadInt32LittleEndian(packet.Payload);
            int number = BinaryPrimitives.ReadInt32LittleEndian(packet.Payload[4..]);
            if (number != _next[thread]++ || packet.Payload.Length != 8 + (thread * 31))
            {
                _complete.TrySetException(new InvalidOperationException($"thread {thread} sent {number} out of order"));
            }

            if (_next.All(next => next == each))
            {
                _complete.TrySetResult();
            }
        }
    }
}
