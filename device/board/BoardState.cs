// What the board remembers across a reboot besides its identity: how often it has started and which heartbeat number is next.
// Flash wears, heartbeats are many: numbers are taken from flash a hundred at a time, and a power cut skips at most the rest of
// a hundred, which the service reads as a restart and not as a loss (the boot count tells it).
namespace Agent.Board
{
    /// <summary>Boot count and heartbeat numbers.</summary>
    public sealed class BoardState
    {
        private const int Reserved = 100;

        private int reservedUntil;

        /// <summary>Reads the file and counts this start.</summary>
        public BoardState()
        {
            string text = BoardFiles.ReadText(BoardFiles.State);
            Boots = Positive(NamedValues.FindNumber(text, '\n', "boots", 0) + 1);
            NextSequence = Positive(NamedValues.FindNumber(text, '\n', "sequence", 1));
            Reserve(NextSequence);
        }

        public int Boots { get; }

        /// <summary>The number of the next heartbeat; 1 or more.</summary>
        public int NextSequence { get; }

        /// <summary>Notes that a number is being used; writes only when it is the last reserved one.</summary>
        public void Use(int sequence)
        {
            if (sequence >= reservedUntil || sequence < reservedUntil - Reserved)
            {
                Reserve(sequence);
            }
        }

        private static int Positive(int number)
        {
            return number < 1 ? 1 : number;
        }

        private void Reserve(int sequence)
        {
            reservedUntil = Positive(sequence + Reserved);
            BoardFiles.WriteText(
                BoardFiles.State, "boots=" + Boots.ToString() + "\nsequence=" + reservedUntil.ToString() + "\n");
        }
    }
}
