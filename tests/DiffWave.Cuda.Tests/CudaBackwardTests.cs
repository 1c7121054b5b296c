using System.Numerics;
using DiffWave.Cpu.Tests;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>Every backward operation of <see cref="CudaOps"/> on the emulator against <see cref="ReferenceBackward{T}"/> in float64.</summary>
public sealed class CudaBackwardTests : IDisposable
{
    private readonly OpsUnderTest device = new();

    private CudaOps Ops => device.Ops;

    public void Dispose() => device.Dispose();

    private static float[][] Items(int batch, int count, uint stream) => BackwardSetup.Items(batch, count, stream);

    // More than one slice of 512 rows, one row, and rows and channels that are no multiples of anything.
    public static TheoryData<int, int, int> Sizes => new() { { 5, 1, 1 }, { 5, 600, 1 }, { 16, 3, 3 }, { 24, 600, 3 }, { 64, 130, 1 } };

    [Theory, MemberData(nameof(Sizes))]
    public void InputProjection(int channels, int rows, int batch)
    {
        var parameters = BackwardSetup.Load(Ops, Setup.Config(channels));
        using var buffers = new Buffers(Ops);
        // The result is given, so all evaluations see the same signs.
        float[][] audio = Items(batch, rows, 0), dX = Items(batch, rows * channels, 10), x = [.. audio.Select(samples => Reference<float>.InputProjection(parameters, samples))];
        IBuffer dAudio = buffers.Poisoned(batch, rows, 1);
        Ops.InputProjectionBackward(buffers.Of(audio, 1), buffers.Of(x, channels), buffers.Of(dX, channels), dAudio);
        var truths = new double[batch][];
        var naives = new float[batch][];
        BackwardSetup.AssertGradients("", Ops, parameters, gradients => Evaluate(gradients, truths), gradients => Evaluate(gradients, naives));
        for (int item = 0; item < batch; item++) Setup.AssertAsGoodAsNaive("dAudio", truths[item], naives[item], buffers.Read(dAudio, item, 0, rows));

        void Evaluate<T>(Gradients<T> gradients, T[][] results) where T : struct, IFloatingPointIeee754<T>
        {
            for (int item = 0; item < batch; item++)
                results[item] = ReferenceBackward<T>.InputProjection(parameters, Reference<T>.Of(audio[item]), Reference<T>.Of(x[item]), Reference<T>.Of(dX[item]), gradients);
        }
    }

    [Theory, MemberData(nameof(Sizes))]
    public void Head(int channels, int rows, int batch)
    {
        var config = Setup.Config(channels);
        var parameters = BackwardSetup.Load(Ops, config);
        using var buffers = new Buffers(Ops);
        float[][] skips = Items(batch, rows * channels, 0), dEps = Items(batch, rows, 10);
        foreach (float[] item in skips) BackwardSetup.AwayFromKinks(config, parameters, item);
        IBuffer dSkips = buffers.Poisoned(batch, rows, channels);
        Ops.HeadBackward(buffers.Of(skips, channels), buffers.Of(dEps, 1), dSkips);
        var truths = new double[batch][];
        var naives = new float[batch][];
        BackwardSetup.AssertGradients("", Ops, parameters, gradients => Evaluate(gradients, truths), gradients => Evaluate(gradients, naives));
        for (int item = 0; item < batch; item++) Setup.AssertAsGoodAsNaive("dSkips", truths[item], naives[item], buffers.Read(dSkips, item, 0, rows));

        void Evaluate<T>(Gradients<T> gradients, T[][] results) where T : struct, IFloatingPointIeee754<T>
        {
            for (int item = 0; item < batch; item++) results[item] = ReferenceBackward<T>.Head(config, parameters, Reference<T>.Of(skips[item]), Reference<T>.Of(dEps[item]), gradients);
        }
    }

    [Fact]
    public void MelUpsampler()
    {
        foreach (var (factors, bands, frames, batch, philsyn) in new (int[], int, int, int, bool)[]
                 { ([16, 4], 80, 2, 1, false), ([15, 2], 33, 2, 1, true), ([5, 2, 3], 8, 3, 2, false), ([2], 5, 1, 3, false), ([3], 4, 43, 2, true), ([1], 16, 40, 1, false), ([300], 20, 2, 1, false) })
        {
            var config = Setup.Config(8, Conditioner.Mel, bands, factors, philsyn);
            var parameters = BackwardSetup.Load(Ops, config);
            int rows = frames * config.Hop, layer = philsyn ? 5 : 0;
            float[][] mels = Setup.Mels(config, batch, frames).Rows, dUpsampled = Items(batch, rows * bands, 10), upsampled = [.. mels.Select(mel => Reference<float>.Upsample(config, parameters, layer, mel))];
            for (int stages = 1; stages < factors.Length; stages++) // inner signs are computed again, in float32 and float64; the seed leaves them apart from the kink
                foreach (float[] mel in mels)
                    Assert.True(Reference<double>.Upsample(config with { UpsampleFactors = factors[..stages] }, parameters, layer, Reference<double>.Of(mel)).Min(Math.Abs) > 1e-6, "an inner value lies at the kink: use another seed");
            using var buffers = new Buffers(Ops);
            Ops.UpsampleMelBackward(layer, buffers.Of(mels, bands), buffers.Of(upsampled, bands), buffers.Of(dUpsampled, bands));
            BackwardSetup.AssertGradients($"[{string.Join(", ", factors)}] M={bands} B={batch}", Ops, parameters, Evaluate, Evaluate);

            void Evaluate<T>(Gradients<T> gradients) where T : struct, IFloatingPointIeee754<T>
            {
                for (int item = 0; item < batch; item++)
                    ReferenceBackward<T>.Upsample(config, parameters, layer, Reference<T>.Of(mels[item]), Reference<T>.Of(upsampled[item]), Reference<T>.Of(dUpsampled[item]), gradients);
            }
        }
    }

    [Theory]
    [InlineData(5, 3)]
    [InlineData(24, 1)]
    public void StepEmbeddingAndLabel(int channels, int batch)
    {
        var config = Setup.Config(channels, Conditioner.Label, layers: 3);
        var parameters = BackwardSetup.Load(Ops, config);
        float[][] rows = Items(batch, ModelConfig.StepTableWidth, 0), dStep = Items(batch, config.Layers * channels, 10), dLabel = Items(batch, config.Layers * 2 * channels, 20);
        int[] labels = [.. new[] { 5, 0, 5 }.Take(batch)];
        using var buffers = new Buffers(Ops);
        IBuffer table = buffers.Of(rows, ModelConfig.StepTableWidth), embedding = buffers.New(batch, 1, ModelConfig.StepWidth), stepBias = buffers.New(batch, config.Layers, channels);
        Ops.StepEmbedding(table, embedding, stepBias);
        Ops.StepEmbeddingBackward(table, embedding, buffers.Of(dStep, channels));
        Ops.LabelBiasBackward(labels, buffers.Of(dLabel, 2 * channels));
        BackwardSetup.AssertGradients("", Ops, parameters, Evaluate, Evaluate);

        void Evaluate<T>(Gradients<T> gradients) where T : struct, IFloatingPointIeee754<T>
        {
            for (int item = 0; item < batch; item++)
            {
                ReferenceBackward<T>.StepEmbedding(config, parameters, Reference<T>.Of(rows[item]), Reference<T>.Of(dStep[item]), gradients);
                ReferenceBackward<T>.LabelBias(config, parameters, labels[item], Reference<T>.Of(dLabel[item]), gradients);
            }
        }
    }

    // channels, layer (dilation 1 2 4 8 1 2 4; 6 is the last), T, batch, philsyn's switches, with label
    [Theory]
    [InlineData(5, 3, 3, 3, true, true)]
    [InlineData(5, 0, 600, 1, false, false)]
    [InlineData(16, 3, 1, 1, false, true)]
    [InlineData(16, 2, 129, 3, true, false)]
    [InlineData(24, 6, 600, 1, false, true)]
    [InlineData(37, 6, 3, 3, true, true)]
    [InlineData(64, 3, 129, 1, false, false)]
    public void ResidualBlock(int channels, int layer, int rows, int batch, bool philsyn, bool label)
    {
        var config = Setup.Config(channels, label ? Conditioner.Label : Conditioner.None, philsyn: philsyn);
        var parameters = BackwardSetup.Load(Ops, config);
        int layers = config.Layers;
        bool last = layer == layers - 1;
        float[][] x = Items(batch, rows * channels, 0), step = Items(batch, layers * channels, 10), preGate = Items(batch, rows * 2 * channels, 20), dSkip = Items(batch, rows * channels, 30), dY = Items(batch, rows * channels, 40);
        float[][] dStepBefore = Items(batch, layers * channels, 50), dLabelBefore = Items(batch, layers * 2 * channels, 60);
        using var buffers = new Buffers(Ops);
        IBuffer gate = buffers.Of(preGate, 2 * channels), dX = last ? buffers.Poisoned(batch, rows, channels) : buffers.Of(dY, channels);
        IBuffer dStep = buffers.Of(dStepBefore, channels), skips = buffers.Of(dSkip, channels);
        IBuffer? dLabel = label ? buffers.Of(dLabelBefore, 2 * channels) : null;
        Ops.ResidualBlockBackward(layer, buffers.Of(x, channels), buffers.Of(step, channels), gate, skips, dX, dStep, dLabel);

        var truths = new ReferenceBackward<double>.BlockResult[batch];
        var naives = new ReferenceBackward<float>.BlockResult[batch];
        BackwardSetup.AssertGradients("", Ops, parameters, gradients => Evaluate(gradients, truths), gradients => Evaluate(gradients, naives));
        for (int item = 0; item < batch; item++)
        {
            var (truth, naive) = (truths[item], naives[item]);
            Setup.AssertAsGoodAsNaive("dX", truth.DX, naive.DX, buffers.Read(dX, item, 0, rows));
            Setup.AssertAsGoodAsNaive("gradient of the pre-gate", truth.DPreGate, naive.DPreGate, buffers.Read(gate, item, 0, rows));
            Setup.AssertAsGoodAsNaive("dStep", truth.DStep, naive.DStep, buffers.Read(dStep, item, layer, 1));
            if (dLabel is not null) Setup.AssertAsGoodAsNaive("dLabel", truth.DLabel, naive.DLabel, buffers.Read(dLabel, item, layer, 1));
            Setup.AssertSameBits("gradient of the skips", dSkip[item], buffers.Read(skips, item, 0, rows));
            for (int other = 0; other < layers; other++)
            {
                if (other == layer) continue;
                Setup.AssertSameBits("another layer's row", dStepBefore[item][(other * channels)..((other + 1) * channels)], buffers.Read(dStep, item, other, 1));
                if (dLabel is not null) Setup.AssertSameBits("another layer's row", dLabelBefore[item][(other * 2 * channels)..((other + 1) * 2 * channels)], buffers.Read(dLabel, item, other, 1));
            }
        }

        void Evaluate<T>(Gradients<T> gradients, ReferenceBackward<T>.BlockResult[] results) where T : struct, IFloatingPointIeee754<T>
        {
            for (int item = 0; item < batch; item++)
                results[item] = ReferenceBackward<T>.Block(config, parameters, layer, Reference<T>.Of(x[item]), Reference<T>.Of(step[item].AsSpan(layer * channels, channels)), Reference<T>.Of(preGate[item]),
                    last ? null : Reference<T>.Of(dY[item]), Reference<T>.Of(dSkip[item]), gradients);
        }
    }

    [Theory]
    [InlineData(5, 5, 3, 3)]
    [InlineData(16, 80, 129, 1)]
    [InlineData(24, 33, 600, 2)]
    [InlineData(64, 80, 40, 1)]
    public void ConditionerProjection(int channels, int bands, int rows, int batch)
    {
        const int Layer = 3;
        var config = Setup.Config(channels, Conditioner.Mel, bands);
        var parameters = BackwardSetup.Load(Ops, config);
        float[][] upsampled = Items(batch, rows * bands, 0), dConditioner = Items(batch, rows * 2 * channels, 10), before = Items(batch, rows * bands, 20);
        using var buffers = new Buffers(Ops);
        IBuffer dUpsampled = buffers.Of(before, bands);
        Ops.ConditionerProjectionBackward(Layer, buffers.Of(upsampled, bands), buffers.Of(dConditioner, 2 * channels), dUpsampled);
        var truths = new double[batch][];
        var naives = new float[batch][];
        BackwardSetup.AssertGradients("", Ops, parameters, gradients => Evaluate(gradients, truths), gradients => Evaluate(gradients, naives));
        for (int item = 0; item < batch; item++) Setup.AssertAsGoodAsNaive("dUpsampled", truths[item], naives[item], buffers.Read(dUpsampled, item, 0, rows));

        void Evaluate<T>(Gradients<T> gradients, T[][] results) where T : struct, IFloatingPointIeee754<T>
        {
            for (int item = 0; item < batch; item++)
            {
                T[] added = ReferenceBackward<T>.MelBias(config, parameters, Layer, Reference<T>.Of(upsampled[item]), Reference<T>.Of(dConditioner[item]), gradients);
                results[item] = [.. added.Zip(Reference<T>.Of(before[item]), (value, sum) => sum + value)];
            }
        }
    }

    [Theory]
    [InlineData(8)]
    [InlineData(5)]
    public void NaNReachesTheNorm(int channels)
    {
        const int Rows = 12;
        var config = Setup.Config(channels, Conditioner.Mel, bands: channels, factors: [2, 2]);
        BackwardSetup.Load(Ops, config);
        Assert.Equal(0, Ops.GradientNorm());
        float[] Values(int count, bool bad)
        {
            float[] values = Setup.Normals(count, 3);
            if (bad) values[count / 2] = float.NaN;
            return values;
        }
        for (int bad = 0; bad < 15; bad++)
        {
            using var buffers = new Buffers(Ops);
            IBuffer Of(int width, int which, int rows = Rows) => buffers.Of([Values(rows * width, bad == which)], width);
            Ops.ZeroGradients();
            if (bad < 2) Ops.HeadBackward(Of(channels, 0), Of(1, 1), buffers.New(1, Rows, channels));
            else if (bad < 5)
            {
                // The NaN of a gradient would be lost only where the result is 0, so it is made positive there.
                float[] x = [.. Values(Rows * channels, bad == 2).Select(Math.Abs)];
                Ops.InputProjectionBackward(Of(1, 3), buffers.Of([x], channels), buffers.Of([Values(Rows * channels, bad is 2 or 4)], channels), null);
            }
            else if (bad < 8) Ops.UpsampleMelBackward(0, Of(channels, 5, Rows / 4), Of(channels, 6), buffers.Of([Values(Rows * channels, bad is 6 or 7)], channels));
            else if (bad == 8) Ops.StepEmbeddingBackward(Of(ModelConfig.StepTableWidth, 8, 1), buffers.New(1, 1, ModelConfig.StepWidth), Of(channels, -1, config.Layers));
            else if (bad < 13)
                Ops.ResidualBlockBackward(1, Of(channels, 9), Of(channels, -1, config.Layers), Of(2 * channels, 10), Of(channels, 11), Of(channels, 12), buffers.New(1, config.Layers, channels), null);
            else Ops.ConditionerProjectionBackward(1, Of(channels, 13), Of(2 * channels, 14), buffers.New(1, Rows, channels));
            Assert.True(double.IsNaN(Ops.GradientNorm()), $"case {bad}");
        }
    }
}
