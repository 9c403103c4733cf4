namespace Agent.Tests.Hub;

/// <summary>Many clients at once, on the same few identities, coming and going in every way.</summary>
public sealed class HubStormTests
{
    private const int Workers = 12;
    private const int RoundsEach = 25;

    [Fact]
    public async Task However_clients_come_and_go_connects_and_disconnects_of_a_device_alternate()
    {
        await using var rig = new HubRig();
        await Task.WhenAll(Enumerable.Range(0, Workers).Select(seed => Task.Run(() => ComeAndGoAsync(rig, seed))));
        await HubRig.WaitAsync(() => rig.Server is { ConnectedCount: 0, ConnectionCount: 0 }, 20);

        Assert.Equal((0, 0), (rig.Server.ConnectedCount, rig.Server.ConnectionCount));
        List<string> records = rig.Records();
        Assert.Equal(Workers * RoundsEach * 2, records.Count);
        foreach (IGrouping<string, string> device in records.GroupBy(record => record.Split(' ')[0]))
        {
            bool isConnected = false;
            foreach (string record in device)
            {
                bool isConnect = record.EndsWith(" deviceConnect", StringComparison.Ordinal);
                Assert.True(isConnect != isConnected, $"{record} while {(isConnected ? "connected" : "not connected")}");
                isConnected = isConnect;
            }

            Assert.False(isConnected);
        }
    }

    private static async Task ComeAndGoAsync(HubRig rig, int seed)
    {
        var random = new Random(seed);
        for (int round = 0; round < RoundsEach; round++)
        {
            int index = random.Next(2);
            string id = rig.Server.Registry.Devices[index].Id;
            TestDevice device = await TestDevice.DialAsync(rig.Server);

            // Another worker may take the identity over at any moment, so no answer is certain after CONNECT was sent.
            try
            {
                await device.SendConnectUnheardAsync(id, TestDevice.Token(rig.Server, index, 600));
                if (random.Next(2) == 0)
                {
                    await device.PublishAsync($"devices/{id}/messages/events/");
                }

                switch (random.Next(3))
                {
                    case 0:
                        await device.ReadAsync();
                        await device.SayGoodbyeAsync();
                        break;
                    case 1:
                        await device.ReadAsync();
                        device.Reset();
                        break;
                    default:
                        await device.ReadAsync();
                        break;
                }
            }
            catch (IOException)
            {
                // Taken over while writing.
            }

            await device.DisposeAsync();
        }
    }
}
