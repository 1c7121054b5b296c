using DiffWave.Kernels;

namespace DiffWave.Bench.Costs;

/// <summary>Predicted costs: of the engine's launches for a workload, or of a tile of one kernel.</summary>
internal static class CostsBench
{
    /// <summary>Mel frames at which a workload is counted unless the user says otherwise: tiles of tensor cores are larger.</summary>
    public static int CountFrames(Workload workload) => workload.Precision == Engine.Precision.Fp32 ? 16 : 64;

    /// <summary>The sheet of a workload; of one group of its items where the engine takes them in groups.</summary>
    public static Result Run(GpuModel gpu, Workload workload, int countFrames, IReadOnlyList<string> measured)
    {
        MeasuredTimes? times = measured.Count == 0 ? null : MeasuredTimes.Read(measured, workload);
        Workload group = workload.Sized(workload.Together(gpu), workload.Frames);
        EngineWork work = EngineWork.Of(gpu, group, countFrames);
        Result result = new CostSheet(gpu, group, work, KernelCost.Of(gpu, work.Launches), times).ToResult();
        return group.Batch == workload.Batch ? result : result with { Notes = [$"{workload.Batch} items are made in groups of {group.Batch}; this is one group", .. result.Notes] };
    }

    /// <summary>The sheet of a kernel of the catalogue, or the ladder of an operation: a row for each of its versions.</summary>
    /// <param name="gpu">The device.</param>
    /// <param name="name">Name of a kernel, or of an operation.</param>
    /// <param name="shape">Sizes, see <see cref="KernelSheet.Of"/>.</param>
    /// <param name="tileRows">Rows of a tile.</param>
    /// <param name="rows">Rows that the ladder's times are for.</param>
    public static Result Run(GpuModel gpu, string name, string? shape, int tileRows, long rows)
    {
        if (KernelCatalog.Find(name) is { } kernel) return KernelSheet.Of(gpu, kernel, shape, tileRows).ToResult();
        KernelVersion[] versions = [.. KernelCatalog.All.Where(version => version.Op == name && version.Shapes[0].Sizes.Any(size => size.Name == "rows"))];
        if (versions.Length == 0) throw new ArgumentException($"'{name}' is no kernel of the catalogue and no operation with rows; kernels: {string.Join(", ", KernelCatalog.All.Select(known => known.Name))}");
        return new Result("ladder", $"predicted: {name} on {gpu.Name}, clocks of a multiprocessor for {tileRows} rows and time of {rows} rows on all of them, nothing in L2", [.. versions.Select(version => KernelSheet.Of(gpu, version, shape, tileRows).LadderRow(rows))])
        {
            Machine = Machine.Describe(), Settings = new Dictionary<string, object?> { ["gpu"] = gpu.Name, ["op"] = name, ["shape"] = shape, ["tile_rows"] = tileRows, ["rows"] = rows },
        };
    }
}
