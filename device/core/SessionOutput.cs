// What a session asks its driver to do. Outputs are pulled, one at a time, after every event; a struct, so that
// asking costs no memory. There are three kinds and at most one of each is waiting, so the session keeps them as
// bits and the order is fixed: close the old link, open the new one, then send.
namespace Agent.Core
{
    /// <summary>The orders a session can give.</summary>
    public enum OutputKind
    {
        /// <summary>
        /// Open a link: TCP, TLS, CONNECT with a token that is good until ExpirySeconds. Answer with OnConnected,
        /// OnRefused or OnConnectFailed; before either of the last two, close what was opened.
        /// </summary>
        Connect = 1,

        /// <summary>
        /// End the link: MQTT DISCONNECT if a CONNACK was seen and it can still be sent, then close. An attempt that
        /// is still under way is given up. Answer with OnClosed; nothing more is reported about that link after it.
        /// </summary>
        Disconnect = 2,

        /// <summary>
        /// Publish a heartbeat, QoS 1, and answer with OnHeartbeatAcknowledged when the PUBACK is there.
        /// </summary>
        SendHeartbeat = 3,
    }

    /// <summary>One order.</summary>
    public struct SessionOutput
    {
        public OutputKind Kind;

        /// <summary>Connect: the token's expiry, seconds since 1970, UTC.</summary>
        public long ExpirySeconds;

        /// <summary>SendHeartbeat: the heartbeat's number.</summary>
        public int Sequence;

        /// <summary>SendHeartbeat: seconds to the next planned renewal.</summary>
        public int RenewalSeconds;
    }
}
