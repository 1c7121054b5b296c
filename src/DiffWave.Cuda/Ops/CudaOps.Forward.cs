using DiffWave.Device;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

// The network forward and the reverse step.
public sealed partial class CudaOps
{
    /// <inheritdoc/>
    public void SetSeed(ulong seed, long first = 0) => staging.Upload<ulong>([seed, (ulong)first], (ulong)Seed.Address);

    /// <inheritdoc/>
    public void Normals(NoiseDraw draw, int rows, Window normals)
    {
        using var range = Range(nameof(Normals));
        foreach ((int first, int count) in Pieces(new TimeRange(0, rows, rows), 1))
            Launch(kernels.Normals.With().Add(At(normals, first)).Add(count).Add(Seed).Add(draw.Stream).Add(draw.StreamStride).Add(draw.Step).Add(draw.First + first).Add(draw.FirstStride),
                Blocks(count + 6L, 1024), normals.Buffer.Batch);
    }

    /// <inheritdoc/>
    public void StepEmbedding(IBuffer table, IBuffer embedding, IBuffer stepBias)
    {
        using var range = Range(nameof(StepEmbedding));
        DeviceArena weights = Weights.Values;
        int batch = table.Batch;
        ArrayView<float> hidden = scratch.Take<float>(ScratchUse.Vectors, (long)batch * ModelConfig.StepWidth);
        Linear(weights.Step1, Values(table), hidden, batch, ModelConfig.StepTableWidth, ModelConfig.StepWidth, silu: true);
        Linear(weights.Step2, hidden, Values(embedding), batch, ModelConfig.StepWidth, ModelConfig.StepWidth, silu: true);
        LinearOfLayers(weights.StepOfLayers, Values(embedding), Values(stepBias), batch, ModelConfig.StepWidth, Weights.Config.Channels);
    }

    /// <inheritdoc/>
    public void LabelBias(IBuffer labels, IBuffer labelBias)
    {
        using var range = Range(nameof(LabelBias));
        LinearOfLayers(Weights.Values.LabelOfLayers, LabelRows(labels), Values(labelBias), labels.Batch, ModelConfig.LabelWidth, 2 * Weights.Config.Channels);
    }

    /// <inheritdoc/>
    public void FoldBiases(IBuffer stepBias, IBuffer? labelBias)
    {
        if (fused is null) return;
        using var range = Range(nameof(FoldBiases));
        fused.FoldBiases((CudaBuffer)stepBias, labelBias);
    }

    // The trained row of each label, [B, 128].
    private ArrayView<float> LabelRows(IBuffer labels)
    {
        ArrayView<float> rows = scratch.Take<float>(ScratchUse.Vectors, (long)labels.Batch * ModelConfig.LabelWidth);
        Launch(kernels.LabelEmbedding.With().Add(Weights.Values.LabelTable).Add(Values(labels)).Add(rows).Add(ModelConfig.LabelWidth), Blocks(rows.Length), 1);
        return rows;
    }

    private void Linear(DeviceTensors weights, ArrayView<float> x, ArrayView<float> y, int batch, int inputs, int outputs, bool silu) =>
        Launch(kernels.VectorLinear.With(On(silu)).Add(x).Add(weights.Weight).Add(weights.Bias).Add(y).Add(1).Add(inputs).Add(outputs).Add(0), Blocks(outputs, 8), 1, batch);

    private void LinearOfLayers(DeviceTensors weights, ArrayView<float> x, ArrayView<float> y, int batch, int inputs, int outputs)
    {
        int layers = Weights.Config.Layers;
        Launch(kernels.VectorLinear.With(0).Add(x).Add(weights.Weight).Add(weights.Bias).Add(y).Add(layers).Add(inputs).Add(outputs).Add(Weights.Values.LayerStride),
            Blocks((long)layers * outputs, 8), 1, batch);
    }

    /// <inheritdoc/>
    public void InputProjection(TimeRange range, Window audio, Window x)
    {
        using var named = Range(nameof(InputProjection));
        if (ends is not null)
        {
            ends.InputProjection(range, audio, x);
            return;
        }
        DeviceTensors weights = Weights.Values.Input;
        int channels = x.Buffer.Channels;
        foreach ((int first, int count) in Pieces(range, channels))
            Launch(kernels.InputProjection.With(channels).Add(At(audio, first)).Add(weights.Weight).Add(weights.Bias).Add(At(x, first)).Add(count),
                Blocks((long)Blocks(count, Kernels.InputProjection.RowsV2) * channels), 1, x.Buffer.Batch);
    }

    /// <inheritdoc/>
    public void UpsampleMel(int layer, TimeRange range, Window mel, int firstFrame, int frames, Window upsampled)
    {
        using var named = Range(nameof(UpsampleMel));
        foreach ((int first, int count) in Pieces(range, upsampled.Buffer.Channels))
        {
            DeviceTensors[] stages = Weights.Values.Layers[layer].Upsampler;
            UpsampleLaunch last = UpsampleUpToLast(stages, range.First + first, count, mel, firstFrame, frames);
            if (ends is null) UpsampleStage(stages[^1], last, At(upsampled, first), mel.Buffer.Batch);
            else ends.UpsampleLast(stages[^1], last, upsampled, first);
        }
    }

    // What a stage reads, how many rows of it there are, how many it makes, and how the two lie to each other.
    private readonly record struct UpsampleLaunch(Rows<float> From, int Inputs, int Outputs, int Factor, int Shift);

    // All stages but the last, for rows of its result from a time on. They take turns between two halves of working memory.
    private UpsampleLaunch UpsampleUpToLast(DeviceTensors[] stages, long time, int count, Window mel, int firstFrame, int frames)
    {
        IReadOnlyList<int> factors = Weights.Config.UpsampleFactors;
        int batch = mel.Buffer.Batch, bands = mel.Buffer.Channels, last = stages.Length - 1;
        Span<long> lengths = stackalloc long[stages.Length]; // what each stage reads
        for (int stage = 0; stage <= last; stage++) lengths[stage] = stage == 0 ? frames : lengths[stage - 1] * factors[stage - 1];
        Span<int> counts = stackalloc int[stages.Length + 1], shifts = stackalloc int[stages.Length];
        counts[^1] = count;
        for (int stage = last; stage >= 0; stage--)
        {
            (time, int inputs, shifts[stage]) = MelUpsampler.Inputs(time, counts[stage + 1], lengths[stage], factors[stage]);
            counts[stage] = inputs;
        }
        int between = 0;
        for (int stage = 1; stage <= last; stage++) between = Math.Max(between, counts[stage]);
        Rows<float> halves = Scratch(ScratchUse.Upsampled, 2 * batch, between, bands);
        Rows<float> from = At(mel, (int)(time - firstFrame));
        for (int stage = 0; stage < last; stage++)
        {
            Rows<float> to = WithoutItems(halves, stage % 2 * batch);
            UpsampleStage(stages[stage], new UpsampleLaunch(from, counts[stage], counts[stage + 1], factors[stage], shifts[stage]), to, batch);
            from = to;
        }
        return new UpsampleLaunch(from, counts[last], counts[last + 1], factors[last], shifts[last]);
    }

    private void UpsampleStage(DeviceTensors weights, UpsampleLaunch stage, Rows<float> to, int batch)
    {
        bool fours = to.Channels % 4 == 0;
        (int x, int y, int z) = fours ? MelUpsampler.GridV2(batch, stage.Outputs, to.Channels, stage.Factor, stage.Shift) : (Blocks((long)stage.Outputs * to.Channels), 1, batch);
        Launch((fours ? kernels.MelUpsamplerV2 : kernels.MelUpsamplerV1).With().Add(stage.From).Add(to).Add(weights.Weight).Add(weights.Bias).Add(stage.Inputs).Add(stage.Outputs).Add(stage.Factor)
            .Add(stage.Shift), x, y, z);
    }

    /// <inheritdoc/>
    public void ConditionerProjection(int layer, TimeRange range, Window upsampled, Window conditioner)
    {
        using var named = Range(nameof(ConditionerProjection));
        if (fused is not null) throw new InvalidOperationException($"{Name(Precision)}: the residual blocks project the mel themselves; give them the upsampled mel");
        int ring = conditioner.Buffer.Rows;
        foreach ((int first, int count) in Pieces(range, Math.Max(upsampled.Buffer.Channels, conditioner.Buffer.Channels)))
            Pointwise(Weights.Values.Layers[layer].Conditioner, Weights.Packed.Conditioner[layer], At(upsampled, first), All(conditioner.Buffer, (conditioner.Row + first) % ring), upsampled.Buffer.Batch, count, 1, relu: false);
    }

    // y = W (scale x) + b, and a ReLU if asked; y is a ring.
    private void Pointwise(DeviceTensors weights, ArrayView<float> packed, Rows<float> x, Rows<float> y, int batch, int rows, float scale, bool relu)
    {
        var (kernel, weight, blocks) = Product(kernels.PointwiseConvV1, weights.Weight, kernels.PointwiseConvV2, packed, rows, y.Channels);
        Launch(kernel.With(On(relu)).Add(x).Add(weight).Add(weights.Bias).Add(y).Add(rows).Add(scale), blocks, 1, batch);
    }

    // Which version of a convolution takes its weights, and how many blocks it needs: version 2 where there are packed weights.
    private static (KernelVariants Kernel, ArrayView<float> Weight, int Blocks) Product(KernelVariants v1, ArrayView<float> weight, KernelVariants v2, ArrayView<float> packed, int rows, int outputs) =>
        packed.IsValid ? (v2, packed, RowProduct.Blocks(rows, outputs)) : (v1, weight, Blocks((long)rows * outputs));

    /// <inheritdoc/>
    public void ResidualBlock(int layer, TimeRange range, Window x, IBuffer stepBias, IBuffer? labelBias, Window? conditioner, Window y, Window skips, BlockTape? tape = null)
    {
        using var named = Range(nameof(ResidualBlock));
        if (range.Segments is not null && tape is not null) throw new ArgumentException("signals one behind the other keep no inner activations");
        if (fused is not null)
        {
            fused.ResidualBlock(layer, range, x, (CudaBuffer)stepBias, conditioner, y, skips, tape);
            return;
        }
        if (range.Segments is null)
        {
            ResidualBlock(layer, range, x, (CudaBuffer)stepBias, (CudaBuffer?)labelBias, conditioner, y, skips, tape, firstItem: 0);
            return;
        }
        foreach ((int signal, TimeRange times, int row) in range.Segments.Parts(range))
            ResidualBlock(layer, times, Later(x, row), (CudaBuffer)stepBias, (CudaBuffer?)labelBias, conditioner is { } window ? Later(window, row) : null, Later(y, row), Later(skips, row), null, firstItem: signal);

        static Window Later(Window window, int rows) => window with { Row = window.Row + rows };
    }

    // With the biases from an item on.
    private void ResidualBlock(int layer, TimeRange range, Window x, CudaBuffer stepBias, CudaBuffer? labelBias, Window? conditioner, Window y, Window skips, BlockTape? tape, int firstItem)
    {
        ModelConfig config = Weights.Config;
        DeviceArena.Layer weights = Weights.Values.Layers[layer];
        int batch = x.Buffer.Batch, channels = config.Channels, dilation = config.Dilation(layer);
        ArrayView<float> step = Items(stepBias, firstItem), label = Items(labelBias, firstItem);
        foreach ((int first, int count) in Pieces(range, 2 * channels))
        {
            long time = range.First + first;
            int before = (int)Math.Min(time, dilation), after = (int)Math.Min(range.Length - time - count, dilation);
            Rows<float> preGate = tape is { } kept ? At(kept.PreGate, first) : Scratch(ScratchUse.PreGate, batch, count, 2 * channels);
            Rows<float> gated = tape?.Gated is { } keptGated ? At(keptGated, first) : Scratch(ScratchUse.Gated, batch, count, channels);
            Rows<float> ring = conditioner is { } window ? All(window.Buffer, (window.Row + first) % window.Buffer.Rows) : default;
            var (dilated, weight, blocks) = Product(kernels.DilatedConvV1, weights.Dilated.Weight, kernels.DilatedConvV2, Weights.Packed.Dilated[layer], count, 2 * channels);
            Launch(dilated.With(On(labelBias is not null), On(conditioner is not null)).Add(At(x, first)).Add(step).Add(weight).Add(weights.Dilated.Bias)
                .Add(label).Add(ring).Add(preGate).Add(count).Add(before).Add(after).Add(dilation).Add(layer).Add(config.Layers), blocks, 1, batch);
            Gate(preGate, gated, batch, count);
            (KernelVariants output, weight, blocks) = Product(kernels.ResidualOutputV1, weights.Output.Weight, kernels.ResidualOutputV2, Weights.Packed.Output[layer], count, 2 * channels);
            Launch(output.With(On(config.ResidualIncludesStepEmbedding)).Add(At(x, first)).Add(gated).Add(step).Add(weight).Add(weights.Output.Bias)
                .Add(At(y, first)).Add(At(skips, first)).Add(count).Add(layer).Add(config.Layers), blocks, 1, batch);
        }
    }

    // Values of a buffer's items from one on.
    private static ArrayView<float> Items(CudaBuffer? buffer, int first) => buffer is null ? default : Values(buffer).SubView((long)first * buffer.Rows * buffer.Channels);

    // z = tanh(filter) sigmoid(gate).
    private void Gate(Rows<float> preGate, Rows<float> gated, int batch, int rows)
    {
        int channels = gated.Channels, gateFirst = On(Weights.Config.GateOrder == GateOrder.GateFirst);
        foreach ((ArrayView<float> h, ArrayView<float> z) in Runs(preGate, gated, batch, rows))
            if (channels % 4 == 0) Launch(kernels.GateV2.With(channels, gateFirst).Add(h).Add(z), Blocks(z.Length, 1024), 1);
            else Launch(kernels.GateV1.With(gateFirst).Add(h).Add(z).Add(channels), Blocks(z.Length), 1);
    }

    // Rows of two activations without gaps, for kernels that know no items: all items at once where that is possible.
    private List<(ArrayView<float> First, ArrayView<float> Second)> Runs(Rows<float> first, Rows<float> second, int batch, int rows)
    {
        if (first.ItemRows == rows && second.ItemRows == rows && (long)batch * rows * first.Channels <= options.LaunchValues) return [(first.Values, second.Values)];
        return [.. Enumerable.Range(0, batch).Select(item => (first.Run(item, rows), second.Run(item, rows)))];
    }

    /// <inheritdoc/>
    public void Head(TimeRange range, Window skips, Window eps)
    {
        using var named = Range(nameof(Head));
        if (ends is not null)
        {
            ends.Head(range, skips, eps);
            return;
        }
        DeviceTensors weights = Weights.Values.Head;
        int batch = skips.Buffer.Batch, channels = skips.Buffer.Channels;
        foreach ((int first, int count) in Pieces(range, channels))
        {
            Rows<float> hidden = HeadHidden(At(skips, first), batch, count);
            bool fours = channels % 4 == 0;
            Launch((fours ? kernels.HeadV2.With(channels) : kernels.HeadV1.With()).Add(hidden).Add(weights.Weight).Add(weights.Bias).Add(At(eps, first)).Add(count),
                fours ? Blocks(count, Kernels.Head.RowsV2) : Blocks(count), 1, batch);
        }
    }

    // relu(S (skips / sqrt(L)) + s), in working memory.
    private Rows<float> HeadHidden(Rows<float> skips, int batch, int rows)
    {
        Rows<float> hidden = Scratch(ScratchUse.Hidden, batch, rows, skips.Channels);
        Pointwise(Weights.Values.Skip, Weights.Packed.Skip[0], skips, hidden, batch, rows, SkipScale, relu: true);
        return hidden;
    }

    private float SkipScale => 1f / MathF.Sqrt(Weights.Config.Layers);

    /// <inheritdoc/>
    public void ReverseStep(TimeRange range, Window x, Window eps, Window noise, float scale, float epsWeight, float sigma, bool clamp, Window y)
    {
        using var named = Range(nameof(ReverseStep));
        foreach ((int first, int count) in Pieces(range, 1))
            Launch(kernels.ReverseStep.With(On(clamp)).Add(At(x, first)).Add(At(eps, first)).Add(At(noise, first)).Add(At(y, first)).Add(count).Add(scale).Add(epsWeight).Add(sigma),
                Blocks(count), x.Buffer.Batch);
    }
}
