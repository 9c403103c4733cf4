using System.Security.Cryptography;
using Agent.Core;

namespace Agent.Tests.Core;

/// <summary>The seam filled by the PC's own library.</summary>
internal sealed class SystemHmac : IHmac
{
    public byte[] Sign(byte[] key, byte[] data) => HMACSHA256.HashData(key, data);
}
