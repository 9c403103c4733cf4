// HMAC-SHA-256 in managed code.
//
// The board has two libraries with this: System.Security.Cryptography (native) and the Azure client (managed), both with the
// public type System.Security.Cryptography.HMACSHA256. Provisioning needs the Azure client, and with both referenced the name
// does not compile; an alias would make the firmware build in one project file only. A token costs one signature an hour, so
// eighty lines of our own are cheaper than the conflict. The key's two pads are hashed once, when the signer is made: a
// signature in the gap of a renewal is then three or four rounds of 64 steps and not six. Only these two states stay between
// signatures; tables and buffers are made for one and let go, being 700 bytes of a heap that needs them once an hour.
// FIPS 180-4 section 6.2, RFC 2104. Only for signing; nothing here compares secrets.
using System;
using Agent.Core;

namespace Agent.Board
{
    /// <summary>Signs with one key at a time; keeps that key's prepared state. For one thread.</summary>
    public sealed class HmacSha256 : IHmac
    {
        private const int BlockSize = 64;

        private readonly uint[] afterInnerPad = new uint[8];
        private readonly uint[] afterOuterPad = new uint[8];
        private uint[] rounds;
        private uint[] schedule;
        private uint[] state;
        private byte[] block;
        private byte[] preparedKey;

        public byte[] Sign(byte[] key, byte[] data)
        {
            rounds = RoundConstants();
            schedule = new uint[64];
            state = new uint[8];
            block = new byte[BlockSize];
            if (key != preparedKey)
            {
                Prepare(key);
            }

            Array.Copy(afterInnerPad, state, 8);
            byte[] inner = Finish(data, BlockSize);
            Array.Copy(afterOuterPad, state, 8);
            byte[] outer = Finish(inner, BlockSize);
            rounds = null;
            schedule = null;
            state = null;
            block = null; // with a signature's text in it, which no dump of the heap needs to hold
            return outer;
        }

        private static uint[] RoundConstants()
        {
            return new uint[]
            {
                0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
                0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
                0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
                0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
                0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
                0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
                0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
                0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
            };
        }

        private void Prepare(byte[] key)
        {
            byte[] shortKey = key;
            if (key.Length > BlockSize)
            {
                Start();
                shortKey = Finish(key, 0);
            }

            HashPad(shortKey, 0x36, afterInnerPad);
            HashPad(shortKey, 0x5C, afterOuterPad);
            Array.Clear(block, 0, BlockSize);
            preparedKey = key;
        }

        private void HashPad(byte[] key, int pad, uint[] target)
        {
            for (int i = 0; i < BlockSize; i++)
            {
                block[i] = (byte)(pad ^ (i < key.Length ? key[i] : 0));
            }

            Start();
            Compress(block, 0);
            Array.Copy(state, target, 8);
        }

        private void Start()
        {
            state[0] = 0x6a09e667;
            state[1] = 0xbb67ae85;
            state[2] = 0x3c6ef372;
            state[3] = 0xa54ff53a;
            state[4] = 0x510e527f;
            state[5] = 0x9b05688c;
            state[6] = 0x1f83d9ab;
            state[7] = 0x5be0cd19;
        }

        /// <summary>Hashes the last data on top of the state, which has seen <paramref name="before"/> bytes.</summary>
        private byte[] Finish(byte[] data, int before)
        {
            int whole = data.Length - (data.Length % BlockSize);
            for (int offset = 0; offset < whole; offset += BlockSize)
            {
                Compress(data, offset);
            }

            int rest = data.Length - whole;
            Array.Clear(block, 0, BlockSize);
            Array.Copy(data, whole, block, 0, rest);
            block[rest] = 0x80;
            if (rest >= BlockSize - 8)
            {
                Compress(block, 0);
                Array.Clear(block, 0, BlockSize);
            }

            int bits = (before + data.Length) * 8;
            PutWord(block, BlockSize - 4, (uint)bits);
            Compress(block, 0);
            byte[] hash = new byte[32];
            for (int i = 0; i < 8; i++)
            {
                PutWord(hash, i * 4, state[i]);
            }

            return hash;
        }

        private static void PutWord(byte[] target, int offset, uint word)
        {
            target[offset] = (byte)(word >> 24);
            target[offset + 1] = (byte)(word >> 16);
            target[offset + 2] = (byte)(word >> 8);
            target[offset + 3] = (byte)word;
        }

        private void Compress(byte[] data, int offset)
        {
            uint[] k = rounds;
            uint[] w = schedule;
            for (int i = 0; i < 16; i++, offset += 4)
            {
                w[i] = ((uint)data[offset] << 24) | ((uint)data[offset + 1] << 16)
                    | ((uint)data[offset + 2] << 8) | data[offset + 3];
            }

            for (int i = 16; i < 64; i++)
            {
                uint x = w[i - 15];
                uint y = w[i - 2];
                w[i] = w[i - 16] + (((x >> 7) | (x << 25)) ^ ((x >> 18) | (x << 14)) ^ (x >> 3))
                    + w[i - 7] + (((y >> 17) | (y << 15)) ^ ((y >> 19) | (y << 13)) ^ (y >> 10));
            }

            uint a = state[0], b = state[1], c = state[2], d = state[3];
            uint e = state[4], f = state[5], g = state[6], h = state[7];
            for (int i = 0; i < 64; i++)
            {
                uint first = h + (((e >> 6) | (e << 26)) ^ ((e >> 11) | (e << 21)) ^ ((e >> 25) | (e << 7)))
                    + ((e & f) ^ (~e & g)) + k[i] + w[i];
                uint second = (((a >> 2) | (a << 30)) ^ ((a >> 13) | (a << 19)) ^ ((a >> 22) | (a << 10)))
                    + ((a & b) ^ (a & c) ^ (b & c));
                h = g;
                g = f;
                f = e;
                e = d + first;
                d = c;
                c = b;
                b = a;
                a = first + second;
            }

            state[0] += a;
            state[1] += b;
            state[2] += c;
            state[3] += d;
            state[4] += e;
            state[5] += f;
            state[6] += g;
            state[7] += h;
        }
    }
}
