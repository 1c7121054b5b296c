using DiffWave.Cpu;
using DiffWave.Cpu.Tests;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>Training by <see cref="CudaOps"/> on the emulator: the optimiser's bits, whole steps beside the CPU's, and that nothing depends on how work is cut.</summary>
public class CudaTrainingTests
{
    private const Conditioner Both = Conditioner.Mel | Conditioner.Label;

    private static float[] Numbers(TrainingState state) => [.. state.Weights.Arena, .. state.FirstMoment, .. state.SecondMoment, .. state.Average?.Arena ?? []];

    // ---- The optimiser and the loss.

    [Theory]
    [InlineData(0.9, 0.999, 1e-8, 2e-4, 0.999)]
    [InlineData(0.0, 0.5, 1e-3, 0.1, 0.0)]
    [InlineData(0.4, 0.9, 1e-8, 0.01, 0.5)]
    public void AnUpdateHasTheBitsOfTheCpu(double beta1, double beta2, double epsilon, double rate, double decay)
    {
        var config = Setup.Config(5, layers: 2);
        using var device = new OpsUnderTest();
        using IOps cpu = CpuDevice.Create(1);
        float[][] results = [.. new[] { device.Ops, cpu }.Select(ops =>
        {
            var state = new TrainingState(config, Setup.Weights(config), keepAverage: true);
            ops.LoadTraining(config, state);
            for (int step = 1; step <= 3; step++)
            {
                SetGradients(ops, config, step);
                ops.BeginStep(new AdamStep(step, rate, beta1, beta2, epsilon, 0, decay, 1 << step), 1);
                ops.UpdateWeights();
            }
            ops.ReadTraining(state);
            return Numbers(state);
        })];
        Setup.AssertSameBits("weights, moments and average", results[1], results[0]);
    }

    // Gradients without a sum, and so the same on every device: those of the input projection's weight for one sample of 1, and of its bias.
    private static void SetGradients(IOps ops, ModelConfig config, int seed, float scale = 1)
    {
        using var buffers = new Buffers(ops);
        ops.ZeroGradients();
        ops.InputProjectionBackward(buffers.Of([[1f]], 1), buffers.Of([[.. Enumerable.Repeat(1f, config.Channels)]], config.Channels),
            buffers.Of([[.. Setup.Normals(config.Channels, (uint)seed).Select(value => scale * value)]], config.Channels), null);
    }

    [Fact]
    public void GradientsAreClippedToTheirNorm()
    {
        var config = Setup.Config(16, layers: 2);
        using var device = new OpsUnderTest();
        CudaOps ops = device.Ops;
        float[][] moments = [.. new[] { 0.0, 0.25 }.Select(clip =>
        {
            var state = new TrainingState(config, Setup.Weights(config), keepAverage: false);
            ops.LoadTraining(config, state);
            SetGradients(ops, config, 1);
            float[] gradients = new float[state.Weights.Arena.Length];
            ops.ReadGradients(gradients);
            double norm = Math.Sqrt(gradients.Sum(g => (double)g * g));
            Assert.True(norm > 1);
            Assert.Equal(norm, ops.GradientNorm(), 1e-13 * norm);
            ops.BeginStep(new AdamStep(1, 0.1, 0, 0.9, 1e-8, clip * norm, 0), 1);
            ops.UpdateWeights();
            Assert.Equal(ops.GradientNorm(), ops.UpdateNorm()); // before clipping
            ops.ReadTraining(state);
            return state.FirstMoment; // the gradients themselves, for beta1 = 0
        })];
        Assert.Equal(moments[0].Select(g => 0.25f * g), moments[1]);
    }

    [Fact]
    public void NothingIsUpdatedFromNumbersThatAreNotFinite()
    {
        var config = Setup.Config(8, layers: 2);
        using var device = new OpsUnderTest();
        CudaOps ops = device.Ops;
        var state = new TrainingState(config, Setup.Weights(config), keepAverage: true);
        ops.LoadTraining(config, state);
        Assert.True(double.IsNaN(ops.UpdateNorm())); // there was no update yet
        SetGradients(ops, config, 1);
        Assert.Throws<InvalidOperationException>(ops.UpdateWeights);
        ops.BeginStep(new AdamStep(1, 0.01, 0.9, 0.999, 1e-8, 0, 0.5), 1);
        ops.UpdateWeights();
        ops.ReadTraining(state);
        float[] before = Numbers(state);
        using var buffers = new Buffers(ops);
        foreach (var (scale, loss, clip) in new[] { (float.NaN, 1f, 1.0), (float.PositiveInfinity, 1, 0), (1e30f, 1, 0), (1, float.NaN, 1), (1, float.NegativeInfinity, 0) })
        {
            SetGradients(ops, config, 2, scale);
            ops.Loss(LossKind.L1, buffers.Of([[loss], [0]], 1), buffers.New(2, 1, 1), buffers.OneEach(1, 1), 0, buffers.New(2, 1, 1));
            ops.Loss(LossKind.L1, buffers.Of([[2]], 1), buffers.New(1, 1, 1), buffers.OneEach(1), 2, buffers.New(1, 1, 1));
            ops.BeginStep(new AdamStep(2, 0.01, 0.9, 0.999, 1e-8, clip, 0.5), 1);
            ops.UpdateWeights();
            double[] sums = new double[3];
            ops.ReadLosses(sums);
            Assert.Equal([Math.Abs(loss), 0, 2], sums);
            Assert.Equal(ops.GradientNorm(), ops.UpdateNorm());
            ops.ReadTraining(state);
            Setup.AssertSameBits($"gradients times {scale}, loss {loss}", before, Numbers(state));
        }
        Assert.Throws<ArgumentException>(() => ops.ReadLosses(new double[4]));
        // Firsts again: the sums of the step before are forgotten, and large gradients are clipped.
        ops.Loss(LossKind.L1, buffers.Of([[2]], 1), buffers.New(1, 1, 1), buffers.OneEach(1), 0, buffers.New(1, 1, 1));
        SetGradients(ops, config, 2, 1e15f);
        ops.BeginStep(new AdamStep(2, 0.01, 0.9, 0.999, 1e-8, 1, 0.5), 1);
        ops.UpdateWeights();
        ops.ReadTraining(state);
        float[] after = Numbers(state);
        Assert.All(after, value => Assert.True(float.IsFinite(value)));
        Assert.NotEqual(before, after);
    }

    [Theory]
    [InlineData(LossKind.L1)]
    [InlineData(LossKind.Mse)]
    public void DiffusionAndTheLossHaveTheBitsOfTheCpu(LossKind kind)
    {
        const int Rows = 1301;
        using var device = new OpsUnderTest();
        using IOps cpu = CpuDevice.Create(1);
        float[][] eps = BackwardSetup.Items(3, Rows, 0), noise = BackwardSetup.Items(3, Rows, 10);
        noise[0][7] = eps[0][7];
        eps[1][250] = float.NaN; // behind the last sample that counts
        var results = new[] { device.Ops, cpu }.Select(ops =>
        {
            using var buffers = new Buffers(ops);
            IBuffer dEps = buffers.Poisoned(3, Rows, 1), noisy = buffers.New(3, Rows, 1);
            ops.BeginStep(new AdamStep(1, 0, 0.9, 0.999, 1e-8, 0, 0, LossScale: 1024), 1f / 500);
            ops.Loss(kind, buffers.Of(eps, 1), buffers.Of(noise, 1), buffers.OneEach(Rows, 199, 0), 0, dEps);
            ops.Diffuse(buffers.Of(eps, 1), buffers.Of(noise, 1), buffers.OneEach(0.9f, 0.03f, 1), noisy);
            double[] sums = new double[3];
            ops.ReadLosses(sums);
            float[] Read(IBuffer buffer) => [.. Enumerable.Range(0, 3).SelectMany(item => buffers.Read(buffer, item, 0, Rows)).Select(value => float.IsNaN(value) ? 12345 : value)];
            return (Sums: sums, DEps: Read(dEps), Noisy: Read(noisy));
        }).ToArray();
        Setup.AssertSameBits("dEps", results[1].DEps, results[0].DEps);
        Setup.AssertSameBits("noisy", results[1].Noisy, results[0].Noisy);
        foreach (var (cuda, expected) in results[0].Sums.Zip(results[1].Sums)) Assert.Equal(expected, cuda, 1e-13 * expected); // float64, in another order
    }

    // ---- Whole passes and steps.

    public static TheoryData<int, Conditioner, bool, int[], int> Graphs => new()
    {
        { 8, Conditioner.Mel, true, [3, 2], 24 }, // philsyn's: an upsampler a layer, step on the residual path, filter first
        { 5, Both, true, [2, 2], 20 },
        { 16, Both, false, [2, 3], 66 },
        { 6, Conditioner.Label, false, [2], 9 },
        { 12, Conditioner.None, false, [2], 1 },
    };

    [Theory, MemberData(nameof(Graphs))]
    public void GradientsOfTheWholeNetworkAreThoseInFloat64(int channels, Conditioner conditioner, bool philsyn, int[] factors, int samples)
    {
        var c = new PassCase(channels, conditioner, philsyn, factors, samples);
        using var device = new OpsUnderTest();
        using IOps cpu = CpuDevice.Create(1);
        float scale = 1f / samples;
        var cuda = c.Run(device.Ops, recompute: false, scale);
        Setup.AssertSameBits("recomputed", cuda.Gradients.Arena, c.Run(device.Ops, recompute: true, scale).Gradients.Arena);
        var reference = c.Run(cpu, recompute: false, scale);
        Assert.Equal(reference.Loss, cuda.Loss, 1e-5 * reference.Loss);
        // Both are float32. Every operation alone is held to float64 elsewhere; here it is that they are put together alike, and a wrong piece is off by its own size; 1e-5 of that is some hundred roundings.
        foreach (ParameterInfo tensor in c.Weights.Infos)
        {
            float[] expected = reference.Gradients[tensor.Name].ToArray(), actual = cuda.Gradients[tensor.Name].ToArray();
            double length = Math.Sqrt(expected.Sum(g => (double)g * g)), difference = Math.Sqrt(expected.Zip(actual, (a, b) => ((double)a - b) * ((double)a - b)).Sum());
            Assert.True(difference <= 1e-5 * length, $"{tensor.Name}: {difference:g3} apart, of length {length:g3}");
        }
    }

    [Fact]
    public void TwentyStepsGoWhereTheCpuGoes()
    {
        ModelConfig config = Setup.Config(8, Both, bands: 8, factors: [2, 3], layers: 3, cycle: 2);
        const int Steps = 20;
        var options = new TrainingOptions { Batch = 2, MicroBatch = 2, CropFrames = 8, LearningRate = 1e-3, ClipNorm = 1, AverageDecay = 0.9, Loss = LossKind.Mse };
        using var device = new OpsUnderTest(checks: false);
        using IOps cpu = CpuDevice.Create(1);
        float[] start = Setup.Weights(config).Arena;
        var (expected, losses) = Train(cpu, start);
        var (actual, cudaLosses) = Train(device.Ops, start);

        // How far apart rounding alone takes two runs: the CPU again from weights of which each is one unit in the last place off, up or down. Ten such runs; Adam divides by the gradients'
        // own size, so that the smallest of them carry the noise of their rounding into the weights at full rate.
        double bound = 0;
        for (uint run = 0; run < 10; run++)
        {
            float[] signs = Setup.Normals(start.Length, 900 + run);
            var (moved, _) = Train(cpu, [.. start.Zip(signs, (w, sign) => sign > 0 ? MathF.BitIncrement(w) : MathF.BitDecrement(w))]);
            bound = Math.Max(bound, Distance(expected, moved));
        }
        double distance = Distance(expected, actual), way = Distance(expected, new TrainingState(config, Weights(start), keepAverage: true));
        Assert.True(distance <= bound, $"{distance:g3} apart after {Steps} steps, {bound:g3} by one unit in the last place of the first weights, {way:g3} from there");
        Assert.True(bound < way / 100); // which is little beside what was learnt
        foreach (var (cuda, reference) in cudaLosses.Zip(losses)) Assert.Equal(reference, cuda, 1e-4 * reference);

        (TrainingState, List<double>) Train(IOps ops, float[] weights)
        {
            var state = new TrainingState(config, Weights(weights), keepAverage: true);
            using var trainer = new Trainer(ops, config, options, new Crops(config, 8 * config.Hop), state);
            List<double> steps = [.. Enumerable.Range(0, Steps).Select(_ => trainer.Step().Loss)];
            return (trainer.ReadState(), steps);
        }

        Parameters Weights(float[] values)
        {
            var parameters = new Parameters(config);
            values.CopyTo(parameters.Arena, 0);
            return parameters;
        }

        static double Distance(TrainingState a, TrainingState b) => Math.Sqrt(a.Weights.Arena.Zip(b.Weights.Arena, (x, y) => ((double)x - y) * ((double)x - y)).Sum());
    }

    [Fact]
    public void NeitherPartsNorThreadsNorAPauseChangeABit()
    {
        foreach (int channels in new[] { 8, 5 })
        {
            ModelConfig config = Setup.Config(channels, Both, bands: channels, factors: [4], layers: 3, cycle: 2, philsyn: channels == 5);
            const int Frames = 160; // 640 samples: two slices of rows
            float[] expected = Train(new TrainingOptions { MicroBatch = 1 }, threads: 1);
            Setup.AssertSameBits("three at a time, on two threads", expected, Train(new TrainingOptions { MicroBatch = 3 }, threads: 2));
            Setup.AssertSameBits("recomputed", expected, Train(new TrainingOptions { MicroBatch = 3, Recompute = true }, threads: 2));
            Setup.AssertSameBits("partial sums of one item at a time", expected, Train(new TrainingOptions { MicroBatch = 3 }, 2, new CudaOptions { PartialBytes = 1 }));
            Setup.AssertSameBits("with a pause", expected, Train(new TrainingOptions { MicroBatch = 1 }, threads: 1, pause: true));

            float[] Train(TrainingOptions way, int threads, CudaOptions? choices = null, bool pause = false)
            {
                var options = way with { Batch = 3, CropFrames = Frames, LearningRate = 1e-3, ClipNorm = 0.5, AverageDecay = 0.9 };
                var state = new TrainingState(config, Setup.Weights(config), keepAverage: true);
                var device = new OpsUnderTest(checks: false, threads, choices);
                var trainer = new Trainer(device.Ops, config, options, new Crops(config, Frames * config.Hop), state);
                for (int step = 0; step < 2; step++)
                {
                    trainer.Step();
                    if (!pause) continue;
                    // Everything goes; a new process starts from the numbers alone.
                    trainer.ReadState();
                    trainer.Dispose();
                    device.Dispose();
                    device = new OpsUnderTest(checks: false, threads);
                    trainer = new Trainer(device.Ops, config, options, new Crops(config, Frames * config.Hop), state);
                }
                trainer.ReadState();
                trainer.Dispose();
                device.Dispose();
                return Numbers(state);
            }
        }
    }

    [Fact]
    public void TheStateComesBackAsItWent()
    {
        using var device = new OpsUnderTest();
        CudaOps ops = device.Ops;
        foreach (int channels in new[] { 5, 8 }) // another model after the first
        {
            var config = Setup.Config(channels, layers: 2);
            var state = new TrainingState(config, Setup.Weights(config), keepAverage: channels == 5);
            PhiloxNoise.Fill(1, 1, 0, 0, state.FirstMoment);
            PhiloxNoise.Fill(1, 2, 0, 0, state.SecondMoment);
            if (state.Average is { } average) PhiloxNoise.Fill(1, 3, 0, 0, average.Arena);
            ops.LoadTraining(config, state);
            var read = new TrainingState(config, new Parameters(config), state.Average is not null);
            ops.ReadTraining(read);
            Setup.AssertSameBits("state", Numbers(state), Numbers(read));
            Assert.Throws<ArgumentException>(() => ops.ReadTraining(new TrainingState(config, new Parameters(config), state.Average is null)));
            Assert.Equal(0, ops.GradientNorm());
        }
    }

    [Fact]
    public void OperationsUseTheUpdatedWeightsAlsoBesideOthers()
    {
        var config = Setup.Config(8, layers: 2);
        using var device = new OpsUnderTest();
        CudaOps ops = device.Ops;
        var state = new TrainingState(config, Setup.Weights(config), keepAverage: false);
        float[][] audio = BackwardSetup.Items(1, 40, 1);
        ops.LoadTraining(config, state);
        SetGradients(ops, config, 1);
        ops.Load(config, Setup.Weights(config, seed: 9)); // as validation does; the weights being optimised stay
        float[] other = Network.Evaluate(ops, config, audio, [3f], null, [])[0];
        ops.BeginStep(new AdamStep(1, 0.1, 0.9, 0.999, 1e-8, 0, 0), 1);
        ops.UpdateWeights();
        float[] updated = Network.Evaluate(ops, config, audio, [3f], null, [])[0];
        ops.ReadTraining(state);
        ops.Load(config, state.Weights);
        Setup.AssertSameBits("the updated weights", Network.Evaluate(ops, config, audio, [3f], null, [])[0], updated);
        ops.Load(config, Setup.Weights(config, seed: 9));
        Setup.AssertSameBits("the others", other, Network.Evaluate(ops, config, audio, [3f], null, [])[0]);
        Assert.NotEqual(other, updated);
    }
}
