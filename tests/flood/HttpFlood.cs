using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Agent.Tests.Flooding;

/// <summary>Many callers of the heartbeat checker, each misbehaving in its own way again and again.</summary>
internal sealed class HttpFlood(int port)
{
    // Of a hundred callers.
    private static readonly (HttpWay Way, int Share)[] Shares =
    [
        (HttpWay.Silent, 30), (HttpWay.SlowHeaders, 14), (HttpWay.HugeHeaders, 3), (HttpWay.SlowBody, 14), (HttpWay.GigabyteBody, 4),
        (HttpWay.EndlessChunks, 2), (HttpWay.DeepJson, 3), (HttpWay.BadUtf8, 4), (HttpWay.WrongSchema, 4), (HttpWay.HalfClosed, 8),
        (HttpWay.TlsGarbage, 6), (HttpWay.Garbage, 6), (HttpWay.NeverReads, 2),
    ];

    private static readonly TimeSpan OpeningTime = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan ComingTimeMax = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<(HttpWay Way, string Answer), long> answers = new();
    private readonly TaskCompletionSource allCame = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long dialled;
    private long failed;
    private int missing;

    /// <summary>Floods for so long after every caller has come once, which a busy machine takes its time for.</summary>
    public async Task RunAsync(int callers, TimeSpan length)
    {
        missing = callers;
        using var over = new CancellationTokenSource();
        Task[] all = [.. Enumerable.Range(0, callers).Select(index => Task.Run(
            () => ComeAgainAsync(index, OpeningTime * index / callers, over.Token), CancellationToken.None))];
        await Task.WhenAny(allCame.Task, Task.Delay(ComingTimeMax));
        over.CancelAfter(length);
        await Task.WhenAll(all);
    }

    /// <summary>Lines <c>dialled N</c>, <c>failed N</c>, and <c>WAY ANSWER N</c>, where the answer is a status or <c>-</c>.</summary>
    public string Report() => string.Join('\n', answers
        .OrderBy(pair => pair.Key.Way).ThenBy(pair => pair.Key.Answer, StringComparer.Ordinal)
        .Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Key.Way} {pair.Key.Answer} {pair.Value}"))
        .Prepend(string.Create(CultureInfo.InvariantCulture, $"failed {failed}"))
        .Prepend(string.Create(CultureInfo.InvariantCulture, $"dialled {dialled}")));

    private async Task ComeAgainAsync(int index, TimeSpan first, CancellationToken over)
    {
        var random = new Random(index);
        HttpWay way = WayOf(index % 100);
        try
        {
            await Task.Delay(first, over);
            for (bool isFirst = true; ; isFirst = false)
            {
                await MisbehaveAsync(way, isFirst, random, over);
                await Task.Delay(TimeSpan.FromMilliseconds(random.Next(5000, 10_000)), over);
            }
        }
        catch (OperationCanceledException)
        {
            // Over.
        }
    }

    private async Task MisbehaveAsync(HttpWay way, bool isFirst, Random random, CancellationToken over)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, port, over);
            Interlocked.Increment(ref dialled);
        }
        catch (SocketException)
        {
            Interlocked.Increment(ref failed);
            return;
        }
        finally
        {
            if (isFirst && Interlocked.Decrement(ref missing) == 0)
            {
                allCame.SetResult();
            }
        }

        string answer = "-";
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(over);
        using var stream = new NetworkStream(socket);
        Task<string> reading = way == HttpWay.NeverReads ? Task.FromResult("-") : ReadAnswerAsync(stream, leaving.Token);
        try
        {
            Task writing = WriteAsync(way, stream, socket, random, leaving.Token);
            // Whoever is answered or thrown out stops writing.
            await Task.WhenAny(Task.WhenAll(reading, writing), way == HttpWay.NeverReads ? writing : reading);
            answer = await reading;
        }
        finally
        {
            await leaving.CancelAsync();
        }

        answers.AddOrUpdate((way, answer), 1, static (_, count) => count + 1);
    }

    private static async Task WriteAsync(HttpWay way, NetworkStream stream, Socket socket, Random random, CancellationToken over)
    {
        try
        {
            switch (way)
            {
                case HttpWay.Silent:
                    break;
                case HttpWay.SlowHeaders:
                    await TrickleAsync(stream, "GET /devices HTTP/1.1\r\nHost: localhost\r\nX: "u8.ToArray(), over);
                    break;
                case HttpWay.HugeHeaders:
                    await stream.WriteAsync("GET / HTTP/1.1\r\nHost: localhost\r\n"u8.ToArray(), over);
                    for (int number = 0; ; number++)
                    {
                        await stream.WriteAsync(Encoding.ASCII.GetBytes($"X-{number}: {new string('x', 1000)}\r\n"), over);
                    }

                case HttpWay.SlowBody:
                    await stream.WriteAsync(Head("Content-Length: 2000000"), over);
                    await TrickleAsync(stream, new byte[200], over);
                    break;
                case HttpWay.GigabyteBody:
                    await stream.WriteAsync(Head("Content-Length: 1073741824"), over);
                    await PourAsync(stream, new byte[65_536], 16_384, over);
                    break;
                case HttpWay.EndlessChunks:
                    await stream.WriteAsync(Head("Transfer-Encoding: chunked"), over);
                    byte[] chunk = [.. "10000\r\n"u8, .. Enumerable.Repeat((byte)' ', 65_536), .. "\r\n"u8];
                    await PourAsync(stream, chunk, 16_384, over);
                    break;
                case HttpWay.DeepJson:
                    string deep = new('[', 100_000);
                    await SendBodyAsync(stream, Encoding.ASCII.GetBytes(deep + deep.Replace('[', ']')), over);
                    break;
                case HttpWay.BadUtf8:
                    await SendBodyAsync(stream, [.. "[{\"eventType\":\""u8, 0xC3, 0x28, 0xFF, .. "\"}]"u8], over);
                    break;
                case HttpWay.WrongSchema:
                    await SendBodyAsync(stream, """[{"temperature":21.5,"deviceId":"honest-0001"}]"""u8.ToArray(), over);
                    break;
                case HttpWay.HalfClosed:
                    await stream.WriteAsync(Head("Content-Length: 100"), over);
                    socket.Shutdown(SocketShutdown.Send);
                    break;
                case HttpWay.TlsGarbage:
                    await stream.WriteAsync((byte[])[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, .. Noise(random)], over);
                    break;
                case HttpWay.Garbage:
                    await stream.WriteAsync(Noise(random), over);
                    break;
                case HttpWay.NeverReads:
                    byte[] ask = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray();
                    await PourAsync(stream, ask, 1_000_000, over);
                    break;
            }
        }
        catch (Exception end) when (end is IOException or SocketException or OperationCanceledException)
        {
            // Thrown out, or done.
        }
    }

    private static byte[] Head(string length) => Encoding.ASCII.GetBytes(
        $"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{length}\r\n\r\n");

    private static async Task SendBodyAsync(NetworkStream stream, byte[] body, CancellationToken over)
    {
        await stream.WriteAsync(Head($"Content-Length: {body.Length.ToString(CultureInfo.InvariantCulture)}"), over);
        await stream.WriteAsync(body, over);
    }

    private static async Task PourAsync(NetworkStream stream, byte[] bytes, int times, CancellationToken over)
    {
        for (int i = 0; i < times; i++)
        {
            await stream.WriteAsync(bytes, over);
        }
    }

    private static async Task TrickleAsync(NetworkStream stream, byte[] bytes, CancellationToken over)
    {
        foreach (byte one in bytes)
        {
            await stream.WriteAsync((byte[])[one], over);
            await Task.Delay(Second, over);
        }
    }

    // The status of the first answer; "-" = the connection ended without one.
    private static async Task<string> ReadAnswerAsync(NetworkStream stream, CancellationToken over)
    {
        byte[] buffer = new byte[64];
        int length = 0;
        try
        {
            while (length < 12 && await stream.ReadAsync(buffer.AsMemory(length), over) is > 0 and var count)
            {
                length += count;
            }
        }
        catch (Exception end) when (end is IOException or SocketException)
        {
            return "-";
        }

        return length >= 12 ? Encoding.ASCII.GetString(buffer, 9, 3) : "-";
    }

    private static byte[] Noise(Random random)
    {
        byte[] noise = new byte[random.Next(1, 500)];
        random.NextBytes(noise);
        return noise;
    }

    private static HttpWay WayOf(int percent)
    {
        int entry = 0;
        for (int below = Shares[0].Share; percent >= below; below += Shares[entry].Share)
        {
            entry++;
        }

        return Shares[entry].Way;
    }
}
