using Agent.Wire;

namespace Agent.Tests.Wire;

/// <summary>Golden packets damaged by a seeded hand, fed to the reader and to both ends of a session.</summary>
public class MutationTests(ITestOutputHelper output)
{
    private const int MutationCount = 200_000;
    private const int Seed = 20_260_311;

    [Fact]
    public void Damaged_packets_are_read_or_refused_and_what_is_read_can_be_written_again()
    {
        output.WriteLine($"seed {Seed}, {MutationCount} mutations");
        var random = new Random(Seed);
        int accepted = 0;
        for (int round = 0; round < MutationCount; round++)
        {
            byte[] bytes = Mutation.Of(random);
            ReadStatus status = MqttReader.ReadFrame(bytes, 1 << 16, out Frame frame);
            if (status != ReadStatus.Ok)
            {
                continue;
            }

            Assert.InRange(frame.TotalBytes, 2, bytes.Length);
            if (PacketText.Describe(frame) is { } fields && PacketCopy.Of(frame) is { } copy)
            {
                Assert.Equal(ReadStatus.Ok, MqttReader.ReadFrame(copy, 1 << 16, out Frame again));
                Assert.Equal(fields, PacketText.Describe(again));
                accepted++;
            }
        }

        // Most payload and text damage is still a legal packet; if none were, the damage would be too crude.
        Assert.InRange(accepted, MutationCount / 20, MutationCount * 19 / 20);
    }

    [Fact]
    public void Sessions_fed_damaged_streams_in_pieces_stay_open_or_end_with_a_name()
    {
        output.WriteLine($"seed {Seed + 1}, {MutationCount} mutations");
        var random = new Random(Seed + 1);
        byte[] connect = GoldenPackets.All.First(packet => packet.Fields.StartsWith("CONNECT", StringComparison.Ordinal)).Bytes;
        var ends = new SortedDictionary<SessionEnd, int>();
        for (int round = 0; round < MutationCount / 2; round++)
        {
            using var server = new MemoryPeer(toServer: true);
            using var client = new MemoryPeer(toServer: false);
            server.Feed(connect);
            client.Feed([0x20, 0x02, 0x00, 0x00]);
            byte[] bytes = [.. Mutation.Of(random), .. Mutation.Of(random)];
            int cut = random.Next(bytes.Length + 1);
            foreach (MemoryPeer peer in (MemoryPeer[])[server, client])
            {
                peer.Feed(bytes[..cut]);
                peer.Feed(bytes[cut..]);
                peer.Session.OnPeerClosed();
                peer.Session.Finish();
                Assert.Equal(1, peer.ClosedCount);
                ends[peer.Session.End] = ends.GetValueOrDefault(peer.Session.End) + 1;
            }
        }

        foreach ((SessionEnd end, int count) in ends)
        {
            output.WriteLine($"{count,8} {end}: {end.Text()}");
        }

        Assert.DoesNotContain(SessionEnd.None, ends.Keys);
        Assert.DoesNotContain(SessionEnd.HandlerFailed, ends.Keys);
    }
}
