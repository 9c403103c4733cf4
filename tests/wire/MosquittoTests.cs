using System.Diagnostics;
using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>Mosquitto's own clients against our server, over TLS, unmodified.</summary>
public abstract class MosquittoTests(TlsEngine engine)
{
    public sealed class Portable() : MosquittoTests(TlsEngine.Portable);

    public sealed class Native() : MosquittoTests(TlsEngine.Native);

    private readonly TlsEngine engine = WireWorld.Demand(engine);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task Mosquitto_pub_delivers_at_each_quality_of_service(int qos)
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        (int exitCode, string output) = await RunAsync(
            world, "mosquitto_pub", "-i", "pub", "-t", "a/b", "-m", "hello", "-q", $"{qos}");
        Assert.True(exitCode == 0, output);
        await world.Handler.Seen($"publish {qos} a/b").WaitAsync(WireWorld.Patience);
        await world.Handler.Seen("closed Disconnected").WaitAsync(WireWorld.Patience);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task Mosquitto_sub_receives_at_each_quality_of_service(int qos)
    {
        await using WireWorld world = await WireWorld.StartAsync(engine, handler: new Greeting((byte)qos));
        (int exitCode, string output) = await RunAsync(
            world, "mosquitto_sub", "-i", "sub", "-t", "a/#", "-q", $"{qos}", "-C", "1", "-W", "15", "-v");
        Assert.True(exitCode == 0, output);
        Assert.Equal("a/greeting good day", output.Trim());
    }

    [Fact]
    public async Task Mosquitto_pub_of_quality_2_is_cut_off_and_mqtt_5_is_refused()
    {
        await using WireWorld world = await WireWorld.StartAsync(engine);
        (int exitCode, _) = await RunAsync(world, "mosquitto_pub", "-i", "five", "-t", "a", "-m", "x", "-V", "mqttv5");
        Assert.NotEqual(0, exitCode);
        await world.Handler.Seen("closed UnsupportedVersion").WaitAsync(WireWorld.Patience);
        await world.BystanderIsServedAsync();
    }

    private static async Task<(int ExitCode, string Output)> RunAsync(
        WireWorld world, string program, params string[] arguments)
    {
        string authority = TestCertificates.Shared.WriteAuthority();
        try
        {
            string port = $"{world.Server.LocalEndPoint.Port}";
            using Process process = Start(
                program, ["-h", "localhost", "-p", port, "--cafile", authority, "-V", "mqttv311", .. arguments]);
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            Task<string> errors = process.StandardError.ReadToEndAsync();
            await process.WaitForExitAsync().WaitAsync(WireWorld.Patience);
            return (process.ExitCode, await output + await errors);
        }
        finally
        {
            File.Delete(authority);
        }
    }

    private static Process Start(string program, string[] arguments)
    {
        try
        {
            var start = new ProcessStartInfo(program, arguments)
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            return Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("mosquitto-clients is not installed");
            throw;
        }
    }

    /// <summary>Sends one message to whoever subscribes.</summary>
    private sealed class Greeting(byte qos) : RecordingHandler
    {
        public override void OnSubscribe(ServerSession session, in SubscribePacket packet)
        {
            base.OnSubscribe(session, packet);
            session.SendPublish("a/greeting"u8, "good day"u8, qos, (ushort)(qos == 0 ? 0 : 7));
        }
    }
}
