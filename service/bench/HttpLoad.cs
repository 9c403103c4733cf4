using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Agent.Service;

/// <summary>Event Grid's side of a load: bodies of heartbeats in the documented shape, made beforehand.</summary>
internal static class HttpLoad
{
    private const string Topic =
        "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/LOCAL/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/HUB1";

    private const int Devices = 100_000;
    private const int EventsPerBody = 500;
    private const int Bodies = 64;
    private const int Connections = 4;
    private static readonly TimeSpan Warm = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Measured = TimeSpan.FromSeconds(6);

    /// <summary>Heartbeats decoded a second by one thread.</summary>
    public static double MeasureDecoding(out double allocatedBytesPerEvent)
    {
        byte[][] bodies = MakeBodies(TimeProvider.System.GetUtcNow());
        var outcome = new ReadOutcome();
        foreach (byte[] body in bodies)
        {
            Decode(body, outcome);
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread();
        var watch = Stopwatch.StartNew();
        const int Rounds = 20;
        for (int round = 0; round < Rounds; round++)
        {
            foreach (byte[] body in bodies)
            {
                Decode(body, outcome);
            }
        }

        double events = (double)Rounds * Bodies * EventsPerBody;
        double seconds = watch.Elapsed.TotalSeconds;
        allocatedBytesPerEvent = (GC.GetAllocatedBytesForCurrentThread() - allocated) / events;
        return events / seconds;
    }

    /// <summary>Heartbeats taken in, kept and answered a second.</summary>
    public static async Task<double> MeasureAsync(string folder)
    {
        byte[][] requests = [.. MakeBodies(TimeProvider.System.GetUtcNow()).Select(Request)];
        await using WebApplication application = Server.Build(new ServiceOptions { Port = 0, Folder = folder }, TimeProvider.System);
        await application.StartAsync();
        int port = new Uri(application.Urls.First()).Port;
        var until = Stopwatch.StartNew();
        long answered = 0;
        Task[] senders = [.. Enumerable.Range(0, Connections).Select(sender => Task.Run(() =>
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            socket.Connect(IPAddress.Loopback, port);
            byte[] answer = new byte[4096];
            for (int i = sender; until.Elapsed < Warm + Measured; i += Connections)
            {
                Exchange(socket, requests[i % Bodies], answer);
                if (until.Elapsed > Warm)
                {
                    Interlocked.Add(ref answered, EventsPerBody);
                }
            }
        }))];
        await Task.WhenAll(senders);
        return answered / Measured.TotalSeconds;
    }

    private static void Decode(byte[] body, ReadOutcome outcome)
    {
        outcome.Clear();
        if (!EventGridReader.TryRead(body, outcome) || outcome.Facts.Count != EventsPerBody)
        {
            throw new IOException("the benchmark's own body was not understood: " + outcome.Error);
        }
    }

    private static byte[][] MakeBodies(DateTimeOffset now)
    {
        byte[][] bodies = new byte[Bodies][];
        for (int b = 0; b < Bodies; b++)
        {
            var text = new StringBuilder(EventsPerBody * 1000);
            for (int i = 0; i < EventsPerBody; i++)
            {
                int device = (((b * EventsPerBody) + i) * 61) % Devices;
                string id = BenchFleet.Id(device);
                string moment = now.AddMilliseconds(-i).ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
                text.Append(i == 0 ? '[' : ',')
                    .Append($$"""{"id":"f6bbf8f4-d365-520d-a878-17bf{{b:x4}}{{i:x4}}","topic":"{{Topic}}","subject":"devices/{{id}}",""")
                    .Append($$""" "eventType":"Microsoft.Devices.DeviceTelemetry","eventTime":"{{moment}}",""")
                    .Append(""" "data":{"body":"","properties":""")
                    .Append($$"""{"type":"heartbeat","seq":"{{i}}","interval":"60","renewal":"3000"},"systemProperties":""")
                    .Append($$"""{"iothub-connection-device-id":"{{id}}","iothub-connection-auth-method":""")
                    .Append(""" "{\"scope\":\"device\",\"type\":\"sas\",\"issuer\":\"iothub\",\"acceptingIpFilterRule\":null}",""")
                    .Append($$""" "iothub-connection-auth-generation-id":"637388034455888246","iothub-enqueuedtime":"{{moment}}",""")
                    .Append(""" "iothub-message-source":"Telemetry"}},"dataVersion":"","metadataVersion":"1"}""");
            }

            bodies[b] = Encoding.UTF8.GetBytes(text.Append(']').ToString());
        }

        return bodies;
    }

    private static byte[] Request(byte[] body)
    {
        string head = $"POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json; charset=utf-8\r\n"
            + $"aeg-event-type: Notification\r\nContent-Length: {body.Length}\r\n\r\n";
        return [.. Encoding.ASCII.GetBytes(head), .. body];
    }

    private static void Exchange(Socket socket, byte[] request, byte[] answer)
    {
        for (int sent = 0; sent < request.Length;)
        {
            sent += socket.Send(request.AsSpan(sent));
        }

        int length = 0;
        while (!IsWhole(answer.AsSpan(0, length)))
        {
            int read = socket.Receive(answer.AsSpan(length));
            length += read;
            if (read == 0)
            {
                throw new IOException("the service closed the connection");
            }
        }

        if (!answer.AsSpan().StartsWith("HTTP/1.1 200"u8))
        {
            throw new IOException("the service answered " + Encoding.ASCII.GetString(answer, 0, Math.Min(length, 200)));
        }
    }

    // Kestrel sends JSON of unknown length in chunks; the last one is empty.
    private static bool IsWhole(ReadOnlySpan<byte> answer) => answer.EndsWith("\r\n0\r\n\r\n"u8);
}
