namespace Agent.Tests.Hub;

/// <summary>Protocol buffers read by hand, so that no generated class vouches for what a library wrote.</summary>
internal static class Protobuf
{
    /// <summary>Every field with this number, in order: of a varint its bytes, of a text or a message what is in it.</summary>
    public static List<byte[]> Fields(byte[] message, int wanted)
    {
        var found = new List<byte[]>();
        for (int at = 0; at < message.Length;)
        {
            ulong tag = Varint(message, ref at);
            int length = (tag & 7) switch
            {
                0 => VarintLength(message, at),
                1 => 8,
                2 => (int)Varint(message, ref at),
                _ => 4,
            };
            if ((int)(tag >> 3) == wanted)
            {
                found.Add(message[at..(at + length)]);
            }

            at += length;
        }

        return found;
    }

    /// <summary>A number of seven bits a byte, low first.</summary>
    public static ulong Varint(byte[] message, ref int at)
    {
        ulong value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte next = message[at++];
            value |= (ulong)(next & 127) << shift;
            if (next < 128)
            {
                return value;
            }
        }
    }

    private static int VarintLength(byte[] message, int at)
    {
        int start = at;
        Varint(message, ref at);
        return at - start;
    }
}
