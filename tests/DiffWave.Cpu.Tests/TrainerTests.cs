using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>The whole network backward, and the trainer's step around it.</summary>
public class TrainerTests
{
    public static TheoryData<int, Conditioner, bool, int[], int> Graphs => new()
    {
        { 8, Conditioner.Mel, true, [3, 2], 24 }, // philsyn's: an upsampler a layer, step on the residual path, filter first
        { 5, Conditioner.Mel | Conditioner.Label, true, [2, 2], 20 },
        { 16, Conditioner.Mel | Conditioner.Label, false, [2, 3], 30 },
        { 6, Conditioner.Label, false, [2], 9 },
        { 12, Conditioner.None, false, [2], 1 },
        { 7, Conditioner.None, true, [2], 15 },
        { 7, Conditioner.Label, true, [2], 15 },
    };

    [Theory, MemberData(nameof(Graphs))]
    public void GradientsOfTheWholeNetworkEqualDifferencesOfItsLossInFloat64(int channels, Conditioner conditioner, bool philsyn, int[] factors, int samples)
    {
        var c = new PassCase(channels, conditioner, philsyn, factors, samples);
        foreach (bool recompute in (bool[])[false, true])
        {
            using IOps ops = CpuDevice.Create(2);
            var (loss, gradients) = c.Run(ops, recompute, scale: 1);
            Assert.Equal(Loss(c.Weights), loss, 1e-4 * loss);
            foreach (ParameterInfo tensor in c.Weights.Infos)
            {
                // Along the gradient the loss must rise by gradient times step. The step is small, so that few kinks lie in it, and taken as float32 weights really take it.
                float[] direction = gradients[tensor.Name].ToArray();
                double length = Math.Sqrt(direction.Sum(g => (double)g * g));
                if (length < 1e-6) continue; // the last layer's residual half, and what no crop touches
                Parameters up = Moved(tensor, direction, 3e-5 / length), down = Moved(tensor, direction, -3e-5 / length);
                double expected = 0;
                for (int i = 0; i < direction.Length; i++) expected += (double)direction[i] * ((double)up[tensor.Name][i] - down[tensor.Name][i]);
                double rise = Loss(up) - Loss(down);
                Assert.True(Math.Abs(rise - expected) < 1e-3 * expected, $"{tensor.Name}: the loss rises by {rise:g6}, the gradient says {expected:g6}");
            }
        }

        double Loss(Parameters w) => Enumerable.Range(0, 2).Sum(i =>
        {
            var (item, level, noise) = (c.Items[i], c.Levels[i], c.Noise[i]);
            double[] noisy = [.. item.Audio.Select((x, t) => Math.Sqrt(level) * x + Math.Sqrt(1 - level) * noise[t])];
            double[] eps = Reference<double>.Network(c.Config, w, noisy, c.Steps[i], item.Mel is { } mel ? Reference<double>.Of(mel) : null, item.Label);
            return Enumerable.Range(0, item.ValidSamples).Sum(t => Math.Pow(eps[t] - noise[t], 2));
        });

        Parameters Moved(ParameterInfo tensor, float[] direction, double by)
        {
            var moved = new Parameters(c.Config);
            c.Weights.Arena.CopyTo(moved.Arena, 0);
            Span<float> values = moved[tensor.Name];
            for (int i = 0; i < values.Length; i++) values[i] += (float)(by * direction[i]);
            return moved;
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ALongCropIsPredictedAsSamplingPredictsIt(bool philsyn)
    {
        ModelConfig config = Setup.Config(4, Conditioner.Mel, philsyn: philsyn);
        const int samples = 2 * 8192 + 346; // more than two stretches
        using IOps ops = CpuDevice.Create(2);
        Parameters weights = Setup.Weights(config);
        ops.Load(config, weights);
        var (sources, rows) = Setup.Mels(config, 1, samples / config.Hop);
        float[] audio = Setup.Normals(samples, 700), noise = new float[samples], predicted = new float[samples];
        using var pass = new TrainingPass(ops, config, 1, samples);
        pass.Run(LossKind.L1, [new TrainingItem(audio, rows[0], 0, samples, "")], [noise], [20], [1], new double[1], backward: false); // alpha_bar 1: the audio itself
        pass.ReadPrediction(0, predicted);
        // Not bit for bit: sampling cuts a layer's tiles at another row. The bound is that of the reference outputs.
        Assert.InRange(Setup.MaxError(Reference<double>.Of(Network.Evaluate(ops, config, [audio], [20f], sources, [])[0]), predicted), 0, 1e-5);
    }

    [Fact]
    public void ABatchInPartsOrRecomputedIsTheSameBatch()
    {
        ModelConfig config = Setup.Config(16, Conditioner.Mel, philsyn: false);
        float[][] arenas = [.. new[] { (1, false, 1), (2, false, 2), (4, true, 3) }.Select(way =>
        {
            using IOps ops = CpuDevice.Create(way.Item3);
            var state = new TrainingState(config, Setup.Weights(config), keepAverage: true);
            var options = new TrainingOptions { Batch = 4, MicroBatch = way.Item1, Recompute = way.Item2, CropFrames = 40, LearningRate = 1e-3, ClipNorm = 0.5, AverageDecay = 0.9 };
            using var trainer = new Trainer(ops, config, options, new Crops(config, 80), state);
            for (int step = 0; step < 3; step++) trainer.Step();
            trainer.ReadState();
            return (float[])[.. state.Weights.Arena, .. state.Average!.Arena, .. state.FirstMoment, .. state.SecondMoment];
        })];
        Setup.AssertSameBits("two at a time", arenas[0], arenas[1]);
        Setup.AssertSameBits("four at a time, recomputed", arenas[0], arenas[2]);
    }

    [Fact]
    public void TheLearningRateRisesAndFallsAsDocumented()
    {
        ModelConfig config = Setup.Config(4);
        using IOps ops = CpuDevice.Create(1);
        Trainer With(TrainingOptions options) => new(ops, config, options, new Crops(config, 8), new TrainingState(config, Setup.Weights(config), false));
        using (var constant = With(new TrainingOptions { LearningRate = 0.01 })) Assert.Equal([0.01, 0.01], new[] { constant.LearningRate(1), constant.LearningRate(1_000_000) });
        using var shaped = With(new TrainingOptions { LearningRate = 0.01, WarmupSteps = 10, DecaySteps = 100 });
        Assert.Equal(0.001, shaped.LearningRate(1), 1e-12);
        Assert.Equal(0.01, shaped.LearningRate(10), 1e-12);
        Assert.Equal(0.01 * (0.1 + 0.9 / 2), shaped.LearningRate(60), 1e-12); // half way down the cosine
        Assert.Equal(0.001, shaped.LearningRate(110), 1e-12);
        Assert.Equal(0.001, shaped.LearningRate(5000), 1e-12);
    }

    [Fact]
    public void TheValidationLossIsTheMeanOverFixedStepsAndNoise()
    {
        ModelConfig config = Setup.Config(8);
        Parameters weights = Setup.Weights(config);
        IReadOnlyList<TrainingItem> crops = new Crops(config, 50).Validation;
        using IOps ops = CpuDevice.Create(2);
        using var validation = new Validation(ops, config, LossKind.L1, crops);
        var (loss, byStep) = validation.Measure(weights);
        Assert.Equal(loss, validation.Measure(weights).Loss);
        Assert.Equal([0, 6, 12, 18, 25, 31, 37, 43], byStep.Select(part => part.From));
        Assert.Equal(50, byStep[^1].To);

        // The same questions to the float64 network: the middle of each part, noise of the documented stream.
        double sum = 0;
        for (int item = 0; item < 3; item++)
            for (int part = 0; part < 8; part++)
            {
                int step = (2 * part + 1) * 50 / 16;
                float[] noise = new float[50];
                PhiloxNoise.Fill(0, 0x2000_0002, (uint)part, item * 50, noise);
                double level = (float)new NoiseSchedule(config.TrainingBetas).AlphaBars[step];
                double[] eps = Reference<double>.Network(config, weights, [.. crops[item].Audio.Select((x, t) => Math.Sqrt(level) * x + Math.Sqrt(1 - level) * noise[t])], step, null, 0);
                sum += Enumerable.Range(0, crops[item].ValidSamples).Sum(t => Math.Abs(eps[t] - noise[t]));
            }
        Assert.Equal(sum / (8 * crops.Sum(crop => crop.ValidSamples)), loss, 1e-5);
    }
}
