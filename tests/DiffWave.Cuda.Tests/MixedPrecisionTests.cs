using DiffWave.Cpu.Tests;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>Training with activations and products in less than float32, on the emulator.</summary>
public class MixedPrecisionTests
{
    private const Conditioner Both = Conditioner.Mel | Conditioner.Label;

    public static TheoryData<Precision> Precisions => [Precision.Tf32, Precision.Fp16, Precision.Bf16];

    private static PassCase[] Cases =>
        [new(32, Both, true, [3, 2], 150, bands: 8), new(32, Conditioner.None, false, [2], 1), new(64, Conditioner.Mel, false, [16], 144, bands: 80), new(64, Conditioner.Label, true, [2], 37),
            new(128, Conditioner.Mel, true, [2], 52, bands: 24), new(256, Conditioner.None, false, [2], 21), new(32, Conditioner.Mel, false, [2], 40, bands: 8, layers: 6)];

    /// <summary>
    /// The rule of the forward tests, layer by layer (weight and bias together, because a bias of one number is a single sum whose roundings may happen to cancel) and by Euclidean length: the error against
    /// float64 is at most twice that of a float64 evaluation which rounds wherever the precision must, plus a floor of one unit in the last place of the gradient's length.
    /// </summary>
    [Theory]
    [MemberData(nameof(Precisions))]
    public void GradientsAreAsAccurateAsTheirRoundings(Precision precision)
    {
        using var device = new OpsUnderTest(options: new CudaOptions { Precision = precision }, races: true);
        foreach ((PassCase c, Gradients<double> truth) in Cases.Zip(Truths.Value))
        {
            Parameters actual = c.Run(device.Ops, recompute: false, Scale).Gradients;
            Gradients<double> rounded = GradientsOf(precision, c);
            foreach (var layer in c.Weights.Infos.GroupBy(info => info.Name[..info.Name.LastIndexOf('.')]))
            {
                double[] Whole(Func<string, double[]> tensor) => [.. layer.SelectMany(info => tensor(info.Name))];
                double[] exact = Whole(name => truth.ByName[name]);
                double error = Distance(exact, Whole(name => Reference<double>.Of(actual[name]))), naive = Distance(exact, Whole(name => rounded.ByName[name])), length = Distance(exact, new double[exact.Length]);
                TestContext.Current.TestOutputHelper?.WriteLine($"{precision} C={c.Config.Channels} {layer.Key}: {error / length:g3} of {length:g3}, its roundings alone {naive / length:g3}");
                double allowed = 2 * naive + RoundedNetwork.Unit(precision) * length;
                Assert.True(error <= allowed, $"{precision}, C={c.Config.Channels}, {layer.Key}: {error:g3} apart, allowed {allowed:g3} (twice {naive:g3}, which its roundings come to, plus a unit of {length:g3})");
            }
        }
    }

    private const float Scale = 1;

    // Float64 is the same for every precision.
    private static readonly Lazy<Gradients<double>[]> Truths = new(() => [.. Cases.Select(c => GradientsOf(Precision.Fp32, c))]);

    private static Gradients<double> GradientsOf(Precision precision, PassCase c)
    {
        var gradients = new Gradients<double>();
        for (int i = 0; i < 2; i++) RoundedTraining.AddGradients(precision, c.Config, c.Weights, c.Items[i], c.Noise[i], c.Steps[i], c.Levels[i], Scale, gradients);
        return gradients;
    }

    [Theory]
    [MemberData(nameof(Precisions))]
    public void APowerOfTwoTimesTheLossChangesNoBit(Precision precision)
    {
        using var device = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = precision });
        PassCase c = Cases[0];
        float[] expected = c.Run(device.Ops, recompute: false, 1).Gradients.Arena, scaled = [.. c.Run(device.Ops, recompute: false, 1.0f / 1024).Gradients.Arena.Select(g => 1024 * g)];
        if (precision != Precision.Fp16)
        {
            Setup.AssertSameBits("by 1024", expected, scaled);
            return;
        }
        // fp16 has no numbers below 2^-24: small gradients are rounded to them, or to nothing.
        double[] exact = Reference<double>.Of(expected);
        double length = Distance(exact, new double[exact.Length]), apart = Distance(exact, Reference<double>.Of(scaled));
        Assert.InRange(apart / length, 0, RoundedNetwork.Unit(precision));
        float[] vanished = c.Run(device.Ops, recompute: false, 1e-9f).Gradients.Arena;
        Assert.All(c.Weights.Infos.Where(info => info.Name.Contains("dilated_conv", StringComparison.Ordinal)), info => Assert.All(vanished[info.Offset..(info.Offset + info.Count)], g => Assert.Equal(0, g)));
    }

    private static readonly ModelConfig Config = Setup.Config(32, Both, bands: 8, factors: [4], layers: 3, cycle: 2);

    private const int Frames = 258; // 1,032 samples: two slices of rows

    private static TrainingOptions Options(Precision precision) => new() { Batch = 3, CropFrames = Frames, LearningRate = 1e-3, ClipNorm = 0.5, AverageDecay = 0.9, Precision = precision };

    private static Trainer New(CudaOps ops, TrainingOptions options, TrainingState state) => new(ops, Config, options, new Crops(Config, Frames * Config.Hop), state);

    private static TrainingState Start() => new(Config, Setup.Weights(Config), keepAverage: true);

    private static float[] Numbers(TrainingState state) => [.. state.Weights.Arena, .. state.FirstMoment, .. state.SecondMoment, .. state.Average!.Arena];

    [Theory]
    [MemberData(nameof(Precisions))]
    public void NeitherPartsNorMemoryNorReplaysChangeABit(Precision precision)
    {
        TrainingOptions options = Options(precision);
        float[] expected = Train(options with { MicroBatch = 3 }, new CudaOptions());
        Setup.AssertSameBits("one at a time", expected, Train(options, new CudaOptions()));
        Setup.AssertSameBits("recomputed", expected, Train(options with { MicroBatch = 3, Recompute = true }, new CudaOptions()));
        Setup.AssertSameBits("partial sums of one item at a time", expected, Train(options with { MicroBatch = 3 }, new CudaOptions { PartialBytes = 1 }));

        // Three steps in a row, of which the third is replayed.
        float[] Train(TrainingOptions way, CudaOptions choices)
        {
            using var device = new OpsUnderTest(checks: false, threads: way.MicroBatch == 3 ? 2 : 1, choices with { Precision = precision });
            TrainingState state = Start();
            using Trainer trainer = New(device.Ops, way, state);
            for (int step = 0; step < 3; step++) trainer.Step();
            trainer.ReadState();
            return Numbers(state);
        }

        // Everything goes after each step; a new process starts from the file alone.
        string path = Path.Combine(Path.GetTempPath(), $"diffwave-{Guid.NewGuid():n}.safetensors");
        try
        {
            TrainingState state = Start();
            for (int step = 0; step < 3; step++)
            {
                using var device = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = precision });
                using Trainer trainer = New(device.Ops, options, state);
                trainer.Step();
                TrainingCheckpoint.Save(path, Config, trainer.ReadState(), options, "", new ModelCard());
                state = TrainingCheckpoint.Load(path).State;
            }
            Setup.AssertSameBits("with pauses", expected, Numbers(state));
            Assert.Equal(precision == Precision.Fp16 ? new LossScale(65536, 3) : new LossScale(1, 0), state.LossScale);
        }
        finally { File.Delete(path); }
    }

    [Theory]
    [InlineData(Precision.Fp32)]
    [InlineData(Precision.Fp16)]
    public void WhatDoesNotFitIntoMemoryIsComputedAgain(Precision precision)
    {
        var c = new PassCase(32, Both, true, [4], 200, bands: 8);
        using var whole = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = precision });
        float[] expected = c.Run(whole.Ops, recompute: false, 1).Gradients.Arena;
        long preGate = 2L * 200 * 64 * whole.Ops.ActivationBytes, fixedBytes;
        using (var pass = new TrainingPass(whole.Ops, c.Config, 2, 200)) Assert.Equal(4, pass.KeptLayers);
        using (var pass = new TrainingPass(whole.Ops, c.Config, 2, 200, recompute: true))
        {
            Assert.Equal(0, pass.KeptLayers);
            fixedBytes = pass.BufferBytes - preGate;
        }
        foreach (int kept in new[] { 0, 1, 2, 4 })
        {
            long bytes = fixedBytes + (kept < 4 ? kept + 1 : 4) * preGate; // the others share one
            using var device = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = precision, TrainingBudget = bytes });
            using (var pass = new TrainingPass(device.Ops, c.Config, 2, 200))
            {
                Assert.Equal(kept, pass.KeptLayers);
                Assert.Equal(bytes, pass.BufferBytes);
            }
            Setup.AssertSameBits($"{kept} layers kept", expected, c.Run(device.Ops, recompute: false, 1).Gradients.Arena);
        }
    }

    [Fact]
    public void GradientsThatOverflowAreComputedAgainWithHalfTheScale()
    {
        TrainingOptions options = Options(Precision.Fp16) with { MicroBatch = 3, Loss = LossKind.Mse };
        (TrainingStep step, TrainingState state) = Run(new LossScale(LossScale.Largest, 1999));
        Assert.InRange(step.LossScale, 2, LossScale.Largest / 4);
        Assert.Equal(new LossScale(step.LossScale, 1), state.LossScale); // and the first good step behind it
        (TrainingStep again, TrainingState same) = Run(new LossScale(step.LossScale, 0));
        Assert.Equal((step.Loss, step.GradientNorm), (again.Loss, again.GradientNorm));
        Setup.AssertSameBits("after the overflows", Numbers(same), Numbers(state));
        Assert.Equal(new LossScale(131072, 0), Run(new LossScale(65536, 1999)).State.LossScale);

        (TrainingStep Step, TrainingState State) Run(LossScale scale)
        {
            using var device = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = Precision.Fp16 });
            TrainingState state = Start();
            (state.Step, state.LossScale) = (5, scale); // only a first step sets it
            using Trainer trainer = New(device.Ops, options, state);
            TrainingStep step = trainer.Step();
            return (step, trainer.ReadState());
        }
    }

    [Fact]
    public void GradientsThatOverflowUnscaledStopTheRun()
    {
        using var device = new OpsUnderTest(checks: false, options: new CudaOptions { Precision = Precision.Fp16 });
        TrainingState state = Start();
        PhiloxNoise.Fill(3, 1, 0, 0, state.Weights["output_projection.weight"]);
        foreach (ref float weight in state.Weights["output_projection.weight"]) weight *= 1e10f; // the loss is large, and what it sends back beyond fp16
        float[] before = [.. state.Weights.Arena];
        using Trainer trainer = New(device.Ops, Options(Precision.Fp16), state);
        Assert.Contains("the gradient norm is", Assert.Throws<TrainingDivergedException>(trainer.Step).Message, StringComparison.Ordinal);
        Setup.AssertSameBits("weights", before, trainer.ReadState().Weights.Arena);
    }

    private static double Distance(double[] a, double[] b) => Math.Sqrt(a.Zip(b, (x, y) => (x - y) * (x - y)).Sum());
}
