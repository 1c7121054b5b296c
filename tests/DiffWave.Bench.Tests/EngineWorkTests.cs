using DiffWave.Bench.Costs;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench.Tests;

/// <summary>The engine's real launches, and their counts scaled from shorter ones against counts at the length itself.</summary>
public class EngineWorkTests
{
    private static readonly SynthesisWork Synthesis = new("tiny", 2, 8, Full: false, Precision.Fp32);
    private static readonly TrainingWork Training = new("tiny", 2, 8, Recompute: false, Precision.Fp32);

    [Fact]
    public void ASynthesisLaunchesThreeKernelsALayerAndStep()
    {
        EngineWork work = EngineWork.Of(GpuModel.Find("h100"), Synthesis, countFrames: 2);
        int Launches(string prefix) => work.Launches.Count(launch => launch.Kernel.StartsWith(prefix, StringComparison.Ordinal));
        int steps = Synthesis.Steps.Count, layers = Synthesis.Config.Layers;
        Assert.Equal(7, steps);
        Assert.Equal(6, layers);
        foreach (string kernel in new[] { "dilated_conv", "gated_activation", "residual_output" }) Assert.Equal(steps * layers, Launches(kernel));
        Assert.Equal(layers + steps, Launches("pointwise_conv")); // a conditioner a layer once, the head's first projection each step
        Assert.Equal(steps, Launches("reverse_step"));
        Assert.Equal(steps, Launches("philox_normal")); // the first signal, and noise in all steps but the last
        Assert.Equal(2 * Synthesis.Samples * sizeof(float), work.HostBytes - 2 * Synthesis.Frames * Synthesis.Config.Bands * sizeof(float) - 2 * sizeof(ulong)); // audio out; mels, the seed and where its noise begins in
    }

    // Kernels of signals and vectors round up to whole blocks, so only what carries the weight is compared: everything together, and the kernels of the residual block one by one.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ScaledCountsAreThoseOfTheLengthItself(bool training)
    {
        Workload workload = training ? Training : Synthesis;
        GpuModel gpu = GpuModel.Find("h100");
        EngineWork scaled = EngineWork.Of(gpu, workload, countFrames: 4);
        using var counted = new LaunchRecorder(gpu, gpu.Multiprocessors);
        workload.Record(counted);
        Assert.Equal(counted.Log.Select(launch => launch.Kernel), scaled.Launches.Select(launch => launch.Kernel));

        double[] Sum(string prefix, bool isScaled) => [.. Enum.GetValues<Count>().Select(count => Enumerable.Range(0, counted.Log.Count)
            .Where(i => counted.Log[i].Counted is not null && counted.Log[i].Kernel.StartsWith(prefix, StringComparison.Ordinal))
            .Sum(i => isScaled ? scaled.Launches[i][count] : LaunchWork.CountsOf(counted.Log[i].Counted!.Value.Report)[(int)count]))];
        foreach (string prefix in new[] { "", "dilated_conv_v2", "gated_activation_v2", "residual_output_v2", training ? "dilated_conv_backward_v2" : "head_v2" })
        {
            double[] expected = Sum(prefix, false), actual = Sum(prefix, true);
            Assert.True(expected[(int)Count.Issued] > 0, $"nothing counted of '{prefix}'");
            foreach (Count count in new[] { Count.Issued, Count.Float32, Count.Flops, Count.SharedWavefronts, Count.GlobalWavefronts, Count.Sectors })
                Assert.True(Math.Abs(actual[(int)count] - expected[(int)count]) <= 0.02 * expected[(int)count], $"'{prefix}' {count}: {actual[(int)count]} scaled, {expected[(int)count]} counted");
        }
    }

    // A kernel that walks tiles on all multiprocessors, from counts with one and two blocks. Its matrix products and what it does once a block are exact; the halo of a tile and the tiles at
    // the ends of a signal, which ask for more, are not in proportion to the length.
    [Fact]
    public void TilesThatAreWalkedAreScaledByTheirNumber()
    {
        var work = new SynthesisWork("small", 2, 24, Full: false, Precision.Fp16);
        GpuModel gpu = GpuModel.Find("h100") with { Multiprocessors = 20 };
        EngineWork scaled = EngineWork.Of(gpu, work, countFrames: 16);
        using var counted = new LaunchRecorder(gpu, gpu.Multiprocessors);
        work.Record(counted);
        int[] blocks = [.. Enumerable.Range(0, counted.Log.Count).Where(i => counted.Log[i].Tiles > 0)];
        Assert.Equal(work.Config.Layers * work.Steps.Count, blocks.Length);
        double Scaled(Count count) => blocks.Sum(i => scaled.Launches[i][count]);
        double Counted(Count count) => blocks.Sum(i => LaunchWork.CountsOf(counted.Log[i].Counted!.Value.Report)[(int)count]);
        Assert.All(blocks, i => Assert.Equal((TensorKind.F16, 2L * gpu.Multiprocessors), (counted.Log[i].Tensor, counted.Log[i].Grid.Size))); // shared memory is there for two at C = 32
        foreach (Count count in new[] { Count.TensorFlops, Count.Tensor, Count.Special, Count.Barriers }) Assert.Equal(Counted(count), Scaled(count), 1e-9 * Counted(count));
        foreach (Count count in new[] { Count.Issued, Count.SharedWavefronts, Count.GlobalWavefronts, Count.Sectors }) Assert.InRange(Scaled(count) / Counted(count), 0.95, 1.05);
    }

    // The same GPU but for its device memory: where that is slow, the engine takes windows. They execute what all rows at once do, but for the halo and the weights of more launches, and move less.
    [Fact]
    public void WindowsExecuteTheSameAndMoveLess()
    {
        var work = new SynthesisWork("small", 1, 64, Full: false, Precision.Fp16);
        GpuModel fast = GpuModel.Find("h100") with { Multiprocessors = 4, L2Bytes = 4 << 20 }, slow = fast with { DramBandwidth = 1e10 };
        EngineWork whole = EngineWork.Of(fast, work, countFrames: 16), windows = EngineWork.Of(slow, work, countFrames: 16);
        int Blocks(EngineWork of) => of.Launches.Count(launch => launch.Tiles > 0);
        int evaluations = work.Config.Layers * work.Steps.Count;
        Assert.Equal((evaluations, 3 * evaluations), (Blocks(whole), Blocks(windows))); // of 11 waves of 512 rows
        Assert.Empty(windows.Doubts);
        double Sum(EngineWork of, Count count) => of.Launches.Sum(launch => launch[count]);
        foreach (Count count in new[] { Count.TensorFlops, Count.Special, Count.Issued, Count.SharedWavefronts, Count.Sectors }) Assert.InRange(Sum(windows, count) / Sum(whole, count), 0.97, 1.25);
        double Touched(EngineWork of) => of.Launches.Sum(launch => launch.Touches.Sum(touch => touch.Read + touch.Written));
        Assert.InRange(Touched(windows) / Touched(whole), 0.99, 1.15);
        double Dram(EngineWork of) => CacheModel.DramBytes([.. of.Launches.Select(launch => launch.Touches)], slow.L2Bytes).Sum();
        Assert.InRange(Dram(windows) / Dram(whole), 0, 0.2);
    }

    [Fact]
    public void TheSheetSharesOutTheWholeAndCountsTheArithmetic()
    {
        GpuModel gpu = GpuModel.Find("h100");
        EngineWork work = EngineWork.Of(gpu, Synthesis, countFrames: 2);
        var sheet = new CostSheet(gpu, Synthesis, work, KernelCost.Of(gpu, work.Launches), null);
        Assert.Equal(work.Launches.Count, sheet.Kernels.Sum(kernel => kernel.Launches));
        double conv = sheet.Kernels.Single(kernel => kernel.Kernel.StartsWith("dilated_conv_v2", StringComparison.Ordinal)).Work[(int)Count.Flops];
        double products = 2.0 * 3 * 16 * 64 * Synthesis.Batch * Synthesis.Samples * Synthesis.Config.Layers * Synthesis.Steps.Count; // a tile has 64 columns, 32 of them idle with 16 channels
        Assert.InRange(conv / products, 1, 1.1); // and the sums of biases and conditioner
        string text = Table.Text(sheet.ToResult());
        Assert.Contains("x real time", text, StringComparison.Ordinal);
        Assert.DoesNotContain("doubtful", text, StringComparison.Ordinal);
        Assert.Equal(sheet.Seconds, work.Launches.Count * GpuModel.GraphLaunch + sheet.Kernels.Sum(kernel => kernel.Seconds - kernel.Launches * GpuModel.GraphLaunch), 12);
    }

    [Fact]
    public void ItemsThatAreTakenInGroupsAreCountedAsOne()
    {
        var sixteen = new SynthesisWork("small", 16, Workload.FramesOf("small", 10), Full: false, Precision.Fp16);
        Assert.Equal(4, sixteen.Together(GpuModel.Find("h100"))); // groups of at most 2^20 samples
        Assert.Equal(16, sixteen.Sized(16, 100).Together(GpuModel.Find("h100")));
    }
}
