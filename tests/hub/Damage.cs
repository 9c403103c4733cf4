namespace Agent.Tests.Hub;

/// <summary>Every prefix of some bytes, and seeded damage done to them.</summary>
internal static class Damage
{
    public static IEnumerable<byte[]> PrefixesOf(byte[] bytes) =>
        Enumerable.Range(0, bytes.Length).Select(length => bytes[..length]);

    public static IEnumerable<byte[]> MutationsOf(byte[] bytes, int seed, int count)
    {
        var random = new Random(seed);
        for (int i = 0; i < count; i++)
        {
            yield return Mutate(bytes, random);
        }
    }

    private static byte[] Mutate(byte[] original, Random random)
    {
        List<byte> bytes = [.. original];
        for (int times = random.Next(1, 4); times > 0 && bytes.Count > 0; times--)
        {
            int at = random.Next(bytes.Count);
            int length = Math.Min(random.Next(1, 12), bytes.Count - at);
            switch (random.Next(5))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = "%&=/ ?\0\u00ff;"u8[random.Next(10)];
                    break;
                case 2:
                    bytes.RemoveRange(at, length);
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
                default:
                    bytes.InsertRange(at, Enumerable.Repeat((byte)random.Next(256), random.Next(1, 3000)));
                    break;
            }
        }

        return [.. bytes];
    }
}
