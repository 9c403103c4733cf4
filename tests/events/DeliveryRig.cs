using System.Text.Json;
using System.Threading.Channels;
using Agent.Events;

namespace Agent.Tests.Events;

/// <summary>A receiver, a clock that a test moves, a folder for dead letters and a delivery between them.</summary>
internal sealed class DeliveryRig : IAsyncDisposable
{
    private readonly Channel<DeliveryNote> notes = Channel.CreateUnbounded<DeliveryNote>();
    private readonly string folder = Directory.CreateTempSubdirectory("agent-events-test-").FullName;
    private WebhookDelivery? delivery;
    private int published;

    private DeliveryRig(Receiver receiver, ManualTime time)
    {
        Receiver = receiver;
        Time = time;
    }

    public ManualTime Time { get; }

    public Receiver Receiver { get; }

    public WebhookDelivery Delivery => delivery!;

    public static async Task<DeliveryRig> StartAsync()
    {
        var time = new ManualTime();
        return new DeliveryRig(await Receiver.StartAsync(time), time);
    }

    /// <summary>A rig whose handshake is done.</summary>
    public static async Task<DeliveryRig> OpenAsync(int answer, Func<WebhookOptions, WebhookOptions>? change = null)
    {
        DeliveryRig rig = await StartAsync();
        rig.Receiver.Answer = _ => answer;
        rig.Deliver(change);
        DeliveryNote note = await rig.NoteAsync();
        Assert.Equal((DeliveryNoteKind.Handshake, DeliveryVerdict.Delivered), (note.Kind, note.Verdict));
        return rig;
    }

    public DeliveryOptions Options => new()
    {
        Url = Receiver.Url,
        Time = Time,
        Draw = () => 0,
        StopWithin = TimeSpan.Zero,
        OnNote = note => notes.Writer.TryWrite(note),
        DeadLetterFolder = folder,
    };

    public void Deliver(Func<WebhookOptions, WebhookOptions>? change = null)
    {
        DeliveryOptions basis = Options;
        var options = new WebhookOptions
        {
            Url = basis.Url,
            Time = basis.Time,
            Draw = basis.Draw,
            StopWithin = basis.StopWithin,
            OnNote = basis.OnNote,
            DeadLetterFolder = basis.DeadLetterFolder,
        };
        delivery = WebhookDelivery.Start(change is null ? options : change(options), "hub1");
    }

    public void Publish(int count = 1)
    {
        for (int i = 0; i < count; i++)
        {
            Delivery.Publish(new ConnectionStateEvent
            {
                Id = EventIds.Make(1, (ulong)published++),
                DeviceId = "boiler-1"u8,
                IsConnected = true,
                UtcMs = Time.GetUtcNow().ToUnixTimeMilliseconds(),
                Sequence = new EventSequence(1, published),
            });
        }
    }

    /// <summary>What happened next to the subscription.</summary>
    public ValueTask<DeliveryNote> NoteAsync() => notes.Reader.ReadAsync(TestContext.Current.CancellationToken);

    /// <summary>
    /// Moves the clock over a wait: first to a millisecond before its end, so that a request that came too early would show it
    /// in its moment.
    /// </summary>
    public void Wait(long waitMs)
    {
        Time.Advance(TimeSpan.FromMilliseconds(waitMs - 1));
        Time.Advance(TimeSpan.FromMilliseconds(1));
    }

    /// <summary>All dead letters, oldest file first, and where they are.</summary>
    public List<JsonElement> DeadLetters() =>
    [
        .. Directory.EnumerateFiles(folder, "*.json", SearchOption.AllDirectories)
            .OrderBy(File.GetCreationTimeUtc)
            .SelectMany(file => JsonDocument.Parse(File.ReadAllText(file)).RootElement.EnumerateArray()),
    ];

    public string[] DeadLetterFolders() =>
        [.. Directory.EnumerateFiles(folder, "*.json", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(folder, Path.GetDirectoryName(file)!).Replace('\\', '/'))];

    public async ValueTask DisposeAsync()
    {
        if (delivery is not null)
        {
            await delivery.DisposeAsync();
        }

        await Receiver.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }
}
