using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>What one forward pass works on.</summary>
/// <param name="Audio">x, T samples an item.</param>
/// <param name="Steps">A diffusion step an item.</param>
/// <param name="Mels">A mel an item, or null.</param>
internal sealed record GoldenCheckInput(float[][] Audio, float[] Steps, IMelSource[]? Mels)
{
    /// <summary>One step for the whole batch becomes one an item.</summary>
    public static float[] StepsFor(float[] steps, int batch) => steps.Length == 1 ? [.. Enumerable.Repeat(steps[0], batch)] : steps;

    /// <summary>Mels of a tensor [B, M, frames].</summary>
    public static IMelSource[] MelsOf(GoldenCheckFile file, string name, int batch, int bands)
    {
        float[][] items = file.Items(name, batch);
        if (items[0].Length % bands != 0) throw new ModelFormatException(file.Path, $"tensor '{name}' has {items[0].Length} values an item, expected a multiple of {bands} bands");
        return [.. items.Select(item => new MemoryMel(item, bands, item.Length / bands))];
    }
}

/// <summary>
/// The network's inner activations on whole signals held in memory, by direct calls of the device's operations, in PyTorch's order [B, channels, T]. "Block 0" and "block 1" are the
/// first residual layers. Null where a model has no such activation.
/// </summary>
internal sealed class GoldenCheckActivations
{
    /// <summary>Output of the step's MLP, [B, 512].</summary>
    public float[] Embedding { get; private init; } = [];
    /// <summary>What block 0 adds to its input for the step, [B, C].</summary>
    public float[] StepBias { get; private init; } = [];
    /// <summary>Upsampled mel of block 0, [B, M, T].</summary>
    public float[]? Upsampled { get; private init; }
    /// <summary>Its projection, [B, 2C, T].</summary>
    public float[]? MelBias { get; private init; }
    /// <summary>relu(input projection), [B, C, T].</summary>
    public float[] Block0In { get; private init; } = [];
    /// <summary>Pre-gate of block 0 without its mel: the dilated convolution and its bias, [B, 2C, T].</summary>
    public float[] Dilated { get; private set; } = [];
    /// <summary>Gate's output of block 0, [B, C, T].</summary>
    public float[] Gated { get; private set; } = [];
    /// <summary>Block 0's contribution to the skips, [B, C, T].</summary>
    public float[] Block0Skip { get; private set; } = [];
    /// <summary>x out of block 0, [B, C, T]; null in a model of one layer, whose x is never used.</summary>
    public float[]? Block0X { get; private set; }
    /// <summary>x out of block 1.</summary>
    public float[]? Block1X { get; private set; }
    /// <summary>Sum of skips / sqrt(L), [B, C, T].</summary>
    public float[] SkipScaled { get; private set; } = [];

    /// <summary>Runs the network; the model's weights are loaded.</summary>
    public static GoldenCheckActivations Compute(IOps ops, ModelConfig config, GoldenCheckInput input)
    {
        int batch = input.Audio.Length, length = input.Audio[0].Length, channels = config.Channels;
        int reach = Enumerable.Range(0, config.Layers).Max(config.Dilation); // rows that must exist around the signal
        var range = new TimeRange(0, length, length);
        using var owned = new Buffers(ops);
        IBuffer audio = owned.New(batch, length, 1), x = owned.New(batch, length + 2 * reach, channels), y = owned.New(batch, length + 2 * reach, channels);
        IBuffer skips = owned.New(batch, length, channels), preGate = owned.New(batch, length, 2 * channels), gated = owned.New(batch, length, channels);
        for (int item = 0; item < batch; item++) ops.Upload(input.Audio[item], audio, item, 0);

        IBuffer table = owned.New(batch, 1, ModelConfig.StepTableWidth), embedding = owned.New(batch, 1, ModelConfig.StepWidth), stepBias = owned.New(batch, config.Layers, channels);
        float[] row = new float[ModelConfig.StepTableWidth];
        for (int item = 0; item < batch; item++)
        {
            StepEmbedding.Row(config.StepExponent, input.Steps[item], config.TrainingBetas.Count, row);
            ops.Upload(row, table, item, 0);
        }
        ops.StepEmbedding(table, embedding, stepBias);
        ops.InputProjection(range, new Window(audio, 0), new Window(x, reach));
        var mel = input.Mels is null ? null : new MelRows(ops, owned, range, config, input.Mels);
        mel?.Compute(0);

        var result = new GoldenCheckActivations
        {
            Embedding = Torch(ops, embedding, 0, 1), StepBias = Torch(ops, stepBias, 0, 1), Block0In = Torch(ops, x, reach, length),
            Upsampled = mel is null ? null : Torch(ops, mel.Upsampled, 0, length), MelBias = mel is null ? null : Torch(ops, mel.Conditioner, 0, length),
        };
        var tape = new BlockTape(new Window(preGate, 0), new Window(gated, 0));
        ops.ResidualBlock(0, range, new Window(x, reach), stepBias, null, null, new Window(y, reach), new Window(skips, 0), tape);
        result.Dilated = Torch(ops, preGate, 0, length);
        for (int layer = 0; layer < config.Layers; layer++)
        {
            if (layer > 0) mel?.Compute(layer);
            ops.ResidualBlock(layer, range, new Window(x, reach), stepBias, null, mel is null ? null : new Window(mel.Conditioner, 0), new Window(y, reach), new Window(skips, 0), layer == 0 ? tape : null);
            if (layer == 0) (result.Gated, result.Block0Skip) = (Torch(ops, gated, 0, length), Torch(ops, skips, 0, length));
            if (layer + 1 < config.Layers)
            {
                if (layer == 0) result.Block0X = Torch(ops, y, reach, length);
                if (layer == 1) result.Block1X = Torch(ops, y, reach, length);
            }
            (x, y) = (y, x);
        }
        float scale = 1 / MathF.Sqrt(config.Layers);
        result.SkipScaled = Array.ConvertAll(Torch(ops, skips, 0, length), value => value * scale);
        return result;
    }

    // Rows of every item as [B, channels, rows].
    private static float[] Torch(IOps ops, IBuffer buffer, int firstRow, int rows)
    {
        int channels = buffer.Channels;
        float[] values = new float[rows * channels], transposed = new float[checked(buffer.Batch * channels * rows)];
        for (int item = 0; item < buffer.Batch; item++)
        {
            ops.Download(buffer, item, firstRow, values);
            Span<float> target = transposed.AsSpan(item * values.Length, values.Length);
            for (int row = 0; row < rows; row++)
                for (int channel = 0; channel < channels; channel++) target[channel * rows + row] = values[row * channels + channel];
        }
        return transposed;
    }

    private sealed class Buffers(IOps ops) : IDisposable
    {
        private readonly List<IBuffer> _buffers = [];

        public IBuffer New(int batch, int rows, int channels)
        {
            _buffers.Add(ops.Allocate(batch, rows, channels));
            return _buffers[^1];
        }

        public void Dispose() => _buffers.ForEach(buffer => buffer.Dispose());
    }

    private sealed class MelRows
    {
        private readonly IOps _ops;
        private readonly TimeRange _range;
        private readonly IBuffer _mel;
        private readonly int _frames;

        public IBuffer Upsampled { get; }
        public IBuffer Conditioner { get; }

        public MelRows(IOps ops, Buffers owned, TimeRange range, ModelConfig config, IMelSource[] mels)
        {
            (_ops, _range, _frames) = (ops, range, mels[0].Frames);
            _mel = owned.New(mels.Length, _frames, config.Bands);
            Upsampled = owned.New(mels.Length, range.Count, config.Bands);
            Conditioner = owned.New(mels.Length, range.Count, 2 * config.Channels);
            float[] values = new float[_frames * config.Bands];
            for (int item = 0; item < mels.Length; item++)
            {
                mels[item].Read(0, _frames, values);
                ops.Upload(values, _mel, item, 0);
            }
        }

        public void Compute(int layer)
        {
            _ops.UpsampleMel(layer, _range, new Window(_mel, 0), 0, _frames, new Window(Upsampled, 0));
            _ops.ConditionerProjection(layer, _range, new Window(Upsampled, 0), new Window(Conditioner, 0));
        }
    }
}
