// M2Mqtt's threads keep what they received last in a variable until the next message comes: after a twin's document that may be
// an hour, and the document 32 KB of a 128 KB heap (measured on the interpreter: a document was still there a minute later). The
// library cannot be asked to let go, but it can be handed a next message. So after a large PUBLISH the channel slips in one of
// five bytes, with a topic nobody uses and HubLink passes over, and every thread replaces the large message by the small one.
// To find the place this follows the packets in what the library reads: first byte, length (MQTT 3.1.1 section 2.2.3), body.
// Not chosen: asking the hub for something small, which it would bill, and asking for less, which a twin does not offer.
using System;

namespace Agent.Board
{
    /// <summary>Knows when the library has read a large message whole, and has a small one to follow it.</summary>
    public sealed class LargeMessage
    {
        /// <summary>The small message's topic.</summary>
        public const string Topic = ".";

        /// <summary>Bytes of a packet's body from which on it is large; method calls and acknowledgements are smaller.</summary>
        public const int BytesMin = 256;

        private const int PublishType = 3;
        private const int FirstByte = -1;
        private const int LengthBitsMax = 21;

        private byte[] small;
        private int smallAt;
        private bool isPublish;
        private int length;
        private int shift = FirstByte;
        private int left;

        /// <summary>Whether the small message comes next, or has not been taken whole.</summary>
        public bool IsSmallDue => small != null;

        /// <summary>Bytes the library has just read, in pieces of any length.</summary>
        public void Follow(byte[] buffer, int count)
        {
            for (int at = 0; at < count; at++)
            {
                if (left > 0)
                {
                    int taken = left < count - at ? left : count - at;
                    left -= taken;
                    at += taken - 1;
                    if (left == 0 && isPublish && length >= BytesMin)
                    {
                        small = new byte[] { PublishType << 4, 3, 0, 1, (byte)Topic[0] };
                        smallAt = 0;
                    }
                }
                else if (shift == FirstByte)
                {
                    isPublish = buffer[at] >> 4 == PublishType;
                    length = 0;
                    shift = 0;
                }
                else
                {
                    length |= (buffer[at] & 0x7F) << shift;
                    shift += 7;
                    if (buffer[at] < 0x80 || shift > LengthBitsMax)
                    {
                        shift = FirstByte; // a length of five bytes is none, and the library ends the connection over it
                        left = length;
                    }
                }
            }
        }

        /// <summary>Fills the buffer with what is left of the small message, as far as it goes; how many bytes.</summary>
        public int TakeSmall(byte[] buffer)
        {
            int count = small.Length - smallAt < buffer.Length ? small.Length - smallAt : buffer.Length;
            Array.Copy(small, smallAt, buffer, 0, count);
            smallAt += count;
            small = smallAt == small.Length ? null : small;
            return count;
        }
    }
}
