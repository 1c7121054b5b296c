using System.Globalization;
using System.Text;
using DiffWave.Emulator.Syntax;

namespace DiffWave.Emulator.Reports;

/// <summary>Reports as aligned plain text.</summary>
public static class ReportText
{
    /// <summary>One launch: totals, instructions by class, then a line for each access and each branch that divided warps.</summary>
    /// <param name="report">The launch.</param>
    public static string Format(LaunchReport report)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"{report.Kernel}: grid {report.Grid}, block {report.Block}");
        text.AppendLine(CultureInfo.InvariantCulture, $"  declared registers {report.DeclaredRegisters}, local {report.LocalBytes} bytes, shared {report.StaticSharedBytes} static + {report.DynamicSharedBytes} dynamic bytes");
        text.AppendLine(CultureInfo.InvariantCulture,
            $"  {report.WarpInstructions} warp instructions, {report.AverageActiveLanes:F1} lanes each; {report.Flops} FLOP, {report.TensorFlops} tensor FLOP; {report.Barriers} barriers; {report.LocalAccesses} local accesses");
        Table(text, ["instructions", "warp", "thread"], report.Instructions.Select(count => (string[])[count.Class.ToString(), Number(count.Warp), Number(count.Thread)]));
        Table(text, ["global memory", "requests", "bytes", "sectors", "ideal", "efficiency", "instruction"], report.Global.Select(Row));
        Table(text, ["shared memory", "requests", "bytes", "wavefronts", "ideal", "efficiency", "instruction"], report.Shared.Select(Row));
        Table(text, ["allocations touched", "bytes", "sectors read", "sectors written"], report.Allocations.Select(traffic =>
            (string[])[traffic.Name.Length > 0 ? traffic.Name : $"0x{traffic.Address:x}", Number(traffic.Bytes), Number(traffic.SectorsRead), Number(traffic.SectorsWritten)]));
        Table(text, ["divergent branches", "executed", "divergent", "instruction"],
            report.DivergentBranches.Select(branch => (string[])[Place(branch.Source, branch.PtxLine), Number(branch.Executed), Number(branch.Divergent), branch.PtxText]));
        return text.ToString();
    }

    private static string[] Row(AccessSite site) =>
        [Place(site.Source, site.PtxLine), Number(site.Requests), Number(site.Bytes), Number(site.Moved), Number(site.Ideal), site.Efficiency.ToString("P0", CultureInfo.InvariantCulture), site.PtxText];

    private static string Place(SourceLine source, int ptxLine) => source.Line == 0 ? $"PTX line {ptxLine}" : source.ToString();

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    // The first column and the last are text, the others numbers.
    private static void Table(StringBuilder text, string[] head, IEnumerable<string[]> rows)
    {
        string[][] lines = [head, .. rows];
        if (lines.Length == 1) return;
        int[] widths = [.. head.Select((_, column) => lines.Max(line => line[column].Length))];
        bool isLastText = head[^1] == "instruction";
        foreach (string[] line in lines)
        {
            text.Append("  ");
            for (int column = 0; column < line.Length; column++)
            {
                bool isText = column == 0 || isLastText && column == line.Length - 1;
                if (column > 0) text.Append("  ");
                text.Append(!isText ? line[column].PadLeft(widths[column]) : column == line.Length - 1 ? line[column] : line[column].PadRight(widths[column]));
            }
            text.AppendLine();
        }
    }
}
