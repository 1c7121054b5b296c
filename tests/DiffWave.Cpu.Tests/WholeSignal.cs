using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>The network uncut: every operation called once on the whole signal, which <see cref="Network"/> never does.</summary>
internal static class WholeSignal
{
    public static float[][] Evaluate(IOps ops, ModelConfig config, float[][] audio, float[] steps, IMelSource[]? mels, int[] labels)
    {
        int batch = audio.Length, length = audio[0].Length, c = config.Channels, pad = Enumerable.Range(0, config.Layers).Max(config.Dilation);
        var range = new TimeRange(0, length, length);
        using var buffers = new Buffers(ops);
        IBuffer x = buffers.Poisoned(batch, length + 2 * pad, c), y = buffers.Poisoned(batch, length + 2 * pad, c), skips = buffers.New(batch, length, c), eps = buffers.New(batch, length, 1);
        IBuffer embedding = buffers.New(batch, 1, ModelConfig.StepWidth), stepBias = buffers.New(batch, config.Layers, c);
        IBuffer? labelBias = config.HasLabel ? buffers.New(batch, config.Layers, 2 * c) : null, mel = null, upsampled = null, conditioner = null;
        ops.StepEmbedding(buffers.Of([.. steps.Select(step =>
        {
            float[] row = new float[ModelConfig.StepTableWidth];
            StepEmbedding.Row(config.StepExponent, step, config.TrainingBetas.Count, row);
            return row;
        })], ModelConfig.StepTableWidth), embedding, stepBias);
        if (labelBias is not null) ops.LabelBias(buffers.OneEach([.. labels.Select(label => (float)label)]), labelBias);
        if (mels is not null)
        {
            mel = buffers.Of([.. mels.Select(source =>
            {
                float[] rows = new float[source.Frames * source.Bands];
                source.Read(0, source.Frames, rows);
                return rows;
            })], config.Bands);
            (upsampled, conditioner) = (buffers.New(batch, length, config.Bands), buffers.New(batch, length, 2 * c));
        }
        ops.InputProjection(range, new Window(buffers.Of(audio, 1), 0), new Window(x, pad));
        for (int layer = 0; layer < config.Layers; layer++)
        {
            if (mel is not null)
            {
                ops.UpsampleMel(layer, range, new Window(mel, 0), 0, mels![0].Frames, new Window(upsampled!, 0));
                ops.ConditionerProjection(layer, range, new Window(upsampled!, 0), new Window(conditioner!, 0));
            }
            ops.ResidualBlock(layer, range, new Window(x, pad), stepBias, labelBias, conditioner is null ? null : new Window(conditioner, 0), new Window(y, pad), new Window(skips, 0));
            (x, y) = (y, x);
        }
        ops.Head(range, new Window(skips, 0), new Window(eps, 0));
        return [.. Enumerable.Range(0, batch).Select(item => buffers.Read(eps, item, 0, length))];
    }
}
