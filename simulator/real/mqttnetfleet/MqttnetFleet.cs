using System.Diagnostics;
using System.Security.Cryptography.X509Certificates;
using Agent.Load;
using MQTTnet;
using MQTTnet.Formatter;
using MQTTnet.Protocol;

namespace Agent.Real;

/// <summary>Many connections of bare MQTTnet in one process, used as its own examples use it.</summary>
internal sealed class MqttnetFleet
{
    private const int KeepAliveSeconds = 1200;

    private readonly LoadTarget target;
    private readonly X509Certificate2Collection roots = [];
    private readonly IMqttClient?[] clients;
    private readonly MqttApplicationMessage[] messages;

    public MqttnetFleet(LoadTarget target, string authority)
    {
        this.target = target;
        roots.ImportFromPemFile(authority);
        clients = new IMqttClient?[target.Count];
        messages = [.. Enumerable.Range(0, target.Count).Select(index => new MqttApplicationMessageBuilder()
            .WithTopic($"devices/{target.Id(index)}/messages/events/type=heartbeat&interval=60")
            .WithPayload("{}"u8.ToArray())
            .WithQualityOfServiceLevel(MqttQualityOfServiceLevel.AtLeastOnce)
            .Build())];
    }

    public LatencyCounts Acknowledgements { get; private set; } = new();

    public LatencyCounts Lag { get; private set; } = new();

    public int OpenCount => clients.Count(client => client is { IsConnected: true });

    public void Restart()
    {
        Acknowledgements = new LatencyCounts();
        Lag = new LatencyCounts();
    }

    public async Task<int> ConnectAsync(int count, int atOnce)
    {
        int failed = 0;
        await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = atOnce }, async (index, cancellation) =>
        {
            IMqttClient client = new MqttClientFactory().CreateMqttClient();
            try
            {
                MqttClientConnectResult result = await client.ConnectAsync(Describe(index), cancellation);
                failed += result.ResultCode == MqttClientConnectResultCode.Success ? 0 : 1;
                clients[index] = client;
            }
            catch (Exception fault) when (fault is not OperationCanceledException)
            {
                Interlocked.Increment(ref failed);
                client.Dispose();
            }
        });
        return failed;
    }

    public async Task LeaveAsync()
    {
        for (int index = 0; index < clients.Length; index++)
        {
            if (clients[index] is { } client)
            {
                clients[index] = null;
                await client.TryDisconnectAsync();
                client.Dispose();
            }
        }
    }

    public async Task<long> PumpAsync(int count, int batch, double seconds)
    {
        long end = Stopwatch.GetTimestamp() + (long)(seconds * Stopwatch.Frequency);
        long[] acknowledged = await Task.WhenAll(Enumerable.Range(0, Math.Min(count, clients.Length)).Select(async index =>
        {
            long mine = 0;
            while (clients[index] is { IsConnected: true } client && Stopwatch.GetTimestamp() < end)
            {
                long begin = Stopwatch.GetTimestamp();
                await Task.WhenAll(Enumerable.Range(0, batch).Select(_ => client.PublishAsync(messages[index])));
                Acknowledgements.Add((long)Stopwatch.GetElapsedTime(begin).TotalMicroseconds);
                mine += batch;
            }

            return mine;
        }));
        return acknowledged.Sum();
    }

    public async Task<(long Sent, long Unsent)> SendAsync(double perSecond, double seconds)
    {
        long begin = Stopwatch.GetTimestamp();
        long total = (long)(perSecond * seconds);
        long unsent = 0;
        var under = new List<Task>();
        for (long number = 0; number < total;)
        {
            double lateSeconds = Stopwatch.GetElapsedTime(begin).TotalSeconds - (number / perSecond);
            if (lateSeconds < 0)
            {
                await Task.Delay(1);
                continue;
            }

            Lag.Add((long)(lateSeconds * 1e6));
            int index = (int)(number % clients.Length);
            if (clients[index] is { IsConnected: true } client)
            {
                under.Add(SendOneAsync(client, index));
            }
            else
            {
                unsent++;
            }

            number++;
        }

        await Task.WhenAll(under);
        return (total - unsent, unsent);
    }

    private async Task SendOneAsync(IMqttClient client, int index)
    {
        long begin = Stopwatch.GetTimestamp();
        await client.PublishAsync(messages[index]);
        Acknowledgements.Add((long)Stopwatch.GetElapsedTime(begin).TotalMicroseconds);
    }

    private MqttClientOptions Describe(int index)
    {
        MqttClientOptionsBuilder builder = new MqttClientOptionsBuilder()
            .WithProtocolVersion(MqttProtocolVersion.V311)
            .WithTcpServer("localhost", target.Remote.Port)
            .WithTlsOptions(tls => tls.UseTls().WithTargetHost("localhost").WithCertificateValidationHandler(IsTrusted))
            .WithClientId(target.Id(index))
            .WithCleanSession(true)
            .WithKeepAlivePeriod(TimeSpan.FromSeconds(KeepAliveSeconds));
        long expiry = DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 3600;
        return target.TokenOf(index, expiry) is { } token
            ? builder.WithCredentials($"{target.HostName}/{target.Id(index)}/?api-version=2021-04-12", token).Build()
            : builder.Build();
    }

    private bool IsTrusted(MqttClientCertificateValidationEventArgs peer)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.CustomTrustStore.AddRange(roots);
        return peer.Certificate is X509Certificate2 certificate && chain.Build(certificate);
    }
}
