// What an agent asks its driver to do: the session's orders about the link, and messages ready to be published. Pulled
// one at a time after every event; a struct, so that asking costs no memory. The payload lies in the agent's one buffer
// and is good until the next call.
namespace Agent.Core
{
    /// <summary>The orders an agent can give.</summary>
    public enum AgentOutputKind
    {
        /// <summary>As <see cref="OutputKind.Connect"/>; Mode and ExpirySeconds say how.</summary>
        Connect = 1,

        /// <summary>As <see cref="OutputKind.Disconnect"/>.</summary>
        Disconnect = 2,

        /// <summary>As <see cref="OutputKind.Prewarm"/>.</summary>
        Prewarm = 3,

        /// <summary>
        /// Subscribe to HubTopics.TwinResponses, DesiredPatches and Methods, QoS 0. Answer with OnSubscribed at SUBACK.
        /// </summary>
        Subscribe = 4,

        /// <summary>
        /// Publish Count bytes of Buffer to Topic. With QoS 1 answer with OnPublished when the PUBACK is there; at most
        /// one of those is open at a time.
        /// </summary>
        Publish = 5,

        /// <summary>
        /// Try TCP to port 443 of the hub's host, for a few seconds, and answer with OnProbed. A driver that cannot does
        /// nothing.
        /// </summary>
        Probe = 6,

        /// <summary>Everything is said and saved: restart the device, once the Disconnect before it is carried out.</summary>
        Reboot = 7,
    }

    /// <summary>One order.</summary>
    public struct AgentOutput
    {
        public AgentOutputKind Kind;

        /// <summary>Connect: the token's expiry, seconds since 1970, UTC.</summary>
        public long ExpirySeconds;

        /// <summary>Connect: on which link.</summary>
        public RenewMode Mode;

        /// <summary>Publish: the topic.</summary>
        public string Topic;

        /// <summary>Publish: where the payload lies, from its first byte on.</summary>
        public byte[] Buffer;

        /// <summary>Publish: bytes of the payload.</summary>
        public int Count;

        /// <summary>Publish: 0 or 1.</summary>
        public int Qos;
    }
}
