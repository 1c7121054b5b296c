using DiffWave.Cpu.Tests;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>Optimiser steps that are replayed as graphs: the bits of steps called operation by operation, whatever moves on the device, and nothing else is launched.</summary>
public class CudaRecordedTrainingTests
{
    private const int Frames = 6, Batch = 2;

    private static readonly ModelConfig Config = Setup.Config(8, Conditioner.Mel | Conditioner.Label, bands: 8, factors: [2, 3], layers: 3, cycle: 2);

    private static TrainingOptions Options(int micro) => new() { Batch = Batch, MicroBatch = micro, CropFrames = Frames, LearningRate = 1e-3, ClipNorm = 0.5, AverageDecay = 0.9 };

    private static Trainer New(CudaOps ops, int micro, TrainingState state) => new(ops, Config, Options(micro), new Crops(Config, Frames * Config.Hop), state);

    private static TrainingState Start() => new(Config, Setup.Weights(Config), keepAverage: true);

    private static float[] Numbers(TrainingState state, List<double> sums) => [.. state.Weights.Arena, .. state.FirstMoment, .. state.SecondMoment, .. state.Average!.Arena, .. sums.SelectMany(sum => (float[])[(float)sum, (float)(sum - (float)sum)])];

    private static void Add(List<double> sums, TrainingStep step) => sums.AddRange([step.Loss, step.GradientNorm, .. step.Items.Select(item => item.Loss)]);

    // A trainer for each step: its recordings run once, which is no replay.
    private static float[] OneByOne(int micro, int steps)
    {
        using var device = new OpsUnderTest();
        TrainingState state = Start();
        List<double> sums = [];
        for (int step = 0; step < steps; step++)
        {
            using Trainer trainer = New(device.Ops, micro, state);
            Add(sums, trainer.Step());
            trainer.ReadState();
        }
        return Numbers(state, sums);
    }

    [Theory, InlineData(1), InlineData(2)]
    public void ReplayedStepsHaveTheBitsOfStepsCalledOneByOne(int micro)
    {
        const int Steps = 4;
        using var device = new OpsUnderTest();
        TrainingState state = Start();
        List<double> sums = [];
        using Trainer trainer = New(device.Ops, micro, state);
        for (int step = 0; step < Steps; step++) Add(sums, trainer.Step());
        trainer.ReadState();
        Setup.AssertSameBits("replayed", OneByOne(micro, Steps), Numbers(state, sums));
    }

    [Theory, InlineData(1), InlineData(2)]
    public void OnlyGraphsAreLaunchedOnceNothingMoves(int micro)
    {
        using var cuda = new StubCuda(new EmulatorOptions { Checks = false });
        using (var driver = NvidiaDriver.Open())
        using (var ops = new CudaOps(driver))
        using (Trainer trainer = New(ops, micro, Start()))
        {
            for (int warm = 0; warm < 3; warm++) trainer.Step(); // working memory moves, then it stays, then graphs are recorded
            for (int step = 0; step < 2; step++)
            {
                int[] before = Counts();
                trainer.Step();
                // A graph for each place of a micro-batch and one for the update; gradients are cleared, and no operation is launched by itself.
                Assert.Equal([Batch / micro + 1, 0, 0, 1, 0], Counts().Zip(before, (now, then) => now - then));
            }
        }
        Assert.Equal(StubCuda.Nothing, cuda.Live);

        int[] Counts() => [.. new[] { "cuGraphLaunch", "cuLaunchKernel", "cuLaunchKernelEx", "cuMemsetD32Async", "cuStreamBeginCapture" }.Select(cuda.Calls)];
    }

    // Whatever a graph has addresses of may move between two steps.
    [Fact]
    public void WhatMovesIsNoticed()
    {
        const int Micro = 1, Steps = 10;
        using var device = new OpsUnderTest();
        CudaOps ops = device.Ops;
        TrainingState state = Start();
        List<double> sums = [];
        using Trainer trainer = New(ops, Micro, state);
        using var buffers = new Buffers(ops);
        using var large = new TrainingPass(ops, Config, 3, 200 * Config.Hop);
        for (int step = 0; step < Steps; step++)
        {
            Add(sums, trainer.Step());
            switch (step)
            {
                case 3: // a loss, not finite, behind all there was room for; working memory stays where it is
                    ops.Loss(LossKind.L1, buffers.Of([[float.NaN]], 1), buffers.New(1, 1, 1), buffers.OneEach(1), 4, buffers.New(1, 1, 1));
                    break;
                case 5: // longer crops: more working memory
                    TrainingItem[] items = [.. Enumerable.Range(0, 3).Select(i => new Crops(Config, 200 * Config.Hop).Crop(i))];
                    large.Run(LossKind.L1, items, new NoiseDraw(1, 1, 0, 0, 0), [1, 2, 3], [0.9f, 0.8f, 0.7f], 0, backward: true);
                    break;
                case 7: // another state, without an average, and the first one again
                    trainer.ReadState();
                    ops.LoadTraining(Config, new TrainingState(Config, Setup.Weights(Config, seed: 5), keepAverage: false));
                    ops.LoadTraining(Config, state);
                    break;
            }
        }
        trainer.ReadState();
        Setup.AssertSameBits("with what moved", OneByOne(Micro, Steps), Numbers(state, sums));
    }

    // A power of two changes no digit: everything backward is linear, and nothing here is near the ends of float32.
    [Fact]
    public void TheScaleOfTheLossIsTakenOutAgain()
    {
        float[][] numbers = [.. new[] { 1.0, 65536 }.SelectMany(scale => new[] { Train(scale, onCpu: false), Train(scale, onCpu: true) })];
        Setup.AssertSameBits("emulator", numbers[0], numbers[2]);
        Setup.AssertSameBits("CPU", numbers[1], numbers[3]);

        static float[] Train(double scale, bool onCpu)
        {
            using OpsUnderTest? device = onCpu ? null : new OpsUnderTest();
            using IOps ops = device is null ? Cpu.CpuDevice.Create(1) : device.Ops;
            TrainingState state = Start();
            ops.LoadTraining(Config, state);
            using var pass = new TrainingPass(ops, Config, Batch, Frames * Config.Hop);
            var crops = new Crops(Config, Frames * Config.Hop);
            List<double> sums = [];
            float[] gradients = new float[state.Weights.Arena.Length];
            for (int step = 1; step <= 3; step++)
            {
                ops.SetSeed(9);
                ops.BeginStep(new AdamStep(step, 1e-3, 0.9, 0.999, 1e-8, ClipNorm: 0.1, AverageDecay: 0.9, scale), 1f / 40);
                ops.ZeroGradients();
                pass.Run(LossKind.Mse, [crops.Crop(0), crops.Crop(1)], new NoiseDraw(1, 1, 0, 0, 0), [3, 30], [0.9f, 0.3f], 0, backward: true);
                ops.ReadGradients(gradients);
                double norm = Math.Sqrt(gradients.Sum(g => (double)g * g)) / scale;
                Assert.Equal(norm, ops.GradientNorm(), 1e-12 * norm);
                ops.UpdateWeights();
                Assert.Equal(ops.GradientNorm(), ops.UpdateNorm());
                double[] losses = new double[Batch];
                ops.ReadLosses(losses);
                sums.AddRange([.. losses, ops.UpdateNorm()]);
            }
            ops.ReadTraining(state);
            return Numbers(state, sums);
        }
    }

    [Theory]
    [InlineData(0), InlineData(3), InlineData(-2), InlineData(double.NaN)]
    public void TheScaleIsAPowerOfTwo(double scale) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new AdamStep(1, 1e-3, 0.9, 0.999, 1e-8, 0, 0, scale));

    [Fact]
    public void LabelsAndLengthsAreCheckedOnTheHost()
    {
        using IOps ops = Cpu.CpuDevice.Create(1);
        ops.LoadTraining(Config, Start());
        using var pass = new TrainingPass(ops, Config, 1, Frames * Config.Hop);
        TrainingItem item = new Crops(Config, Frames * Config.Hop).Crop(0);
        foreach (int label in new[] { -1, Config.Labels })
        {
            var e = Assert.Throws<ArgumentException>(() => pass.Run(LossKind.L1, [item with { Label = label }], new NoiseDraw(1, 1, 0, 0, 0), [1], [0.5f], 0, backward: false));
            Assert.Contains($"label {label} is outside 0..{Config.Labels - 1}", e.Message, StringComparison.Ordinal);
        }
        Assert.Contains("at most 16777216", Assert.Throws<ArgumentException>(() => new TrainingPass(ops, Config, 1, (1 << 24) + 2)).Message, StringComparison.Ordinal);
    }
}
