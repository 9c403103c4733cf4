using System.Diagnostics;
using Agent.Service.Alarms;
using Agent.Tests.Hub;

namespace Agent.Tests.Service.Alarms;

/// <summary>The example receiver is run as its reader would run it.</summary>
[Collection(RealTime.Name)]
public sealed class ReceiverExampleTests
{
    [Fact]
    public async Task The_example_takes_what_is_signed_knows_a_repetition_and_refuses_a_stranger()
    {
        string node = Tool.Find("node");
        string script = Path.Combine(HubFolder.Repository(), "service", "alarms", "receiver.mjs");
        var start = new ProcessStartInfo(node, [script]) { RedirectStandardOutput = true };
        start.Environment["WEBHOOK_SECRET"] = Notices.SecretText;
        using Process process = Process.Start(start)!;
        try
        {
            string first = (await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken))!;
            var url = new Uri($"http://127.0.0.1:{first.Split(' ')[^1]}/");
            var outbox = new NoOutbox();
            await using var ours = new AlarmDelivery(outbox, [Notices.To(url)]);
            await using var stranger = new AlarmDelivery(
                outbox,
                [new Destination { Name = "ops", Url = url, Secret = Notices.Secret(WebhookSecret.Generate()) }]);

            Assert.Equal(204, (await ours.TestAsync("ops", "plant-7")).Status);
            Assert.Equal(401, (await stranger.TestAsync("ops", "plant-7")).Status);
            string line = (await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken))!;
            Assert.Matches("^first plant-7-[0-9]+-test: \\[test\\] Test message of the heartbeat checker$", line);
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }
    }

    private sealed class NoOutbox : IOutbox
    {
        public ValueTask<IReadOnlyList<Delivery>> ClaimAsync(
            string destination, long nowMs, long leaseUntilMs, int count, CancellationToken cancellation) =>
            ValueTask.FromResult<IReadOnlyList<Delivery>>([]);

        public ValueTask RecordAsync(Delivery row, CancellationToken cancellation) => ValueTask.CompletedTask;
    }
}
