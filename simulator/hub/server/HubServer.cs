using System.Net;
using System.Net.Sockets;
using System.Text;
using Agent.Events;
using Agent.Wire;

namespace Agent.Hub;

/// <summary>The hub machine on real sockets: MQTT 3.1.1 over TLS, SAS tokens, one connection per device.</summary>
/// <remarks>
/// This driver decides nothing about connections. It reads packets into facts (who, with what credential, what topic),
/// tells them to <see cref="IotHub"/> under one short lock, and carries out the answers: a CONNACK, an older connection to
/// drop, a record, the moment to ask again. Signatures are checked outside the lock, and a telemetry message takes no lock
/// of the machine at all: the time of the last packet is read from the session when silence is judged.
/// What the hub keeps is changed in memory and appended to the journal under the lock that orders it; the answer goes out when
/// the journal has it on the disk, outside any lock. Packets that need no such wait are answered at once.
/// </remarks>
public sealed partial class HubServer : IHubLog, IAsyncDisposable
{
    private readonly Lock gate = new();
    private readonly HubServerOptions options;
    private readonly TimeProvider time;
    private readonly IotHub hub;
    private readonly ConnectionsLog log;
    private readonly EventLines lines;
    private readonly HubDeadlines deadlines;
    private readonly HubEvents? events;
    private HubConnection?[] holders;
    private MqttServer server = null!;
    private int lastLink;
    private long telemetryCount;
    private volatile bool stopping;

    // Who is being judged while the machine runs: Record has no other way to know.
    private HubConnection? candidate;
    private string? candidateCause;

    private HubServer(HubServerOptions options, HubData data)
    {
        this.options = options;
        Data = data;
        time = options.Time;
        hub = new IotHub(options.Hub, data.Registry.Devices.Count, this);
        foreach (Device device in data.Registry.Devices)
        {
            hub.SetEnabled(device.Index, device.IsEnabled);
            if (data.Kept.TryGetValue(device.FullId, out KeptState? kept))
            {
                Restore(device, kept);
            }
        }

        data.Kept.Clear();
        holders = new HubConnection?[data.Registry.Devices.Count];
        log = new ConnectionsLog(
            data.ConnectionsPath, data.Registry.HostName, options.Events?.Logs is null ? null : line => events?.OnLogLine(line));
        lines = new EventLines(options.Lines, time);
        deadlines = new HubDeadlines(time, data.Registry.Devices.Count, OnWake);
        commandWakes = new HubDeadlines(time, data.Registry.Devices.Count, OnCommandWake);
        feedback = new FeedbackQueue(UtcMs());
        throttles = new Throttles(options.Hub);
        quota = new DailyQuota(options.Hub);
        delayed = new DelayedAnswers(time);
        Metrics = new HubMetrics(UtcMs());
        states = new ConnectionStateView(options.Hub.ConnectionStateLagMs);
        faultTimer = time.CreateTimer(_ => RunFaults(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        metricsTimer = time.CreateTimer(_ => OnMetricsTimer(), null, MetricsEvery, MetricsEvery);
        methodTimer = time.CreateTimer(_ => OnMethodWake(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        events = options.Events is null
            ? null
            : HubEvents.Start(OnClock(options.Events), data.Registry.Devices.Count, DeviceAt);
        foreach (Device device in data.Registry.Devices)
        {
            // What was queued before the last start may be due already.
            Pump(device);
        }
    }

    /// <summary>Certificates, registry, files.</summary>
    public HubData Data { get; }

    /// <summary>The identities served.</summary>
    public Registry Registry => Data.Registry;

    /// <summary>Deliveries to the outside; null = none.</summary>
    public HubEvents? Events => events;

    /// <summary>The most recent device-to-cloud messages.</summary>
    public TelemetryRing Telemetry { get; } = new();

    /// <summary>Device-to-cloud messages accepted since the start.</summary>
    public long TelemetryCount => Interlocked.Read(ref telemetryCount);

    /// <summary>Where MQTT is served.</summary>
    public IPEndPoint EndPoint => server.LocalEndPoint;

    /// <summary>TCP connections open now, refused and half-open ones included.</summary>
    public int ConnectionCount => server.ConnectionCount;

    /// <summary>Devices connected now.</summary>
    public int ConnectedCount
    {
        get
        {
            lock (gate)
            {
                return holders.Count(holder => holder is not null);
            }
        }
    }

    /// <summary>Opens the data folder and listens.</summary>
    /// <exception cref="HubDataException">The folder holds something damaged, or another hub uses it.</exception>
    /// <exception cref="SocketException">The port cannot be had.</exception>
    /// <exception cref="TlsEngineException">The engine asked for is not to be had here.</exception>
    public static HubServer Start(HubServerOptions options)
    {
        TextWriter? told = options.Lines;
        HubData data = HubData.Open(
            options.DataDirectory, options.Devices, options.Time, options.DeviceIds,
            new JournalOptions { Synchronise = options.Synchronise, Lines = line => told?.WriteLine(line) });
        HubServer? made = null;
        try
        {
            made = new HubServer(options, data);
            made.Listen();
            return made;
        }
        catch
        {
            made?.DisposeTimers();
            made?.log.Dispose();
            data.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Enables or disables an identity. A connected one is thrown out at once, without a word, as the cloud does.
    /// </summary>
    public void SetEnabled(Device device, bool enabled)
    {
        lock (registryGate)
        {
            Enable(device, enabled);
            Keep(new JournalBatch().Put(JournalKeys.Device(device.FullId), HubData.StateOf(device)));
        }

        if (!enabled)
        {
            Cut(device, Reason.DeviceDisabled);
        }
    }

    /// <summary>Closes every connection and stops. Clients see FIN; no record is written for what the hub itself ends.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (gate)
        {
            stopping = true;
        }

        await server.StopAsync().ConfigureAwait(false);
        DisposeTimers();
        if (events is not null)
        {
            await events.DisposeAsync().ConfigureAwait(false);
        }

        await lines.DisposeAsync().ConfigureAwait(false);
        log.Dispose();
        Data.Dispose();
    }

    /// <inheritdoc/>
    void IHubLog.Record(long nowMs, int device, LogKind kind)
    {
        NoteState(device, kind);
        events?.OnRecord(device, kind);
        options.OnRecord?.Invoke(device, kind);
        bool isConnect = kind is LogKind.Connect or >= LogKind.ConnectUnauthorized;
        HubConnection? about = isConnect ? candidate : holders[device];
        log.Write(new ConnectionsRecord
        {
            UtcMs = UtcMs(),
            Kind = kind,
            DeviceId = Registry.Devices[device].Utf8Id,
            SdkVersion = about?.SdkVersion,
            MaskedAddress = about?.MaskedAddress,
            ByPolicy = about?.ByPolicy ?? false,
            Cause = kind switch
            {
                LogKind.ConnectUnauthorized => candidateCause,
                LogKind.ConnectDisabled => "the device is disabled",
                _ => null,
            },
        });
    }

    private void Listen() => server = MqttServer.Start(
        new IPEndPoint(options.Bind, options.Port),
        options.Watch?.Invoke(new FaultGate(this)) ?? new FaultGate(this),
        new ServerOptions
        {
            Tls = new TlsServer(Data.ServerCertificate, engine: options.TlsEngine),
            ConnectTimeout = options.ConnectWithin,
            Time = time,
            Limits = new SessionLimits { CloseLinger = TimeSpan.FromSeconds(1) },
        });

    private void DisposeTimers()
    {
        deadlines.Dispose();
        commandWakes.Dispose();
        methodTimer.Dispose();
        metricsTimer.Dispose();
        lock (orderGate)
        {
            faultTimer.Dispose(); // A step under way is over before the log closes.
        }

        delayed.Dispose();
    }

    /// <summary>The deliveries on this hub's clock and with its lines.</summary>
    private HubEventsOptions OnClock(HubEventsOptions asked) => asked with
    {
        Time = time,
        Lines = lines.Write,
        Events = asked.Events is null ? null : asked.Events with { Time = time },
        Logs = asked.Logs is null ? null : asked.Logs with { Time = time },
    };

    private Device DeviceAt(int index) => Registry.Devices[index];

    private long UtcMs() => time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>The timer: ends every connection whose token or silence is due.</summary>
    private void OnWake()
    {
        var ended = new List<HubConnection>();
        lock (gate)
        {
            long nowMs = time.NowMs();
            while (!stopping && deadlines.TryTakeDue(nowMs, out int device))
            {
                Judge(nowMs, device, ended);
            }
        }

        foreach (HubConnection connection in ended)
        {
            connection.Session.Close(SessionEnd.HandlerClosed);
        }
    }

    private void Judge(long nowMs, int device, List<HubConnection> ended)
    {
        if (holders[device] is not { } holder)
        {
            return;
        }

        if (resting.Contains(device))
        {
            return; // Asked again when the rest is over.
        }

        hub.OnPacket(holder.Session.LastInboundMs, device, holder.Link);
        Reason reason = hub.OnDeadline(nowMs, device, out _);
        if (reason == Reason.None)
        {
            deadlines.Arm(device, hub.DeadlineMs(nowMs, device));
            return;
        }

        Release(holder, takenOver: false);
        holder.Cause = reason == Reason.TokenExpired
            ? "the token has been expired for longer than the grace (401003, 404104)"
            : "nothing heard for longer than 1.5 times the keep-alive (404104)";
        Tell(holder, device, reason);
        ended.Add(holder);
    }

    /// <summary>A refusal that never reaches the machine because the identity is not known to it.</summary>
    private void RecordUnknown(HubConnection connection, ReadOnlySpan<byte> idAsSent, string cause) =>
        log.Write(new ConnectionsRecord
        {
            UtcMs = UtcMs(),
            Kind = LogKind.ConnectUnauthorized,
            DeviceId = idAsSent[..Math.Min(idAsSent.Length, Hub.Registry.IdLengthMax)],
            SdkVersion = connection.SdkVersion,
            MaskedAddress = connection.MaskedAddress,
            Cause = cause,
        });

    /// <summary>The client's own name for itself, without its parentheses: <c>azure-iot-device/1.18.4</c>.</summary>
    private static string ShortSdk(HubConnection connection)
    {
        ReadOnlySpan<byte> text = connection.SdkVersion;
        int end = text.IndexOfAny((byte)' ', (byte)'(');
        text = end < 0 ? text : text[..end];
        return text.IsEmpty ? "" : $" ({EventLines.Clean(text)})";
    }

    private static byte[] DecodeSdk(ReadOnlySpan<byte> encoded)
    {
        // Long enough for every SDK; what is longer is cut, not refused.
        const int LengthMax = 512;
        ReadOnlySpan<byte> kept = encoded[..Math.Min(encoded.Length, LengthMax)];
        return kept.IsEmpty ? [] : Encoding.UTF8.GetBytes(PercentText.DecodeLenient(kept));
    }
}
