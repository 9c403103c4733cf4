using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

public sealed class EventLinesTests
{
    [Theory]
    [InlineData("device-0001", "device-0001")]
    [InlineData("a\u001b[31mb\r\nc\u0007", "a?[31mb??c?")]
    [InlineData("a\u202eb\u2028c", "a?b?c")]
    public void Text_from_the_wire_cannot_move_the_cursor(string text, string expected) =>
        Assert.Equal(expected, EventLines.Clean(Encoding.UTF8.GetBytes(text)));

    [Fact]
    public async Task A_reader_that_stops_reading_does_not_stop_the_hub()
    {
        using var stuck = new StuckWriter();
        var lines = new EventLines(stuck, TimeProvider.System);
        for (int i = 0; i < 5000; i++)
        {
            lines.Write("line");
        }

        stuck.Release();
        await lines.DisposeAsync();
        Assert.InRange(stuck.Lines, 1, 2000);
        Assert.True(stuck.ToldOfLoss);
    }

    private sealed class StuckWriter : StringWriter
    {
        private readonly ManualResetEventSlim gate = new();

        public int Lines { get; private set; }

        public bool ToldOfLoss { get; private set; }

        public void Release() => gate.Set();

        public override void WriteLine(string? value)
        {
            gate.Wait();
            Lines++;
            ToldOfLoss |= value!.Contains("left out", StringComparison.Ordinal);
        }
    }
}
