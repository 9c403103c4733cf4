using Agent.NanoMachine;

namespace Agent.NanoBoard;

/// <summary>Power-on, then the firmware's Main.</summary>
internal static class Power
{
    private static void Main()
    {
        Machine.PowerOn();
        BoardThread main = new(Program.Main, "main");
        main.Start();
        main.Join(-1);
        System.Console.Error.WriteLine("Main returned: a board would now wait for a debugger for ever");
        System.Environment.Exit(70);
    }
}
