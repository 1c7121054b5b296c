using DiffWave.Cpu;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Kernels.Tests;

/// <summary>Kernels that owe the CPU backend its bits: signals, the loss's gradient and the optimiser.</summary>
public sealed class CpuBitsTests : IDisposable
{
    private readonly IOps cpu = CpuDevice.Create(1);

    public void Dispose() => cpu.Dispose();

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 257)]
    [InlineData(2, 1000)]
    public void Diffusion(int items, int rows)
    {
        float[] levels = [.. ((float[])[0.3f, 1, 0]).Take(items)];
        RowsOf<float> audio = Signal(items, rows, 1), noise = Signal(items, rows, 2), noisy = Signal(items, rows, 3);
        using IBuffer from = Uploaded(audio, items), added = Uploaded(noise, items), to = Uploaded(noisy, items), alphaBars = OneEach(levels);
        cpu.Diffuse(from, added, alphaBars, to);
        Launch("diffusion_v1", rows, items, null, audio, noise, levels, noisy, rows);
        AssertBits(to, noisy, items);
    }

    public static TheoryData<int, int, float, bool, bool> Steps => new(from size in ((int, int)[])[(1, 1), (3, 257), (2, 1000)] from sigma in (float[])[0, 0.789f]
        from clamp in (bool[])[false, true] from inPlace in (bool[])[false, true] select (size.Item1, size.Item2, sigma, clamp, inPlace));

    [Theory, MemberData(nameof(Steps))]
    public void ReverseStep(int items, int rows, float sigma, bool clamp, bool inPlace)
    {
        const float scale = 1.0123f, epsWeight = 0.0456f;
        RowsOf<float> x = Signal(items, rows, 1), eps = Signal(items, rows, 2), noise = Signal(items, rows, 3), y = inPlace ? x : Signal(items, rows, 4);
        Special(x, items, rows);
        if (sigma == 0) Array.Fill(noise.Array, float.NaN); // not read, or everything is NaN
        using IBuffer from = Uploaded(x, items), predicted = Uploaded(eps, items), added = Uploaded(noise, items), to = Uploaded(y, items);
        cpu.ReverseStep(new TimeRange(0, rows, rows), At(from), At(predicted), At(added), scale, epsWeight, sigma, clamp, At(to));
        Launch("reverse_step_v1", rows, items, new Dictionary<string, object> { ["clamp"] = clamp }, x, eps, noise, y, rows, scale, epsWeight, sigma);
        AssertBits(to, y, items);
    }

    public static TheoryData<string, bool, int, int> LossCases => new(from version in (string[])["loss_v1", "loss_v2"] from squared in (bool[])[false, true]
        from size in ((int, int)[])[(1, 1), (3, 7), (2, 1024), (3, 1025), (2, 3000)] select (version, squared, size.Item1, size.Item2));

    [Theory, MemberData(nameof(LossCases))]
    public void LossAndItsGradient(string version, bool squared, int items, int rows)
    {
        const float factor = 1f / 777;
        LossKind kind = squared ? LossKind.Mse : LossKind.L1;
        RowsOf<float> eps = Signal(items, rows, 1), noise = Signal(items, rows, 2), dEps = Signal(items, rows, 3);
        int[] valid = [.. ((int[])[rows, rows / 2, 0]).Take(items)];
        for (int row = 0; row < rows; row += 5) noise.Array[noise.First + row] = eps.Array[eps.First + row];
        using IBuffer predicted = Uploaded(eps, items), truth = Uploaded(noise, items), gradient = Uploaded(dEps, items), validSamples = OneEach(Floats(valid));
        double[] expected = new double[items], sums = LossOn(version, squared, eps, noise, valid, dEps, rows, factor);
        cpu.BeginStep(NoStep, factor);
        cpu.Loss(kind, predicted, truth, validSamples, 0, gradient);
        cpu.ReadLosses(expected);
        AssertBits(gradient, dEps, items);
        for (int item = 0; item < items; item++) // all terms are positive: a rounding a term, here and there
            Assert.True(Math.Abs(sums[item] - expected[item]) <= 2.0 * rows * expected[item] / (1L << 53), $"item {item}: {sums[item]:R}, expected {expected[item]:R}");
    }

    [Theory]
    [InlineData("loss_v1", false)]
    [InlineData("loss_v1", true)]
    [InlineData("loss_v2", false)]
    [InlineData("loss_v2", true)]
    public void LossesThatAreNotFiniteAreTheCpusToo(string version, bool squared)
    {
        const int items = 3, rows = 12;
        RowsOf<float> eps = Signal(items, rows, 1), noise = Signal(items, rows, 2), dEps = Signal(items, rows, 3);
        int[] valid = [12, 12, 5];
        eps.Array[eps.First + 3] = float.NaN;
        noise.Array[noise.ItemRows + noise.First + 7] = float.PositiveInfinity;
        eps.Array[2 * eps.ItemRows + eps.First + 5] = float.NaN; // behind the samples that count
        using IBuffer predicted = Uploaded(eps, items), truth = Uploaded(noise, items), gradient = Uploaded(dEps, items), validSamples = OneEach(Floats(valid));
        double[] expected = new double[items], sums = LossOn(version, squared, eps, noise, valid, dEps, rows, 0.5f);
        cpu.BeginStep(NoStep, 0.5f);
        cpu.Loss(squared ? LossKind.Mse : LossKind.L1, predicted, truth, validSamples, 0, gradient);
        cpu.ReadLosses(expected);
        AssertBits(gradient, dEps, items);
        Assert.Equal((double.NaN, double.PositiveInfinity, true), (sums[0], sums[1], double.IsFinite(sums[2])));
        Assert.Equal((double.NaN, double.PositiveInfinity, true), (expected[0], expected[1], double.IsFinite(expected[2])));
    }

    // With an odd number of rows every item lies differently in memory, alone or among others.
    [Theory]
    [InlineData("loss_v1")]
    [InlineData("loss_v2")]
    public void ABatchCutIntoCallsHasTheSameSums(string version)
    {
        const int items = 4, rows = 2051;
        RowsOf<float> eps = Signal(items, rows, 1), noise = Signal(items, rows, 2), dEps = Signal(items, rows, 3);
        int[] valid = [rows, 2000, 1024, 7];
        double[] together = LossOn(version, true, eps, noise, valid, dEps, rows, 1), apart = new double[items];
        for (int item = 0; item < items; item++)
        {
            RowsOf<float> Alone(RowsOf<float> signal) => new(signal.Array[(item * signal.ItemRows)..((item + 1) * signal.ItemRows)], signal.ItemRows, signal.First, 1);
            apart[item] = LossOn(version, true, Alone(eps), Alone(noise), [valid[item]], Alone(dEps), rows, 1)[0];
        }
        Assert.Equal(together, apart);
    }

    [Theory]
    [InlineData("adam_v1", true)]
    [InlineData("adam_v1", false)]
    [InlineData("adam_v2", true)]
    [InlineData("adam_v2", false)]
    public void Adam(string version, bool averaged)
    {
        ModelConfig config = Config(255); // an arena that is no multiple of four
        TrainingState state = new(config, Initializer.Create(config, 1), averaged);
        int n = state.Weights.Arena.Length;
        Assert.NotEqual(0, n % 4);
        Normals(1, state.FirstMoment);
        Normals(2, state.SecondMoment);
        for (int i = 0; i < n; i++) state.SecondMoment[i] = i % 11 == 0 ? 0 : MathF.Abs(state.SecondMoment[i]) * MathF.Pow(10, i % 60 - 40); // down to denormal numbers
        float[] weights = [.. state.Weights.Arena], m = [.. state.FirstMoment], v = [.. state.SecondMoment], average = [.. state.Average?.Arena ?? state.Weights.Arena], gradients = new float[n];
        var constants = new Dictionary<string, object> { ["averaged"] = averaged };
        cpu.LoadTraining(config, state);
        (double Beta1, double Beta2, double Epsilon, double Rate, double Scale, double Decay)[] steps =
            [(0.9, 0.999, 1e-8, 2e-4, 1, 0.999), (0, 0.5, 1e-3, 0.1, 0.1, 0), (0.4, 0.9, 1e-8, 0.01, 1.0 / 3, 0.5), (0.5, 0.99, 0, 1e-3, 1e-30, 0.9999)];
        for (int step = 1; step <= steps.Length; step++)
        {
            var (beta1, beta2, epsilon, rate, scale, decay) = steps[step - 1];
            SetGradients(config, step);
            cpu.ReadGradients(gradients);
            Assert.InRange(gradients.Count(value => value != 0), config.Channels, n);
            var taken = new AdamStep(step, rate, beta1, beta2, epsilon, scale * cpu.GradientNorm(), decay);
            cpu.BeginStep(taken, 1);
            cpu.UpdateWeights();
            OnEmulator.Launch(KernelCatalog.Find(version)!.Method, new Dim3((n + 255) / 256), constants, weights, gradients, m, v, average, new[] { (float)taken.GradientScale(cpu.UpdateNorm()) },
                new[] { new AdamFactors(step, rate, beta1, beta2, epsilon, decay) });
        }
        cpu.ReadTraining(state);
        AssertBits(state.FirstMoment, m);
        AssertBits(state.SecondMoment, v);
        AssertBits(state.Weights.Arena, weights);
        AssertBits(state.Average?.Arena ?? Initializer.Create(config, 1).Arena, average); // without one the array is not touched
    }

    [Theory]
    [InlineData("gradient_norm_v1")]
    [InlineData("gradient_norm_v2")]
    public void TheNormIsTheCpus(string version)
    {
        ModelConfig config = Config(100);
        TrainingState state = new(config, Initializer.Create(config, 1), keepAverage: false);
        float[] gradients = new float[state.Weights.Arena.Length];
        cpu.LoadTraining(config, state);
        SetGradients(config, 1);
        cpu.ReadGradients(gradients);
        double expected = cpu.GradientNorm();
        double norm = NormOf(version, gradients);
        Assert.True(Math.Abs(norm - expected) <= expected * gradients.Length / (1L << 53), $"{norm:R}, expected {expected:R}");
        gradients[^1] = float.NaN;
        Assert.Equal(double.NaN, NormOf(version, gradients));
        gradients[^1] = float.NegativeInfinity;
        Assert.Equal(double.PositiveInfinity, NormOf(version, gradients));
    }

    private static double NormOf(string version, float[] gradients)
    {
        double[] partial = new double[GradientNorm.Slices(gradients.Length)], norm = new double[1];
        OnEmulator.Launch(KernelCatalog.Find(version)!.Method, new Dim3(partial.Length), null, gradients, Array.Empty<double>(), new[] { new UpdateLimits(0, 1, lossScale: 1) }, partial, new int[1], norm, new float[1]);
        return norm[0];
    }

    private static double[] LossOn(string version, bool squared, RowsOf<float> eps, RowsOf<float> noise, int[] valid, RowsOf<float> dEps, int rows, float factor)
    {
        int slices = Loss.Slices(rows);
        double[] partial = new double[valid.Length * slices], sums = new double[valid.Length];
        OnEmulator.Launch(KernelCatalog.Find(version)!.Method, new Dim3(slices, valid.Length), new Dictionary<string, object> { ["squared"] = squared }, eps, noise, Floats(valid), dEps, partial, rows, new[] { factor });
        OnEmulator.Launch(KernelCatalog.Find("loss_sum_v1")!.Method, new Dim3(1), null, partial, sums, slices, 0);
        return sums;
    }

    private static readonly AdamStep NoStep = new(1, 0, 0.9, 0.999, 1e-8, ClipNorm: 0, AverageDecay: 0);

    private static float[] Floats(int[] values) => Array.ConvertAll(values, value => (float)value);

    private IBuffer OneEach(float[] values) => Uploaded(new RowsOf<float>(values, 1, 0, 1), values.Length);

    // Gradients of the input projection, from one sample: that of the bias is what it is told, so it can be any number; that of the weight is half of it.
    private void SetGradients(ModelConfig config, int seed)
    {
        float[] dX = new float[config.Channels], positive = new float[config.Channels];
        Normals((uint)seed, dX);
        for (int c = 0; c < dX.Length; c++) dX[c] = c % 7 == 0 ? 0 : dX[c] * MathF.Pow(10, c % 50 - 35);
        Array.Fill(positive, 1);
        using IBuffer audio = cpu.AllocateSignal(1, 1), x = cpu.Allocate(1, 1, dX.Length), d = cpu.Allocate(1, 1, dX.Length);
        cpu.Upload([0.5f], audio, 0, 0);
        cpu.Upload(positive, x, 0, 0);
        cpu.Upload(dX, d, 0, 0);
        cpu.ZeroGradients();
        cpu.InputProjectionBackward(audio, x, d, null);
    }

    private static ModelConfig Config(int channels)
    {
        var config = new ModelConfig { Channels = channels, Layers = 1, DilationCycle = 1, Conditioner = Conditioner.None, UpsampleFactors = [], TrainingBetas = NoiseSchedule.LinearBetas(1e-4, 0.05, 50), FastBetas = [1e-4, 0.5] };
        Assert.Null(config.Problem());
        return config;
    }

    // Signals in buffers of different lengths, some aligned to 16 bytes and some not.
    private static RowsOf<float> Signal(int items, int rows, int number)
    {
        int before = number % 2 * 4, itemRows = before + rows + number % 3;
        float[] values = new float[items * itemRows];
        Normals((uint)number, values);
        return new RowsOf<float>(values, itemRows, before, 1);
    }

    private static void Normals(uint stream, float[] values) => PhiloxNoise.Fill(7, stream, 0, 0, values);

    private static void Special(RowsOf<float> signal, int items, int rows)
    {
        float[] special = [float.NaN, float.PositiveInfinity, float.NegativeInfinity, -0f, 1, -1, float.MaxValue, float.Epsilon];
        for (int item = 0; item < items; item++)
            for (int row = 0; row < Math.Min(rows, special.Length); row++) signal.Array[item * signal.ItemRows + signal.First + row] = special[(row + item) % special.Length];
    }

    private static Window At(IBuffer buffer) => new(buffer, 0);

    private static Span<float> Item(RowsOf<float> signal, int item, int rows) => signal.Array.AsSpan(item * signal.ItemRows + signal.First, rows);

    private static int RowsIn(RowsOf<float> signal) => signal.ItemRows - signal.First;

    // The rows from the first on, of every item.
    private IBuffer Uploaded(RowsOf<float> signal, int items)
    {
        IBuffer buffer = cpu.AllocateSignal(items, RowsIn(signal));
        for (int item = 0; item < items; item++) cpu.Upload(Item(signal, item, RowsIn(signal)), buffer, item, 0);
        return buffer;
    }

    private static void Launch(string name, int rows, int items, IReadOnlyDictionary<string, object>? constants, params object[] arguments) =>
        OnEmulator.Launch(KernelCatalog.Find(name)!.Method, new Dim3((rows + 255) / 256, items), constants, arguments);

    private void AssertBits(IBuffer expected, RowsOf<float> actual, int items)
    {
        float[] values = new float[RowsIn(actual)];
        for (int item = 0; item < items; item++)
        {
            cpu.Download(expected, item, 0, values);
            AssertBits(values, Item(actual, item, values.Length));
        }
    }

    // A NaN is a NaN: its other bits mean nothing and differ between processors.
    private static void AssertBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            if (BitConverter.SingleToUInt32Bits(expected[i]) != BitConverter.SingleToUInt32Bits(actual[i]) && !(float.IsNaN(expected[i]) && float.IsNaN(actual[i])))
                Assert.Fail($"element {i} is {actual[i]:G9}, expected {expected[i]:G9}");
    }
}
