using System.Text;
using System.Threading.Channels;
using Agent.Host;

namespace Agent.Tests.Host;

/// <summary>The agent program without its command line, running in the background; its lines can be waited for.</summary>
internal sealed class AgentRun : IAsyncDisposable
{
    public const string Key = "c2ltdWxhdGVkLWRldmljZS1rZXktMDEyMzQ1Njc4OWFi";

    private readonly CancellationTokenSource _stop = new();
    private readonly Lines _lines = new();
    private readonly Task _running;

    public AgentRun(FakeHub hub, string host = "localhost", bool trusted = true)
    {
        string text = $"HostName=test.hub;DeviceId=d-1;SharedAccessKey={Key};GatewayHostName={host}";
        Assert.True(ConnectionString.TryParse(text, out ConnectionString? identity, out _));
        AgentOptions options = new(
            identity, hub.Port, trusted ? hub.Roots : null, null, Core.Build.Settings(heartbeat: 86400));
        Driver = new AgentDriver(options, StateFolder.Open(null), new HostClock(TimeProvider.System), 1, _lines);
        _running = Driver.RunAsync(_stop.Token);
    }

    /// <summary>The program itself.</summary>
    public AgentDriver Driver { get; }

    /// <summary>Everything printed so far.</summary>
    public string Printed => _lines.All;

    /// <summary>The next line that holds a text; lines before it are passed over.</summary>
    public async Task<string> LineAsync(string part)
    {
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(30));
        await foreach (string line in _lines.Incoming.Reader.ReadAllAsync(patience.Token))
        {
            if (line.Contains(part, StringComparison.Ordinal))
            {
                return line;
            }
        }

        throw new EndOfStreamException();
    }

    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await _running;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _stop.Dispose();
    }

    private sealed class Lines : StringWriter
    {
        private readonly Lock _gate = new();
        private readonly StringBuilder _all = new();

        public Channel<string> Incoming { get; } = Channel.CreateUnbounded<string>();

        public string All
        {
            get
            {
                lock (_gate)
                {
                    return _all.ToString();
                }
            }
        }

        public override void WriteLine(string? value)
        {
            lock (_gate)
            {
                _all.AppendLine(value);
            }

            Incoming.Writer.TryWrite(value ?? "");
        }
    }
}
