using System.Runtime.InteropServices;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>The engine on the device waits where it must and nowhere relies on luck: work done as early as CUDA allows, as late as it allows, and through the real driver class gives the same bits.</summary>
public class CudaOpsOrderTests
{
    private static readonly ModelConfig Config = ModelConfig.Preset("tiny") with { Layers = 2, UpsampleFactors = [4, 4] };

    // Five steps of training, the second and the last of two batches, and everything that can be read.
    private static (float[] Numbers, IReadOnlyList<double> Sums) Train(ICudaDriver driver)
    {
        const int Batch = 2, Steps = 5;
        int length = 3 * Config.Hop;
        using var ops = new CudaOps(driver, new CudaOptions { StagingBytes = 1024 });
        var state = new TrainingState(Config, Initializer.Create(Config, 1), keepAverage: true);
        var random = new Random(5);
        float[] Values(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() - 0.5f)];
        ops.LoadTraining(Config, state);
        using var pass = new TrainingPass(ops, Config, Batch, length);
        using IRecording update = ops.Record(ops.UpdateWeights);
        List<double> sums = [];
        float[] prediction = new float[length], gradients = new float[state.Weights.Arena.Length];
        for (int step = 1; step <= Steps; step++)
        {
            ops.SetSeed(1, 1000 * step);
            ops.BeginStep(new AdamStep(step, 1e-3, 0.9, 0.999, 1e-8, 1, 0.99, LossScale: 2), 1f / (Batch * length));
            ops.ZeroGradients();
            for (int part = 0; part < (step is 2 or Steps ? 2 : 1); part++)
            {
                TrainingItem[] items = [.. Enumerable.Range(0, Batch).Select(_ => new TrainingItem(Values(length), Values(length / Config.Hop * Config.Bands), 0, length, ""))];
                pass.Run(LossKind.L1, items, new NoiseDraw(3, 1, 5, part * length, 0), [step, 40], [0.9f, 0.2f], part * Batch, backward: true);
            }
            double[] losses = new double[Batch];
            ops.ReadLosses(losses);
            ops.ReadGradients(gradients);
            sums.AddRange([.. losses, ops.GradientNorm()]);
            update.Run();
            sums.Add(ops.UpdateNorm());
            pass.ReadPrediction(1, prediction);
        }
        ops.ReadTraining(state);
        return ([.. state.Weights.Arena, .. state.FirstMoment, .. state.SecondMoment, .. state.Average!.Arena, .. prediction, .. gradients], sums);
    }

    // Sampling twice with one sampler, so that recorded operations are replayed with other noise.
    private static float[] Sample(ICudaDriver driver, int chunkRows)
    {
        ModelConfig config = Config with { Conditioner = Conditioner.None, Mel = null, UpsampleFactors = [] };
        using var ops = new CudaOps(driver);
        ops.Load(config, Initializer.Create(config, 2));
        var training = new NoiseSchedule(config.TrainingBetas);
        IReadOnlyList<SamplerStep> steps = SamplerStep.Chain(new NoiseSchedule([0.01, 0.1, 0.5]), training);
        const int Length = 70, Batch = 2;
        float[] audio = new float[3 * Batch * Length];
        using var sampler = new Sampler(config, ops);
        for (int run = 0; run < 3; run++)
            sampler.Run(new SamplerRequest { Steps = steps, Noise = new SeededNoise((ulong)run), Lengths = [.. Enumerable.Repeat<long>(Length, Batch)], ChunkRows = chunkRows },
                (item, first, samples) => samples.CopyTo(audio.AsSpan((run * Batch + item) * Length + (int)first)));
        return audio;
    }

    [Theory]
    [InlineData(0), InlineData(16)]
    public void Sampling_early_late_and_through_the_real_driver_gives_the_same_bits(int chunkRows)
    {
        float[] early, late, real;
        using (var driver = new EmulatedDriver(new EmulatorOptions { BlockRaces = true })) early = Sample(driver, chunkRows);
        using (var driver = new EmulatedDriver(new EmulatorOptions { Lazy = true })) late = Sample(driver, chunkRows);
        using (var cuda = new StubCuda(new EmulatorOptions { Lazy = true }))
        {
            using (var driver = NvidiaDriver.Open()) real = Sample(driver, chunkRows);
            Assert.Equal(StubCuda.Nothing, cuda.Live);
            Assert.Equal(chunkRows == 0, cuda.Calls("cuGraphLaunch") > 0);
        }
        Assert.True(early.Distinct().Count() > early.Length / 2); // some are clamped
        Assert.True(Bits(early).SequenceEqual(Bits(late)));
        Assert.True(Bits(early).SequenceEqual(Bits(real)));
    }

    private static ReadOnlySpan<byte> Bits(float[] values) => MemoryMarshal.AsBytes(values.AsSpan());

    [Fact]
    public void Early_late_and_through_the_real_driver_give_the_same_bits()
    {
        (float[] Numbers, IReadOnlyList<double> Sums) early, late, real;
        using (var driver = new EmulatedDriver(new EmulatorOptions { BlockRaces = true })) early = Train(driver);
        using (var driver = new EmulatedDriver(new EmulatorOptions { Lazy = true })) late = Train(driver);
        using (var cuda = new StubCuda(new EmulatorOptions { Lazy = true }))
        {
            using (var driver = NvidiaDriver.Open()) real = Train(driver);
            Assert.Equal(StubCuda.Nothing, cuda.Live);
        }
        Assert.All(early.Sums, sum => Assert.True(double.IsFinite(sum) && sum > 0));
        Assert.Equal(early.Sums, late.Sums);
        Assert.Equal(early.Sums, real.Sums);
        Assert.True(Bits(early.Numbers).SequenceEqual(Bits(late.Numbers)));
        Assert.True(Bits(early.Numbers).SequenceEqual(Bits(real.Numbers)));
    }
}
