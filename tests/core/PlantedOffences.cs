// One of each thing the nanoFramework compiler accepts and its CLR does not run, so that BoardRules is seen to
// find it.
using System.Text;

namespace Agent.Tests.Core;

internal interface IPlantedDefault
{
    int Answer() => 42;
}

internal static class PlantedOffences
{
    public static readonly Func<int> AFunction = () => 1;

    public static readonly int[,] AGrid = new int[2, 2];

    public static int StackMemory(int count)
    {
        Span<int> memory = stackalloc int[count];
        return memory.Length;
    }

    public static int CheckedSum(int a, int b) => checked(a + b);

    public static string EnumText(Agent.Core.TimerId id) => LocalEnum(id == 0).ToString();

    public static object BoxedEnum() => LocalEnum(true);

    public static string ForeignEnumText(DayOfWeek day) => day.ToString();

    public static string ReplacedText(string text) => text.Replace('a', 'b') + DateTime.Now.Ticks;

    public static int Allowed(StringBuilder text, string more) => text.Append('x').Length + more.Length;

    private static Planted LocalEnum(bool first) => first ? Planted.First : Planted.Second;

    private enum Planted
    {
        First = 1,
        Second = 2,
    }
}
