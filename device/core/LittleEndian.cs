// Numbers in records: lowest byte first, at fixed places. Not chosen: BitConverter, which makes an array for every
// number it writes.
namespace Agent.Core
{
    /// <summary>Reads and writes whole numbers in a byte array.</summary>
    public static class LittleEndian
    {
        public static void Put16(byte[] to, int at, int value)
        {
            to[at] = (byte)value;
            to[at + 1] = (byte)(value >> 8);
        }

        public static int Get16(byte[] from, int at)
        {
            return from[at] | (from[at + 1] << 8);
        }

        public static void Put32(byte[] to, int at, int value)
        {
            Put16(to, at, value);
            Put16(to, at + 2, value >> 16);
        }

        public static int Get32(byte[] from, int at)
        {
            return Get16(from, at) | (Get16(from, at + 2) << 16);
        }

        public static void Put64(byte[] to, int at, long value)
        {
            Put32(to, at, (int)value);
            Put32(to, at + 4, (int)(value >> 32));
        }

        public static long Get64(byte[] from, int at)
        {
            return ((long)Get32(from, at + 4) << 32) | (uint)Get32(from, at);
        }
    }
}
