// The checksum of stored records: CRC-32 (ISO-HDLC, as in zip files).
//
// It must tell a record that was cut off by a power failure from a whole one; four bytes do, up to one cut in four
// thousand million. Half a byte at a time: a table of 16 words instead of 256 costs the board 64 bytes and two
// look-ups a byte. Not chosen: System.IO.Hashing, one more assembly on the board for twenty lines.
namespace Agent.Core
{
    /// <summary>CRC-32 with the polynomial 0xEDB88320 (reflected).</summary>
    public static class Crc32
    {
        private static readonly uint[] Table = MakeTable();

        /// <summary>The checksum of some bytes.</summary>
        public static int Of(byte[] bytes, int index, int count)
        {
            uint crc = 0xFFFFFFFF;
            for (int i = index; i < index + count; i++)
            {
                crc ^= bytes[i];
                crc = Table[crc & 15] ^ (crc >> 4);
                crc = Table[crc & 15] ^ (crc >> 4);
            }

            return (int)~crc;
        }

        private static uint[] MakeTable()
        {
            uint[] table = new uint[16];
            for (uint i = 0; i < 16; i++)
            {
                uint word = i;
                for (int bit = 0; bit < 4; bit++)
                {
                    word = (word & 1) != 0 ? (word >> 1) ^ 0xEDB88320u : word >> 1;
                }

                table[i] = word;
            }

            return table;
        }
    }
}
