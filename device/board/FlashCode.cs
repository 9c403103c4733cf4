// The rhythm of the LED: long flashes of 0.8 s, then short ones of 0.2 s, then two seconds of dark to begin counting anew.
namespace Agent.Board
{
    /// <summary>A pattern of long and short flashes, in ticks of 200 ms.</summary>
    public static class FlashCode
    {
        public const int TickMs = 200;

        private const int LongTicks = 6;
        private const int LongOnTicks = 4;
        private const int ShortTicks = 2;
        private const int PauseTicks = 10;

        /// <summary>Whether the LED is on at a tick of its pattern; the pattern starts anew at every multiple of its length.</summary>
        public static bool IsOn(int longFlashes, int shortFlashes, int tick)
        {
            int at = tick % PatternTicks(longFlashes, shortFlashes);
            int longPart = longFlashes * LongTicks;
            if (at < longPart)
            {
                return at % LongTicks < LongOnTicks;
            }

            at -= longPart;
            return at < shortFlashes * ShortTicks && at % ShortTicks == 0;
        }

        /// <summary>Ticks of one pattern, its pause included.</summary>
        public static int PatternTicks(int longFlashes, int shortFlashes)
        {
            return (longFlashes * LongTicks) + (shortFlashes * ShortTicks) + PauseTicks;
        }
    }
}
