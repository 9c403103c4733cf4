namespace Agent.Tests.Wire;

/// <summary>Damage done to a golden packet, drawn from a seeded random source.</summary>
public static class Mutation
{
    public static byte[] Of(Random random)
    {
        List<byte> bytes = [.. GoldenPackets.All[random.Next(GoldenPackets.All.Count)].Bytes];
        for (int times = random.Next(1, 5); times > 0; times--)
        {
            int at = random.Next(bytes.Count + 1);
            switch (random.Next(5))
            {
                case 0 when at < bytes.Count:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1 when at < bytes.Count:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
                case 3:
                    bytes.Insert(at, (byte)random.Next(256));
                    break;
                case 4 when at < bytes.Count:
                    bytes.RemoveAt(at);
                    break;
            }
        }

        return [.. bytes];
    }
}
