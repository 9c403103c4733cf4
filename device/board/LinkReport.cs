// What the library's threads tell the supervisor. Handlers may do next to nothing (facts/nanoframework.md section 6: short, and
// never Connect in one), so each puts one report into a fixed ring and wakes the supervisor. The ring is bounded in number and in
// bytes: a twin is up to 32 KB and comes whole, so one of that size is the most that may wait. A message that finds no
// room is dropped and counted, and the agent is told to read its twin again; the report of an end always has its own place.
// A report is an object, not a struct in the ring: the board's CLR keeps each struct of an array as an object of its own, so that
// sixteen places would cost 1.5 KB of heap at rest (measured on the interpreter), empty ones included.
using System.Threading;

namespace Agent.Board
{
    /// <summary>Kinds of report.</summary>
    public enum LinkReportKind
    {
        None = 0,

        /// <summary>The PUBACK of Id came, or (Ok false) M2Mqtt has given it up after three tries.</summary>
        Published = 1,

        /// <summary>SUBACK; Ok = everything was granted.</summary>
        Subscribed = 2,

        /// <summary>Something was published to us.</summary>
        Message = 3,

        /// <summary>The link has ended.</summary>
        Closed = 4,
    }

    /// <summary>One report; <see cref="Link"/> tells the new link's from a late one of the old.</summary>
    public sealed class LinkReport
    {
        public LinkReportKind Kind;
        public HubLink Link;
        public int Id;
        public bool Ok;
        public string Topic;
        public byte[] Payload;
    }

    /// <summary>A bounded queue from many threads to one.</summary>
    public sealed class LinkReports
    {
        private const int Capacity = 16;
        private const int WaitingBytesMax = 36000;

        private readonly LinkReport[] ring = new LinkReport[Capacity];
        private readonly AutoResetEvent wake;
        private int first;
        private int count;
        private int waitingBytes;

        public LinkReports(AutoResetEvent wake)
        {
            this.wake = wake;
        }

        /// <summary>Messages that found no room.</summary>
        public int Dropped { get; private set; }

        public void Add(LinkReportKind kind, HubLink link, int id, bool ok)
        {
            lock (ring)
            {
                // The last place is kept for an end: everything else is said again by somebody, sooner or later.
                if (count < (kind == LinkReportKind.Closed ? Capacity : Capacity - 1))
                {
                    Put(kind, link, id, ok, null, null);
                }
                else
                {
                    Dropped++;
                }
            }

            wake.Set();
        }

        public void AddMessage(HubLink link, string topic, byte[] payload)
        {
            lock (ring)
            {
                if (count < Capacity - 1 && waitingBytes + payload.Length <= WaitingBytesMax)
                {
                    waitingBytes += payload.Length;
                    Put(LinkReportKind.Message, link, 0, true, topic, payload);
                }
                else
                {
                    Dropped++;
                }
            }

            wake.Set();
        }

        /// <summary>The oldest report; false when there is none.</summary>
        public bool TryTake(out LinkReport report)
        {
            lock (ring)
            {
                report = ring[first];
                if (count == 0)
                {
                    return false;
                }

                waitingBytes -= report.Payload == null ? 0 : report.Payload.Length;
                ring[first] = null; // what has been taken must not be kept alive by its place in the ring
                first = (first + 1) % Capacity;
                count--;
                return true;
            }
        }

        private void Put(LinkReportKind kind, HubLink link, int id, bool ok, string topic, byte[] payload)
        {
            LinkReport report = new LinkReport();
            report.Kind = kind;
            report.Link = link;
            report.Id = id;
            report.Ok = ok;
            report.Topic = topic;
            report.Payload = payload;
            ring[(first + count) % Capacity] = report;
            count++;
        }
    }
}
