namespace DiffWave.Bench.Costs;

/// <summary>Predicted costs: of the engine's launches for a workload.</summary>
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
}
