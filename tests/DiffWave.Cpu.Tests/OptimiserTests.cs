using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

public class OptimiserTests
{
    // Gradients a test can name: the input projection's, from one sample a row. dw[c] = sum dX audio, db[c] = sum dX.
    private static void SetGradients(IOps ops, ModelConfig config, float audio, float[] dX)
    {
        using var buffers = new Buffers(ops);
        float[] positive = new float[config.Channels];
        Array.Fill(positive, 1);
        ops.ZeroGradients();
        ops.InputProjectionBackward(buffers.Of([[audio]], 1), buffers.Of([positive], config.Channels), buffers.Of([dX], config.Channels), null);
    }

    // torch.optim.Adam's documented algorithm (no weight decay, no amsgrad), evaluated in float64 from the same gradients.
    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void AdamIsTorchsFormula(SimdLevel level)
    {
        using var ops = Setup.Device(level, 2);
        var config = Setup.Config(37, layers: 2);
        foreach (var (beta1, beta2, epsilon, rate, scale, decay) in new[] { (0.9, 0.999, 1e-8, 2e-4, 1.0, 0.999), (0.0, 0.5, 1e-3, 0.1, 0.25, 0.0), (0.4, 0.9, 1e-8, 0.01, 0.03, 0.5) })
        {
            var state = new TrainingState(config, Setup.Weights(config), keepAverage: true);
            double[] w = Reference<double>.Of(state.Weights.Arena), m = new double[w.Length], v = new double[w.Length], average = [.. w], before = [.. w];
            ops.LoadTraining(config, state);
            float[] gradients = new float[w.Length];
            for (int step = 1; step <= 5; step++)
            {
                float[] dX = Setup.Normals(config.Channels, (uint)step);
                dX[3] = 0;
                SetGradients(ops, config, 0.7f, dX);
                ops.ReadGradients(gradients);
                double norm = ops.GradientNorm();
                ops.BeginStep(new AdamStep(step, rate, beta1, beta2, epsilon, scale < 1 ? scale * norm : 0, decay), 1);
                ops.UpdateWeights();
                Assert.Equal(norm, ops.UpdateNorm());
                for (int i = 0; i < w.Length; i++)
                {
                    double g = gradients[i] * scale;
                    m[i] = beta1 * m[i] + (1 - beta1) * g;
                    v[i] = beta2 * v[i] + (1 - beta2) * g * g;
                    w[i] -= rate * (m[i] / (1 - Math.Pow(beta1, step))) / (Math.Sqrt(v[i] / (1 - Math.Pow(beta2, step))) + epsilon);
                    average[i] = decay * average[i] + (1 - decay) * w[i];
                }
            }
            ops.ReadTraining(state);
            AssertClose("m", m, state.FirstMoment);
            AssertClose("v", v, state.SecondMoment);
            AssertClose("weights", w, state.Weights.Arena);
            AssertClose("average", average, state.Average!.Arena);
            int moved = 0;
            for (int i = 0; i < w.Length; i++)
                if (state.Weights.Arena[i] != (float)before[i]) moved++;
            Assert.Equal(2 * (config.Channels - 1), moved); // all that had a gradient, and nothing else
            Assert.Equal((float)before[3], state.Weights.Arena[3]);
        }

        // Five steps of a handful of roundings each, every one half a unit in the last place of the value or of a step.
        static void AssertClose(string what, double[] truth, float[] values)
        {
            double largest = truth.Max(Math.Abs), error = Setup.MaxError(truth, values);
            Assert.True(error <= 20 * Math.Pow(2, -24) * largest, $"{what}: error {error:g3}, largest {largest:g3}");
        }
    }

    // Bits of three steps by PyTorch's own operations on the CPU (1.13, AVX-512), in the order of torch.optim.Adam:
    //   g = torch.tensor([((7 * i + 11 * s) % 13 - 6) / 10 * s for i in range(8)])
    //   m.lerp_(g, 1 - 0.9); v.mul_(0.999).addcmul_(g, g, value=1 - 0.999)
    //   w.addcdiv_(m, (v.sqrt() / (1 - 0.999 ** s) ** 0.5).add_(1e-8), value=-(2e-2 / (1 - 0.9 ** s)))
    [Theory, MemberData(nameof(Setup.Levels), MemberType = typeof(Setup))]
    public void AdamGivesTorchsBits(SimdLevel level)
    {
        using var ops = Setup.Device(level);
        var config = Setup.Config(8, layers: 2);
        var state = new TrainingState(config, Setup.Weights(config), keepAverage: false);
        new[] { 0.1f, -0.7f, 1.3f, 0.02f, -0.4f, 0.9f, -1.1f, 0.25f }.CopyTo(state.Weights["input_projection.bias"]);
        ops.LoadTraining(config, state);
        for (int step = 1; step <= 3; step++)
        {
            SetGradients(ops, config, 1, [.. Enumerable.Range(0, 8).Select(i => (float)(((7 * i + 11 * step) % 13 - 6) / 10.0 * step))]);
            ops.BeginStep(new AdamStep(step, 2e-2, 0.9, 0.999, 1e-8, 0, 0), 1);
            ops.UpdateWeights();
        }
        ops.ReadTraining(state);
        int at = state.Weights.Info("input_projection.bias").Offset;
        AssertBits("m", [0x3dfef9dc, 0xbe5930bf, 0x3e38ef35, 0xbe1fbe78, 0x3e068db8, 0xbdcc985f, 0x3e400000, 0xbd3367a2], state.FirstMoment);
        AssertBits("v", [0x3a374683, 0x3b2badee, 0x3ab21469, 0x3ad1b1ba, 0x3b0e19b6, 0x3a616d99, 0x3b4d0025, 0x39d1ac5d], state.SecondMoment);
        AssertBits("weights", [0x3d27ca12, 0xbf2578d2, 0x3f9ec0c5, 0x3d4f6c42, 0xbecb6743, 0x3f66ad8f, 0xbf8d12a6, 0x3e66dbc9], state.Weights.Arena);

        void AssertBits(string what, uint[] bits, float[] arena) => Setup.AssertSameBits(what, [.. bits.Select(BitConverter.UInt32BitsToSingle)], arena[at..(at + 8)]);
    }

    [Fact]
    public void OperationsUseTheUpdatedWeights()
    {
        using var ops = Setup.Device(SimdLevel.Auto);
        var config = Setup.Config(5);
        var state = new TrainingState(config, Setup.Weights(config), keepAverage: false);
        ops.LoadTraining(config, state);
        SetGradients(ops, config, 0.7f, [1, -1, 1, -1, 1]);
        Assert.Throws<InvalidOperationException>(ops.UpdateWeights);
        ops.BeginStep(new AdamStep(1, 0.1, 0.9, 0.999, 1e-8, 0, 0), 1);
        ops.UpdateWeights();
        ops.ReadTraining(state);
        using var buffers = new Buffers(ops);
        IBuffer x = buffers.New(1, 1, 5);
        ops.InputProjection(new TimeRange(0, 1, 1), new Window(buffers.Of([[0.5f]], 1), 0), new Window(x, 0));
        ReadOnlySpan<float> weight = state.Weights["input_projection.weight"], bias = state.Weights["input_projection.bias"];
        for (int c = 0; c < 5; c++) Assert.Equal(Math.Max(0, MathF.FusedMultiplyAdd(weight[c], 0.5f, bias[c])), buffers.Read(x, 0, 0, 1)[c]);
    }

    [Fact]
    public void StateComesBackAsItWent()
    {
        using var ops = Setup.Device(SimdLevel.Auto, 2);
        var config = Setup.Config(5);
        TrainingState New(bool average) => new(config, new Parameters(config), average);
        var state = new TrainingState(config, Setup.Weights(config), keepAverage: true) { Step = 12 };
        PhiloxNoise.Fill(1, 1, 0, 0, state.FirstMoment);
        PhiloxNoise.Fill(1, 2, 0, 0, state.SecondMoment);
        PhiloxNoise.Fill(1, 3, 0, 0, state.Average!.Arena);
        Assert.Throws<InvalidOperationException>(() => ops.ZeroGradients());
        ops.LoadTraining(config, state);
        var read = New(average: true);
        ops.ReadTraining(read);
        Setup.AssertSameBits("weights", state.Weights.Arena, read.Weights.Arena);
        Setup.AssertSameBits("m", state.FirstMoment, read.FirstMoment);
        Setup.AssertSameBits("v", state.SecondMoment, read.SecondMoment);
        Setup.AssertSameBits("average", state.Average!.Arena, read.Average!.Arena);
        Assert.Equal(0, read.Step);
        Assert.Throws<ArgumentException>(() => ops.ReadTraining(New(average: false)));
        ops.ZeroGradients();
        Assert.Equal(0, ops.GradientNorm());
    }

    [Fact]
    public void GradientNormIsTheRootOfTheSumOfSquares()
    {
        using var ops = Setup.Device(SimdLevel.Auto, 2);
        var config = Setup.Config(24);
        BackwardSetup.Load(ops, config);
        using var buffers = new Buffers(ops);
        ops.HeadBackward(buffers.Of([Setup.Normals(40 * 24, 1)], 24), buffers.Of([Setup.Normals(40, 2)], 1), buffers.New(1, 40, 24));
        float[] gradients = new float[new Parameters(config).Arena.Length];
        ops.ReadGradients(gradients);
        double expected = Math.Sqrt(gradients.Sum(g => (double)g * g));
        Assert.True(expected > 0);
        Assert.Equal(expected, ops.GradientNorm(), expected * 1e-13);
        ops.HeadBackward(buffers.Of([Setup.Normals(40 * 24, 1)], 24), buffers.Of([Setup.Normals(40, 2)], 1), buffers.New(1, 40, 24));
        Assert.Equal(2 * expected, ops.GradientNorm(), expected * 1e-6); // gradients are summed over calls
    }

    [Fact]
    public void DiffuseIsThePlainFloat32Formula()
    {
        const int Rows = 301;
        using var ops = Setup.Device(SimdLevel.Auto);
        using var buffers = new Buffers(ops);
        float[][] audio = [Setup.Normals(Rows, 0), Setup.Normals(Rows, 1)], noise = [Setup.Normals(Rows, 2), Setup.Normals(Rows, 3)];
        float[] alphaBars = [0.9f, 0.03f];
        using IBuffer noisy = ops.AllocateSignal(2, Rows);
        ops.Diffuse(buffers.Of(audio, 1), buffers.Of(noise, 1), buffers.OneEach(alphaBars), noisy);
        for (int item = 0; item < 2; item++)
        {
            float signal = MathF.Sqrt(alphaBars[item]), rest = MathF.Sqrt(1 - alphaBars[item]);
            Setup.AssertSameBits("noisy", [.. audio[item].Select((value, t) => signal * value + rest * noise[item][t])], buffers.Read(noisy, item, 0, Rows));
        }
    }

    [Theory, InlineData(LossKind.L1), InlineData(LossKind.Mse)]
    public void LossAndItsGradient(LossKind kind)
    {
        const int Rows = 301;
        const float Factor = 1f / 500;
        const double LossScale = 16, Scale = LossScale * Factor;
        using var ops = Setup.Device(SimdLevel.Auto, 2);
        using var buffers = new Buffers(ops);
        float[][] eps = [Setup.Normals(Rows, 0), Setup.Normals(Rows, 1)], noise = [Setup.Normals(Rows, 2), Setup.Normals(Rows, 3)];
        noise[0][7] = eps[0][7];
        eps[1][250] = float.NaN; // behind the last sample that counts
        int[] valid = [Rows, 199];
        double[] sums = new double[2];
        IBuffer dEps = buffers.Poisoned(2, Rows, 1);
        IBuffer validSamples = buffers.OneEach([.. valid.Select(count => (float)count)]);
        ops.BeginStep(new AdamStep(1, 0, 0.9, 0.999, 1e-8, 0, 0, LossScale), Factor);
        ops.Loss(kind, buffers.Of(eps, 1), buffers.Of(noise, 1), validSamples, 0, dEps);
        ops.ReadLosses(sums);
        for (int item = 0; item < 2; item++)
        {
            float[] gradient = buffers.Read(dEps, item, 0, Rows);
            double sum = 0;
            for (int t = 0; t < Rows; t++)
            {
                double difference = (double)eps[item][t] - noise[item][t];
                if (t >= valid[item])
                {
                    Assert.Equal(0, gradient[t]);
                    continue;
                }
                sum += kind == LossKind.L1 ? Math.Abs(difference) : difference * difference;
                double expected = kind == LossKind.L1 ? Math.Sign(difference) * Scale : 2 * Scale * difference;
                Assert.Equal(expected, gradient[t], Math.Pow(2, -22) * Math.Abs(expected));
            }
            Assert.Equal(sum, sums[item], 1e-12 * sum);
        }
        eps[0][9] = float.NaN;
        ops.Loss(kind, buffers.Of(eps, 1), buffers.Of(noise, 1), validSamples, 0, dEps);
        ops.ReadLosses(sums);
        Assert.True(double.IsNaN(sums[0]) && float.IsNaN(buffers.Read(dEps, 0, 9, 1)[0]) && double.IsFinite(sums[1]));
    }
}
