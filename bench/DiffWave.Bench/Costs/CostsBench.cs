using DiffWave.Kernels;

namespace DiffWave.Bench.Costs;

/// <summary>Predicted costs: of the engine's launches for a workload, or of a tile of one kernel.</summary>
internal static class CostsBench
{
    /// <summary>Prints the sheet of a workload.</summary>
    public static Dictionary<string, object?> Run(GpuModel gpu, Workload workload, int countFrames, string? measured)
    {
        MeasuredTimes? times = measured is null ? null : MeasuredTimes.Read(measured, workload);
        EngineWork work = EngineWork.Of(gpu, workload, countFrames);
        var sheet = new CostSheet(gpu, workload, work, KernelCost.Of(gpu, work.Launches, workload.LaunchStart), times);
        Console.Write(sheet);
        return sheet.ToJson();
    }

    /// <summary>Prints the sheet of a kernel of the catalogue.</summary>
    public static Dictionary<string, object?> Run(GpuModel gpu, string kernel, string? shape, int tileRows)
    {
        KernelVersion version = KernelCatalog.Find(kernel) ?? throw new ArgumentException($"'{kernel}' is no kernel of the catalogue; its names: {string.Join(", ", KernelCatalog.All.Select(known => known.Name))}");
        KernelSheet sheet = KernelSheet.Of(gpu, version, shape, tileRows);
        Console.Write(sheet);
        return sheet.ToJson();
    }
}
