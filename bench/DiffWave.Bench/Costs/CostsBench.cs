using DiffWave.Kernels;

namespace DiffWave.Bench.Costs;

/// <summary>Predicted costs: of the engine's launches for a workload, or of a tile of one kernel.</summary>
internal static class CostsBench
{
    /// <summary>Prints the sheet of a workload; of one group of its items where the engine takes them in groups.</summary>
    public static Dictionary<string, object?> Run(GpuModel gpu, Workload workload, int countFrames, IReadOnlyList<string> measured)
    {
        MeasuredTimes? times = measured.Count == 0 ? null : MeasuredTimes.Read(measured, workload);
        Workload group = workload.Sized(workload.Together(gpu), workload.Frames);
        if (group.Batch < workload.Batch) Console.WriteLine($"{workload.Batch} items are made in groups of {group.Batch}; one group:");
        EngineWork work = EngineWork.Of(gpu, group, countFrames);
        var sheet = new CostSheet(gpu, group, work, KernelCost.Of(gpu, work.Launches), times);
        Console.Write(sheet);
        return sheet.ToJson();
    }

    /// <summary>Prints the sheet of a kernel of the catalogue, or the ladder of an operation: a line for each of its versions.</summary>
    /// <param name="gpu">The device.</param>
    /// <param name="name">Name of a kernel, or of an operation.</param>
    /// <param name="shape">Sizes, see <see cref="KernelSheet.Of"/>.</param>
    /// <param name="tileRows">Rows of a tile.</param>
    /// <param name="rows">Rows that the ladder's times are for.</param>
    public static object Run(GpuModel gpu, string name, string? shape, int tileRows, long rows)
    {
        if (KernelCatalog.Find(name) is { } kernel)
        {
            KernelSheet sheet = KernelSheet.Of(gpu, kernel, shape, tileRows);
            Console.Write(sheet);
            return sheet.ToJson();
        }
        KernelSheet[] ladder = [.. KernelCatalog.All.Where(version => version.Op == name && version.Shapes[0].Sizes.Any(size => size.Name == "rows")).Select(version => KernelSheet.Of(gpu, version, shape, tileRows))];
        if (ladder.Length == 0) throw new ArgumentException($"'{name}' is no kernel of the catalogue and no operation with rows; kernels: {string.Join(", ", KernelCatalog.All.Select(known => known.Name))}");
        Console.WriteLine($"{name} on {gpu.Name}: clocks of a multiprocessor for {tileRows} rows, and time of {rows} rows on all of them");
        Console.Write(Table.Format(KernelSheet.LadderHead, leftColumns: [0, 3, 5, 6, 10], ladder.Select(sheet => sheet.LadderRow(rows))));
        return ladder.Select(sheet => sheet.ToJson()).ToArray();
    }
}
