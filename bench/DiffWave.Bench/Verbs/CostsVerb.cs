using System.CommandLine;
using DiffWave.Bench.Costs;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary><c>costs</c>: predicted times, from counts.</summary>
internal static class CostsVerb
{
    public static Command Create()
    {
        var preset = new Option<string>("--preset") { Description = "model configuration: base, large, small or tiny", DefaultValueFactory = _ => "base" };
        var clips = new Option<int>("--batch") { Description = "clips made side by side", DefaultValueFactory = _ => 1 };
        var full = new Option<bool>("--full") { Description = "all steps of the training schedule instead of the fast one" };
        var cropFrames = new Option<int>("--crop-frames") { Description = "mel frames a crop", DefaultValueFactory = _ => 62 };
        var recompute = new Option<bool>("--recompute") { Description = "compute the inputs of the gates again in backward instead of keeping them" };
        var inPrecision = new Option<Precision>("--precision") { Description = "fp32, tf32, fp16 or bf16; the last three on a GPU's tensor cores" };
        var output = new OutputOptions();

        var gpuName = new Option<string>("--gpu") { Description = $"the GPU: {string.Join(", ", GpuModel.All.Select(gpu => gpu.Name))}", DefaultValueFactory = _ => "h100" };
        var costSeconds = new Option<double>("--seconds") { Description = "length of the clip", DefaultValueFactory = _ => 10 };
        var costTraining = new Option<bool>("--training") { Description = "a training step instead of a synthesis" };
        var countFrames = new Option<int?>("--count-frames") { Description = "mel frames at which launches are counted by the emulator, and at half of them; without it 16, on tensor cores 64" };
        var measured = new Option<string[]>("--measured") { Description = "results of bench launches, synthesis or training on a GPU to put beside the predictions", HelpName = "FILE", AllowMultipleArgumentsPerToken = true };
        var kernel = new Option<string?>("--kernel") { Description = "a kernel of the catalogue: what a tile of its rows costs; or an operation: a line for each of its versions", HelpName = "NAME" };
        var shape = new Option<string?>("--shape") { Description = "sizes of --kernel; those not named are the usual ones", HelpName = "NAME=SIZE,.." };
        var tileRows = new Option<int>("--tile-rows") { Description = "rows of a tile of --kernel", DefaultValueFactory = _ => 128 };
        var costs = new Command("costs", "predicted time of every kernel of a synthesis or a training step on a GPU, from counts; needs no GPU")
        {
            gpuName, preset, costSeconds, clips, full, inPrecision, costTraining, cropFrames, recompute, countFrames, measured, kernel, shape, tileRows,
        };
        output.AddTo(costs);
        costs.SetAction(p => Failures.Guard(() =>
        {
            GpuModel chosen = GpuModel.Find(p.GetValue(gpuName)!);
            string model = p.GetValue(preset)!;
            Workload workload = p.GetValue(costTraining) ? new TrainingWork(model, p.GetValue(clips), p.GetValue(cropFrames), p.GetValue(recompute), p.GetValue(inPrecision))
                : new SynthesisWork(model, p.GetValue(clips), Workload.FramesOf(model, p.GetValue(costSeconds)), p.GetValue(full), p.GetValue(inPrecision));
            output.Write(p, p.GetValue(kernel) is { } name
                ? CostsBench.Run(chosen, name, p.GetValue(shape), p.GetValue(tileRows), (long)workload.Batch * workload.Samples)
                : CostsBench.Run(chosen, workload, p.GetValue(countFrames) ?? CostsBench.CountFrames(workload), p.GetValue(measured) ?? []));
            return 0;
        }));
        return costs;
    }
}
