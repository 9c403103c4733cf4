using System.Globalization;
using System.Text;
using Agent.World;

namespace Agent.Report;

// A day of Node.js is 480 connections on a lane of some 900 pixels, a year of it 175,000. Two rules keep a lane honest at any
// density: a gap is at least a pixel wide wherever the bars beside it leave room, and what is denser than that becomes a
// block of its own look instead of a bar that claims one long connection. Marks follow the same idea: a shape where there is
// room for one, a tick per pixel column where there is not. The page's script draws by the same rules after a zoom.

/// <summary>The outlines of one lane over the whole run, as SVG path data.</summary>
internal sealed class LaneDrawing
{
    public const int Width = 900;
    public const int Height = 40;

    // A bar narrower than this is part of a block; marks closer than this become ticks.
    private const double BarWidthMin = 2;
    private const double MarkSpacingMin = 8;

    private readonly StringBuilder bars = new();
    private readonly StringBuilder blocks = new();
    private readonly double perMs;
    private double blockFrom = double.NaN;
    private double blockTo;

    public LaneDrawing(IReadOnlyList<LaneStretch> lane, long runForMs)
    {
        perMs = (double)Width / Math.Max(1, runForMs);
        for (int i = 0; i < lane.Count; i++)
        {
            DrawBar(X(lane[i].FromMs), X(lane[i].ToMs), i + 1 < lane.Count ? X(lane[i + 1].FromMs) : double.PositiveInfinity);
        }

        FlushBlock();
        Connects = Marks([.. lane.Select(stretch => (X(stretch.FromMs), true))], true, ConnectShape, 31, 8);
        (double X, bool IsError)[] ends = [.. lane
            .Where(stretch => stretch.Reason != Hub.Reason.None)
            .Select(stretch => (X(stretch.ToMs), LaneData.IsError(stretch.Reason)))];
        Information = Marks(ends, false, InformationShape, 4, 7);
        Errors = Marks(ends, true, ErrorShape, 0, 11);
    }

    /// <summary>Stretches of connection with visible gaps.</summary>
    public string Bars => bars.ToString();

    /// <summary>Stretches of connection too dense to be told apart.</summary>
    public string Blocks => blocks.ToString();

    public string Connects { get; }

    public string Information { get; }

    public string Errors { get; }

    private static FormattableString ConnectShape(double x) => $"M{x - 3.5:0.#},38h7l-3.5,-7z";

    private static FormattableString InformationShape(double x) => $"M{x - 4:0.#},6a4,4 0 1 0 8,0a4,4 0 1 0 -8,0z";

    private static FormattableString ErrorShape(double x) => $"M{x - 5:0.#},1h10l-5,10z";

    private double X(long ms) => ms * perMs;

    private void DrawBar(double from, double to, double nextFrom)
    {
        // On whole pixels, or the gap would be half a pixel of grey on either side.
        from = Math.Round(from);
        double drawnTo = Math.Round(nextFrom - to < 1 ? nextFrom - 1 : to);
        if (drawnTo - from >= BarWidthMin)
        {
            FlushBlock();
            Rectangle(bars, from, drawnTo);
        }
        else if (!double.IsNaN(blockFrom) && from - blockTo < 1)
        {
            blockTo = to;
        }
        else
        {
            FlushBlock();
            (blockFrom, blockTo) = (from, to);
        }
    }

    private void FlushBlock()
    {
        if (!double.IsNaN(blockFrom))
        {
            Rectangle(blocks, blockFrom, Math.Max(blockFrom + 1, blockTo));
            blockFrom = double.NaN;
        }
    }

    private static void Rectangle(StringBuilder path, double from, double to) => path.Append(
        CultureInfo.InvariantCulture, $"M{from:0.#},15h{to - from:0.#}v13h{from - to:0.#}z");

    private static string Marks(
        (double X, bool IsError)[] all, bool wanted, Func<double, FormattableString> shape, int tickTop, int tickHeight)
    {
        var path = new StringBuilder();
        int lastColumn = -1;
        for (int i = 0; i < all.Length; i++)
        {
            if (all[i].IsError != wanted)
            {
                continue;
            }

            double x = all[i].X;
            bool isAlone = (i == 0 || x - all[i - 1].X >= MarkSpacingMin)
                && (i + 1 == all.Length || all[i + 1].X - x >= MarkSpacingMin);
            int column = (int)x;
            if (isAlone)
            {
                path.Append(shape(x).ToString(CultureInfo.InvariantCulture));
            }
            else if (column != lastColumn)
            {
                lastColumn = column;
                path.Append(CultureInfo.InvariantCulture, $"M{column},{tickTop}h1v{tickHeight}h-1z");
            }
        }

        return path.ToString();
    }
}
