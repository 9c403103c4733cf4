// What an agent is made of. Not a settings object: these are fixed by the program, not by people.
namespace Agent.Core
{
    /// <summary>The parts a driver gives an agent; storage left out is memory, and forgets.</summary>
    public sealed class DeviceAgentOptions
    {
        /// <summary>As registered at the hub.</summary>
        public string DeviceId = "";

        /// <summary>Settings of an agent nobody has configured.</summary>
        public TokenSettings Defaults;

        /// <summary>For spread, jitter and back-off.</summary>
        public SeededRandom Random;

        /// <summary>Two blocks or more of 1 KB or more.</summary>
        public IStorage StateStorage;

        /// <summary>Two blocks or more; four of 1 KB keep 45 entries and more.</summary>
        public IStorage BlackBoxStorage;

        /// <summary>Two blocks or more; eight of 4 KB keep 112 messages and more. Null = the queue is memory only.</summary>
        public IStorage QueueStorage;

        /// <summary>Bytes of memory for messages.</summary>
        public int QueueMemoryBytes = 1024;

        /// <summary>Bytes of the buffer every document is written into; the longest report has less than 800 (a test says so).</summary>
        public int BufferBytes = 1024;

        /// <summary>Whether the driver can open TLS without CONNECT.</summary>
        public bool CanPrewarm;

        /// <summary>Whether the driver can restart the device.</summary>
        public bool CanReboot;
    }
}
