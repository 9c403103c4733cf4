using System.Globalization;

namespace Agent.NanoMachine;

// One process is one board from power-on to reset. A reboot ends it with a code of its own, and whoever started it starts it
// again with the same drive; a power cut is a kill. So no state can survive a reboot here that would not survive it there.
//
// Faults come as lines on standard input, so that a test does to the process what a person does to a board: pull the plug of the
// access point, set the time server wrong.

/// <summary>The board around the firmware: drive, clocks, network, and the one thread that interprets everything.</summary>
public static class Machine
{
    /// <summary>Exit code of a reboot the firmware asked for.</summary>
    public const int RebootExitCode = 64;

    private static readonly ManualResetEventSlim Running = new(true);
    private static readonly ManualResetEventSlim HandshakesPass = new(true);
    private static readonly AutoResetEvent NetworkNews = new(false);
    private static long clockOffsetTicks;
    private static volatile bool stalled;

    /// <summary>The folder that is drive I:.</summary>
    public static string Drive { get; } = Environment.GetEnvironmentVariable("NANO_DRIVE") ?? ".";

    /// <summary>By what the firmware's sleeps are divided, so that five minutes of patience fit in a test.</summary>
    public static int SleepDivisor { get; } = Number("NANO_SLEEP_DIVISOR", 1);

    /// <summary>Free bytes the chip's own heap claims to have.</summary>
    public static int NativeFree { get; private set; } = Number("NANO_NATIVE_FREE", 120_000);

    /// <summary>Milliseconds that each handshake takes longer than the host needs.</summary>
    public static int HandshakeMs { get; } = Number("NANO_HANDSHAKE_MS", 0);

    /// <summary>Milliseconds M2Mqtt waits for CONNACK.</summary>
    public static int ConnackPatienceMs { get; } = Number("NANO_CONNACK_MS", 30_000);

    /// <summary>An interpreter built without reflection.</summary>
    public static bool LacksReflection { get; } = Number("NANO_NO_REFLECTION", 0) != 0;

    public static bool WifiUp { get; private set; } = Number("NANO_WIFI", 1) != 0;

    /// <summary>Whether a time server answers.</summary>
    public static bool TimeServerAnswers { get; private set; } = true;

    /// <summary>Seconds by which the time server is wrong.</summary>
    public static long TimeServerErrorSeconds { get; private set; } = Number("NANO_TIME_ERROR", 0);

    /// <summary>Raised on the system's event thread when Wi-Fi comes or goes.</summary>
    public static event Action<bool>? NetworkChanged;

    /// <summary>The board's date; 1970 until something sets it.</summary>
    public static DateTime UtcNow => new(DateTime.UtcNow.Ticks + Interlocked.Read(ref clockOffsetTicks), DateTimeKind.Utc);

    /// <summary>Power-on: the clock starts at nothing, and the fault lines are read.</summary>
    public static void PowerOn()
    {
        bool clockKept = Number("NANO_CLOCK_KEPT", 0) != 0;
        Interlocked.Exchange(ref clockOffsetTicks, clockKept ? 0 : DateTime.UnixEpoch.Ticks - DateTime.UtcNow.Ticks);
        new BoardThread(ReadFaults, "faults").Start();
        new BoardThread(TellNetworkNews, "system events").Start();
    }

    /// <summary>A time server's answer, if there is one.</summary>
    public static void AskTime()
    {
        if (WifiUp && TimeServerAnswers)
        {
            Interlocked.Exchange(ref clockOffsetTicks, TimeSpan.FromSeconds(TimeServerErrorSeconds).Ticks);
        }
    }

    /// <summary>
    /// Managed code goes on only while nothing native holds the one interpreting thread: every member of the simulated
    /// library passes here.
    /// </summary>
    public static void Pass()
    {
        Running.Wait();
        if (stalled && Thread.CurrentThread.Name == "main")
        {
            Thread.Sleep(Timeout.Infinite);
        }
    }

    /// <summary>Runs native code that holds the interpreting thread: everything managed stands still meanwhile.</summary>
    public static void Hold(Action native) => Freeze(() =>
    {
        HandshakesPass.Wait();
        Thread.Sleep(HandshakeMs);
        native();
    });

    /// <summary>The same for native code that is no handshake.</summary>
    public static void Freeze(Action native)
    {
        Running.Reset();
        try
        {
            native();
        }
        finally
        {
            Running.Set();
        }
    }

    public static void Reboot()
    {
        Console.Out.Flush();
        Environment.Exit(RebootExitCode);
    }

    private static void ReadFaults()
    {
        while (Console.ReadLine() is { } line)
        {
            string[] words = line.Split(' ');
            switch (words[0])
            {
                case "wifi":
                    WifiUp = words[1] == "up";
                    BoardSocket.NetworkGone(!WifiUp);
                    NetworkNews.Set();
                    break;
                case "time":
                    TimeServerAnswers = words[1] != "off";
                    TimeServerErrorSeconds = TimeServerAnswers ? long.Parse(words[1], CultureInfo.InvariantCulture) : 0;
                    break;
                case "clock":
                    Interlocked.Add(
                        ref clockOffsetTicks, TimeSpan.FromSeconds(long.Parse(words[1], CultureInfo.InvariantCulture)).Ticks);
                    break;
                case "memory":
                    NativeFree = int.Parse(words[1], CultureInfo.InvariantCulture);
                    break;
                case "handshakes":
                    (words[1] == "wait" ? (Action)HandshakesPass.Reset : HandshakesPass.Set)();
                    break;
                case "stall":
                    stalled = true;
                    break;
            }
        }

        Environment.Exit(0); // whoever held the other end is gone
    }

    private static void TellNetworkNews()
    {
        while (true)
        {
            NetworkNews.WaitOne();
            Pass();
            NetworkChanged?.Invoke(WifiUp);
        }
    }

    private static int Number(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out int number) ? number : otherwise;
}
