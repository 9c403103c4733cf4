// What a session asks its driver to do. Outputs are pulled, one at a time, after every event; a struct, so that
// asking costs no memory. At most one of each kind is waiting, so the session keeps them as bits and the order is
// fixed: close the old link, open the new one, then send.
namespace Agent.Core
{
    /// <summary>The orders a session can give.</summary>
    public enum OutputKind
    {
        /// <summary>
        /// Open a link: TCP, TLS, CONNECT with a token that is good until ExpirySeconds. Answer with OnConnected,
        /// OnRefused or OnConnectFailed; before either of the last two, close what was opened. Mode says which link:
        /// Clean = a new one (a prewarmed one, if there is any, is thrown away); Prewarm = CONNECT goes out on the
        /// prewarmed one; Takeover = a second one beside the old, which is closed without a report at CONNACK 0 and
        /// stays as it is when the new one fails.
        /// </summary>
        Connect = 1,

        /// <summary>
        /// End the link: MQTT DISCONNECT if a CONNACK was seen and it can still be sent, then close. An attempt that
        /// is still under way is given up too. Answer with OnClosed; nothing more is reported about that link after it.
        /// With a prewarmed link waiting, OnClosed may come as soon as DISCONNECT is written.
        /// </summary>
        Disconnect = 2,

        /// <summary>
        /// Publish a heartbeat, QoS 1, and answer with OnHeartbeatAcknowledged when the PUBACK is there.
        /// </summary>
        SendHeartbeat = 3,

        /// <summary>
        /// Open TCP and TLS of the next link, and wait with CONNECT. Answer with OnPrewarmed or OnPrewarmFailed.
        /// </summary>
        Prewarm = 4,

        /// <summary>
        /// Publish the oldest waiting message, QoS 1, and answer with OnMessageAcknowledged when the PUBACK is there.
        /// </summary>
        SendMessage = 5,
    }

    /// <summary>One order.</summary>
    public struct SessionOutput
    {
        public OutputKind Kind;

        /// <summary>Connect: the token's expiry, seconds since 1970, UTC.</summary>
        public long ExpirySeconds;

        /// <summary>Connect: on which link.</summary>
        public RenewMode Mode;

        /// <summary>SendHeartbeat: the heartbeat's number.</summary>
        public int Sequence;

        /// <summary>SendHeartbeat: seconds to the next planned renewal.</summary>
        public int RenewalSeconds;
    }
}
