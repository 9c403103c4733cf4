using Agent.Wire;
using BenchmarkDotNet.Attributes;

namespace Agent.Benchmarks;

/// <summary>A heartbeat's PUBLISH (41 bytes of topic, 100 of payload, QoS 1) and its PUBACK, written and read.</summary>
public class CodecBenchmarks
{
    private readonly byte[] topic = "devices/device-0001/messages/events/a=b&c"u8.ToArray();
    private readonly byte[] payload = new byte[100];
    private readonly byte[] packet = new byte[256];
    private int packetLength;

    [GlobalSetup]
    public void Write() => packetLength = WritePublish();

    [Benchmark]
    public int WritePublish() => MqttWriter.WritePublish(
        packet, new PublishPacket { Topic = topic, Payload = payload, Qos = 1, PacketId = 7 });

    [Benchmark]
    public int ReadPublish()
    {
        _ = MqttReader.ReadFrame(packet.AsSpan(0, packetLength), 1 << 18, out Frame frame);
        return MqttReader.TryReadPublish(frame, out PublishPacket read) ? read.Topic.Length + read.Payload.Length : -1;
    }

    [Benchmark]
    public int WritePuback() => MqttWriter.WritePuback(packet.AsSpan(200), 7);
}
