// What the library's threads tell the supervisor. Handlers may do next to nothing (facts/nanoframework.md section 6: short, and
// never Connect in one), so each puts one report into a fixed ring and wakes the supervisor. Nothing is allocated on the way. When the
// ring is full the newest report is dropped and counted; a full ring means that the supervisor has not turned for a while, and
// whatever was lost shows again as a missing acknowledgement or a dead link.
using System.Threading;

namespace Agent.Board
{
    /// <summary>Kinds of report.</summary>
    public enum LinkReportKind
    {
        None = 0,

        /// <summary>The PUBACK of Id came, or (Ok false) M2Mqtt has given it up after three tries.</summary>
        Published = 1,

        /// <summary>The link has ended.</summary>
        Closed = 2,
    }

    /// <summary>One report; <see cref="Link"/> tells the new link's from a late one of the old.</summary>
    public struct LinkReport
    {
        public LinkReportKind Kind;
        public HubLink Link;
        public int Id;
        public bool Ok;
    }

    /// <summary>A bounded queue from many threads to one.</summary>
    public sealed class LinkReports
    {
        private const int Capacity = 16;

        private readonly LinkReport[] ring = new LinkReport[Capacity];
        private readonly AutoResetEvent wake;
        private int first;
        private int count;

        public LinkReports(AutoResetEvent wake)
        {
            this.wake = wake;
        }

        /// <summary>Reports that found no room.</summary>
        public int Dropped { get; private set; }

        public void Add(LinkReportKind kind, HubLink link, int id, bool ok)
        {
            lock (ring)
            {
                if (count == Capacity)
                {
                    Dropped++;
                }
                else
                {
                    int at = (first + count) % Capacity;
                    ring[at].Kind = kind;
                    ring[at].Link = link;
                    ring[at].Id = id;
                    ring[at].Ok = ok;
                    count++;
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

                ring[first].Link = null; // an ended link must not be kept alive by its last report
                first = (first + 1) % Capacity;
                count--;
                return true;
            }
        }
    }
}
