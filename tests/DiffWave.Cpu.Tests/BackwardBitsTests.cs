using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

public class BackwardBitsTests
{
    // Everything a training step's operations give: outputs, gradients, norm, and the weights after an update.
    private static List<(string What, float[] Values)> Run(SimdLevel level, int threads, int call)
    {
        const int Channels = 24, Bands = 19, Frames = 41, Batch = 2;
        using var ops = Setup.Device(level, threads);
        var config = Setup.Config(Channels, Conditioner.Mel | Conditioner.Label, Bands, [6, 5], philsyn: true, layers: 3);
        var state = new TrainingState(config, Setup.Weights(config), keepAverage: true);
        ops.LoadTraining(config, state);
        int rows = Frames * config.Hop;
        var results = new List<(string, float[])>();
        void Keep(string what, Buffers buffers, IBuffer buffer)
        {
            for (int item = 0; item < buffer.Batch; item++) results.Add((what, buffers.Read(buffer, item, 0, buffer.Rows)));
        }
        float[][] mels = Setup.Mels(config, Batch, Frames).Rows;
        ops.BeginStep(new AdamStep(1, 0, 0.9, 0.999, 1e-8, 0, 0), 0.01f);
        for (int first = 0; first < Batch; first += call)
        {
            using var buffers = new Buffers(ops);
            int at = first;
            IBuffer Random(int count, int channels, uint stream) => buffers.Of([.. Enumerable.Range(at, call).Select(item => Setup.Normals(count * channels, stream + (uint)item))], channels);
            IBuffer audio = Random(rows, 1, 0), noise = Random(rows, 1, 10), noisy = buffers.New(call, rows, 1), dEps = buffers.New(call, rows, 1), dSkips = buffers.New(call, rows, Channels), dAudio = buffers.New(call, rows, 1);
            IBuffer OneEach(params float[] values) => buffers.OneEach(values[at..(at + call)]);
            ops.Diffuse(audio, noise, OneEach(0.9f, 0.2f), noisy);
            ops.Loss(LossKind.Mse, noisy, noise, OneEach(rows, rows - 7), first, dEps);
            ops.HeadBackward(Random(rows, Channels, 20), dEps, dSkips);
            ops.InputProjectionBackward(noisy, Random(rows, Channels, 30), dSkips, dAudio);
            IBuffer table = Random(1, ModelConfig.StepTableWidth, 40), embedding = buffers.New(call, 1, ModelConfig.StepWidth), stepBias = buffers.New(call, config.Layers, Channels);
            ops.StepEmbedding(table, embedding, stepBias);
            ops.StepEmbeddingBackward(table, embedding, Random(config.Layers, Channels, 50));
            ops.LabelBiasBackward(OneEach(3, 3), Random(config.Layers, 2 * Channels, 60));
            ops.UpsampleMelBackward(1, buffers.Of(mels[first..(first + call)], Bands), Random(rows, Bands, 70), Random(rows, Bands, 80));
            foreach (var (what, buffer) in new[] { ("noisy", noisy), ("dEps", dEps), ("dSkips", dSkips), ("dAudio", dAudio) }) Keep(what, buffers, buffer);
        }
        double[] sums = new double[Batch];
        ops.ReadLosses(sums);
        foreach (double sum in sums) results.Add(("loss", [(float)sum, (float)(sum - (float)sum)]));
        float[] gradients = new float[state.Weights.Arena.Length];
        ops.ReadGradients(gradients);
        results.Add(("gradients", gradients));
        double norm = ops.GradientNorm();
        Assert.True(double.IsFinite(norm) && norm > 0);
        results.Add(("norm", [(float)norm, (float)(norm - (float)norm)]));
        ops.BeginStep(new AdamStep(1, 2e-4, 0.9, 0.999, 1e-8, norm / 2, 0.9), 1);
        ops.UpdateWeights();
        ops.ReadTraining(state);
        results.Add(("weights", state.Weights.Arena));
        results.Add(("average", state.Average!.Arena));
        return [.. results.OrderBy(result => result.Item1, StringComparer.Ordinal)]; // a stable sort: items stay in order, however they were cut into calls
    }

    [Fact]
    public void NeitherThreadsNorVectorsNorCallsChangeABit()
    {
        var expected = Run(SimdLevel.Portable, threads: 1, call: 2);
        foreach (var level in new[] { SimdLevel.Avx512, SimdLevel.Avx2, SimdLevel.Portable }.Where(Exists))
            foreach (var (threads, call) in new[] { (1, 2), (2, 2), (3, 2), (1, 1), (3, 1) })
            {
                var actual = Run(level, threads, call);
                Assert.Equal(expected.Select(result => result.What), actual.Select(result => result.What));
                for (int i = 0; i < expected.Count; i++) Setup.AssertSameBits($"{expected[i].What}, {level}, {threads} threads, {call} items a call", expected[i].Values, actual[i].Values);
            }
    }

    internal static bool Exists(SimdLevel level)
    {
        try
        {
            CpuDevice.Create(1, level).Dispose();
            return true;
        }
        catch (PlatformNotSupportedException) { return false; }
    }
}
