using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading.Channels;
using Agent.Core;
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
        : this(Text(host), trusted ? hub.Roots : null, hub.Port)
    {
    }

    public AgentRun(
        string connectionString, X509Certificate2Collection? roots, int port, TokenSettings? settings = null, string? folder = null,
        TimeProvider? time = null, int probePort = 1, int dialSeconds = 30)
    {
        Assert.True(ConnectionString.TryParse(connectionString, out ConnectionString? identity, out _));
        AgentOptions options = new(identity, port, roots, folder, settings ?? Core.Build.Settings(heartbeat: 86400))
        {
            ProbePort = probePort,
            DialTimeout = TimeSpan.FromSeconds(dialSeconds),
        };
        Driver = new AgentDriver(options, StateFolder.Open(folder), new HostClock(time ?? TimeProvider.System), 1, _lines);
        _running = Driver.RunAsync(_stop.Token);
    }

    /// <summary>The program itself.</summary>
    public AgentDriver Driver { get; }

    /// <summary>Ends with the program.</summary>
    public Task Ended => _running;

    /// <summary>Everything printed so far.</summary>
    public string Printed => _lines.All;

    public static string Text(string host) => $"HostName=test.hub;DeviceId=d-1;SharedAccessKey={Key};GatewayHostName={host}";

    /// <summary>The next line that holds a text; lines before it are passed over.</summary>
    public async Task<string> LineAsync(string part, int seconds = 60)
    {
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(seconds));
        await foreach (string line in _lines.Incoming.Reader.ReadAllAsync(patience.Token))
        {
            if (line.Contains(part, StringComparison.Ordinal))
            {
                return line;
            }
        }

        throw new EndOfStreamException();
    }

    /// <summary>Asks the agent something between two of its turns.</summary>
    public async Task<T> AskAsync<T>(Func<DeviceAgent, T> question)
    {
        TaskCompletionSource<T> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Driver.Do((agent, _) => answer.TrySetResult(question(agent)));
        return await answer.Task.WaitAsync(TimeSpan.FromSeconds(30));
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
