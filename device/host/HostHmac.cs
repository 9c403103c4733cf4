using System.Security.Cryptography;
using Agent.Core;

namespace Agent.Host;

/// <summary>The board seam on a PC.</summary>
internal sealed class HostHmac : IHmac
{
    public byte[] Sign(byte[] key, byte[] data) => HMACSHA256.HashData(key, data);
}
