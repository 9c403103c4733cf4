// The board seam. Signing is the one thing core needs from the outside as a call and not as an event: the board
// does it in native code, the PC with its own library. Clock, network and link come as events of Session.
namespace Agent.Core
{
    /// <summary>HMAC-SHA256, supplied by the driver.</summary>
    public interface IHmac
    {
        /// <summary>Returns the 32 bytes of HMAC-SHA256 over <paramref name="data"/>.</summary>
        byte[] Sign(byte[] key, byte[] data);
    }
}
