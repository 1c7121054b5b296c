using DiffWave.Device;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

// The network backward, in reverse order of forward. A gradient that sums over rows is taken by fixed slices of rows of an item, and the slices are added in order, item after item.
public sealed partial class CudaOps
{
    private static readonly float RootHalf = MathF.Sqrt(0.5f);

    private DeviceArena Gradients => Training.Gradients;

    /// <inheritdoc/>
    public void HeadBackward(IBuffer skips, IBuffer dEps, IBuffer dSkips)
    {
        using var range = Range(nameof(HeadBackward));
        int batch = skips.Batch, rows = skips.Rows, channels = skips.Channels;
        RefuseLongCrops(rows, 2L * channels);
        if (backward is not null)
        {
            backward.Head(skips, dEps, dSkips);
            return;
        }
        Rows<float> hidden = HeadHidden(All(skips), batch, rows);
        AddColumnSums(hidden, All(dEps), Gradients.Head.Weight, batch, rows, 1);
        AddColumnSums(All(dEps), null, Gradients.Head.Bias, batch, rows, 1);
        bool fours = channels % 4 == 0;
        Launch((fours ? kernels.HeadBackwardV2.With(channels) : kernels.HeadBackwardV1.With()).Add(hidden).Add(All(dEps)).Add(Weights.Values.Head.Weight).Add(hidden).Add(rows),
            fours ? Blocks((long)Blocks(rows, Kernels.HeadBackward.RowsV2) * (channels / 4)) : Blocks((long)rows * channels), 1, batch);
        AddWeightGradient(hidden, All(skips), null, Gradients.Skip.Weight, batch, rows, taps: 1, dilation: 1, SkipScale);
        AddColumnSums(hidden, null, Gradients.Skip.Bias, batch, rows, 1);
        PointwiseBackward(Weights.Values.Skip.Weight, Training.Packed.Skip[0], hidden, All(dSkips), batch, rows, SkipScale, accumulate: false);
    }

    /// <inheritdoc/>
    public void ResidualBlockBackward(int layer, IBuffer x, IBuffer stepBias, IBuffer preGate, IBuffer dSkips, IBuffer dY, IBuffer dX, IBuffer dPreGate, IBuffer dStepBias, IBuffer? dLabelBias)
    {
        using var range = Range(nameof(ResidualBlockBackward));
        if (backward is not null)
        {
            backward.ResidualBlock(layer, x, stepBias, preGate, dSkips, dY, dX, dPreGate, dStepBias, dLabelBias);
            return;
        }
        ModelConfig config = Weights.Config;
        DeviceArena.Layer weights = Weights.Values.Layers[layer], gradients = Gradients.Layers[layer];
        int batch = x.Batch, rows = x.Rows, channels = config.Channels, dilation = config.Dilation(layer);
        bool hasY = layer + 1 < config.Layers;

        // The output projection: its residual half saw dY / sqrt(2), its skip half dSkips.
        Rows<float> dGated = Scratch(ScratchUse.GatedGradient, batch, rows, channels);
        var (output, weight, blocks) = Product(kernels.ResidualOutputBackwardV1, weights.Output.Weight, kernels.ResidualOutputBackwardV2, Training.Packed.Output[layer], rows, channels);
        Launch(output.With(On(hasY)).Add(weight).Add(All(dY)).Add(All(dSkips)).Add(dGated).Add(rows), blocks, 1, batch);
        Rows<float> gated = GateBackward(All(preGate), dGated, All(dPreGate), batch, rows);
        if (hasY)
            AddConvolutionGradient(All(dY), gated, null, new(gradients.Output.Weight.SubView(0, channels * channels), gradients.Output.Bias.SubView(0, channels)), batch, rows, taps: 1, dilation: 1, RootHalf);
        AddConvolutionGradient(All(dSkips), gated, null, new(gradients.Output.Weight.SubView(channels * channels), gradients.Output.Bias.SubView(channels)), batch, rows, taps: 1, dilation: 1, 1);

        // The dilated convolution of x + step.
        ArrayView<float> sums = AddConvolutionGradient(All(dPreGate), All(x), All(stepBias, layer), gradients.Dilated, batch, rows, taps: 3, dilation, 1);
        if (dLabelBias is not null) SumSlices(sums, All(dLabelBias, layer), batch);
        int tiles = DilatedConvBackward.Tiles(rows);
        ArrayView<float> stepSums = scratch.Take<float>(ScratchUse.StepPartial, (long)batch * tiles * channels);
        ArrayView<float> packed = Training.Packed.Dilated[layer];
        int x0 = packed.IsValid ? RowProduct.Blocks(rows, channels) : tiles, y0 = packed.IsValid ? 1 : Blocks(channels, 32);
        Launch((packed.IsValid ? kernels.DilatedConvBackwardV2 : kernels.DilatedConvBackwardV1).With(On(hasY), On(config.ResidualIncludesStepEmbedding))
            .Add(packed.IsValid ? packed : weights.Dilated.Weight).Add(All(dPreGate)).Add(All(dY)).Add(All(dX)).Add(stepSums).Add(rows).Add(dilation), x0, y0, batch);
        SumSlices(stepSums, All(dStepBias, layer), batch);
    }

    // The gradient of the gate's input. Gives back the gate's result, in working memory.
    private Rows<float> GateBackward(Rows<float> preGate, Rows<float> dGated, Rows<float> dPreGate, int batch, int rows)
    {
        int channels = dGated.Channels, gateFirst = On(Weights.Config.GateOrder == GateOrder.GateFirst);
        bool fours = channels % 4 == 0;
        Rows<float> gated = fours ? dGated : Scratch(ScratchUse.Gated, batch, rows, channels);
        if (!fours) Gate(preGate, gated, batch, rows);
        foreach (((ArrayView<float> h, ArrayView<float> dZ), (ArrayView<float> dH, _)) in Runs(preGate, dGated, batch, rows).Zip(Runs(dPreGate, dGated, batch, rows)))
            if (fours) Launch(kernels.GateBackwardV2.With(channels, gateFirst).Add(h).Add(dZ).Add(dH), Blocks(dZ.Length, 1024), 1);
            else Launch(kernels.GateBackwardV1.With(gateFirst).Add(h).Add(dZ).Add(dH).Add(channels), Blocks(dZ.Length), 1);
        return gated;
    }

    /// <inheritdoc/>
    public void ConditionerProjectionBackward(int layer, IBuffer upsampled, IReadOnlyList<IBuffer> dConditioners, IBuffer dUpsampled)
    {
        using var range = Range(nameof(ConditionerProjectionBackward));
        if (backward is not null)
        {
            backward.ConditionerProjection(layer, upsampled, dConditioners, dUpsampled);
            return;
        }
        int batch = upsampled.Batch, rows = upsampled.Rows;
        foreach (IBuffer dConditioner in dConditioners)
        {
            AddConvolutionGradient(All(dConditioner), All(upsampled), null, Gradients.Layers[layer].Conditioner, batch, rows, taps: 1, dilation: 1, 1);
            PointwiseBackward(Weights.Values.Layers[layer].Conditioner.Weight, Training.Packed.Conditioner[layer], All(dConditioner), All(dUpsampled), batch, rows, 1, accumulate: true);
            layer--;
        }
    }

    /// <inheritdoc/>
    public void UpsampleMelBackward(int layer, IBuffer mel, IBuffer upsampled, IBuffer dUpsampled)
    {
        using var range = Range(nameof(UpsampleMelBackward));
        DeviceTensors[] stages = Weights.Values.Layers[layer].Upsampler, gradients = Gradients.Layers[layer].Upsampler;
        IReadOnlyList<int> factors = Weights.Config.UpsampleFactors;
        int batch = mel.Batch, bands = mel.Channels, last = stages.Length - 1;
        RefuseLongCrops(upsampled.Rows, bands);
        bool fours = bands % 4 == 0, foursOfInput = fours && MelUpsampler.InputRowsV2(bands) > 0;

        // What each stage reads; inner ones are computed again. Planes and their gradients stand one behind the other in working memory, in the same order.
        var planes = new Rows<float>[stages.Length + 1];
        planes[0] = All(mel);
        if (backward is null) planes[^1] = All(upsampled);
        long inner = 0;
        for (int stage = 0, rows = mel.Rows; stage < last; stage++) inner += (long)batch * (rows *= factors[stage]) * bands;
        ArrayView<float> results = scratch.Take<float>(ScratchUse.Upsampled, inner), slopes = scratch.Take<float>(ScratchUse.UpsampledGradient, inner);
        for (int stage = 0; stage < last; stage++)
        {
            int inputs = planes[stage].ItemRows, outputs = inputs * factors[stage];
            planes[stage + 1] = new Rows<float>(results, outputs, 0, bands);
            results = results.SubView((long)batch * outputs * bands);
            UpsampleStage(stages[stage], new UpsampleLaunch(planes[stage], inputs, outputs, factors[stage], factors[stage] / 2), planes[stage + 1], batch);
        }

        Rows<float> dOutput = All(dUpsampled);
        for (int stage = last; stage >= 0; stage--)
        {
            int inputs = planes[stage].ItemRows, factor = factors[stage], slices = MelUpsampler.Slices(inputs, factor);
            ArrayView<float> target = gradients[stage].Both, partial = scratch.Take<float>(ScratchUse.Partial, batch * slices * target.Length);
            if (stage == last && backward is not null) backward.UpsampleWeights(planes[stage], upsampled, dOutput, partial, inputs, factor, slices);
            else Launch((fours ? kernels.MelUpsamplerBackwardWeightsV2 : kernels.MelUpsamplerBackwardWeightsV1).With().Add(planes[stage]).Add(planes[stage + 1]).Add(dOutput).Add(partial).Add(inputs).Add(factor), slices, 1, batch);
            AddSlices(partial, target, batch * slices);
            if (stage == 0) break; // the mel itself gets no gradient
            long values = (long)batch * inputs * bands;
            var dInput = new Rows<float>(slopes.SubView(slopes.Length - values), inputs, 0, bands);
            slopes = slopes.SubView(0, slopes.Length - values);
            if (stage == last && backward is not null) backward.UpsampleInput(upsampled, dOutput, stages[stage].Weight, dInput, inputs, factor);
            else Launch((foursOfInput ? kernels.MelUpsamplerBackwardInputV2 : kernels.MelUpsamplerBackwardInputV1).With().Add(planes[stage + 1]).Add(dOutput).Add(stages[stage].Weight).Add(dInput).Add(inputs).Add(factor),
                foursOfInput ? Blocks(inputs, MelUpsampler.InputRowsV2(bands)) : Blocks((long)inputs * bands), 1, batch);
            dOutput = dInput;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="UnsupportedPrecisionException">The gradient of the audio is asked for from activations in 16 bits.</exception>
    public void InputProjectionBackward(IBuffer audio, IBuffer x, IBuffer dX, IBuffer? dAudio)
    {
        using var range = Range(nameof(InputProjectionBackward));
        if (backward is not null)
        {
            if (dAudio is not null) throw new UnsupportedPrecisionException($"{Name(Precision)}: there is no kernel for the gradient of the audio; compute it in fp32");
            backward.InputProjection(audio, x, dX);
            return;
        }
        int batch = x.Batch, rows = x.Rows, slices = SliceSum.Slices(rows);
        ArrayView<float> target = Gradients.Input.Both, partial = scratch.Take<float>(ScratchUse.Partial, batch * slices * target.Length);
        Launch(kernels.InputProjectionBackwardWeights.With().Add(All(audio)).Add(All(x)).Add(All(dX)).Add(partial).Add(rows), slices, Blocks(x.Channels, 32), batch);
        AddSlices(partial, target, batch * slices);
        if (dAudio is not null)
            Launch(kernels.InputProjectionBackwardAudio.With().Add(Weights.Values.Input.Weight).Add(All(x)).Add(All(dX)).Add(All(dAudio)).Add(rows), Blocks(rows, 8), 1, batch);
    }

    /// <inheritdoc/>
    public void StepEmbeddingBackward(IBuffer table, IBuffer embedding, IBuffer dStepBias)
    {
        using var range = Range(nameof(StepEmbeddingBackward));
        const int Inputs = ModelConfig.StepTableWidth, Width = ModelConfig.StepWidth;
        DeviceArena weights = Weights.Values;
        int batch = table.Batch;
        long each = (long)batch * Width;
        ArrayView<float> vectors = scratch.Take<float>(ScratchUse.Vectors, 3 * each), u1 = vectors.SubView(0, each), hidden = vectors.SubView(each, each), u2 = vectors.SubView(2 * each, each);
        Linear(weights.Step1, Values(table), u1, batch, Inputs, Width, silu: false);
        Linear(weights.Step1, Values(table), hidden, batch, Inputs, Width, silu: true);
        Linear(weights.Step2, hidden, u2, batch, Width, Width, silu: false);
        AddLinearGradient(Values(dStepBias), Values(embedding), Gradients.StepOfLayers, batch, weights.Layers.Length, Width, Weights.Config.Channels);
        LinearBackward(Values(dStepBias), weights.StepOfLayers.Weight, u2, u2, batch, weights.Layers.Length, Width, Weights.Config.Channels, silu: true);
        AddLinearGradient(u2, hidden, Gradients.Step2, batch, 1, Width, Width);
        LinearBackward(u2, weights.Step2.Weight, u1, u1, batch, 1, Width, Width, silu: true);
        AddLinearGradient(u1, Values(table), Gradients.Step1, batch, 1, Inputs, Width);
    }

    /// <inheritdoc/>
    public void LabelBiasBackward(IBuffer labels, IBuffer dLabelBias)
    {
        using var range = Range(nameof(LabelBiasBackward));
        const int Width = ModelConfig.LabelWidth;
        int batch = labels.Batch, layers = Weights.Config.Layers, outputs = 2 * Weights.Config.Channels;
        ArrayView<float> rows = LabelRows(labels);
        AddLinearGradient(Values(dLabelBias), rows, Gradients.LabelOfLayers, batch, layers, Width, outputs);
        LinearBackward(Values(dLabelBias), Weights.Values.LabelOfLayers.Weight, default, rows, batch, layers, Width, outputs, silu: false);
        Launch(kernels.LabelEmbeddingBackward.With().Add(Values(labels)).Add(rows).Add(Gradients.LabelTable).Add(Width), Blocks(Width, 128), 1);
    }

    // Backward takes a crop in one piece, and kernels count inside an item in 32 bits.
    private static void RefuseLongCrops(int rows, long rowValues)
    {
        if (rows * rowValues > int.MaxValue) throw new ArgumentException($"crops of {rows} samples have {rows * rowValues} values an activation, at most {int.MaxValue} can be trained on: use shorter crops");
    }

    // ---- Gradients of layers.

    // dX (+)= scale W^T dY.
    private void PointwiseBackward(ArrayView<float> weights, ArrayView<float> packed, Rows<float> dY, Rows<float> dX, int batch, int rows, float scale, bool accumulate)
    {
        var (kernel, weight, blocks) = Product(kernels.PointwiseConvBackwardV1, weights, kernels.PointwiseConvBackwardV2, packed, rows, dX.Channels);
        Launch(kernel.With(On(accumulate)).Add(weight).Add(dY).Add(dX).Add(rows).Add(scale), blocks, 1, batch);
    }

    private void AddLinearGradient(ArrayView<float> d, ArrayView<float> x, DeviceTensors gradients, int batch, int layers, int inputs, int outputs) =>
        Launch(kernels.VectorLinearBackwardWeights.With().Add(d).Add(x).Add(gradients.Weight).Add(gradients.Bias).Add(batch).Add(inputs).Add(outputs).Add(Gradients.LayerStride), layers * outputs, 1, 1);

    private void LinearBackward(ArrayView<float> d, ArrayView<float> weight, ArrayView<float> u, ArrayView<float> dx, int batch, int layers, int inputs, int outputs, bool silu) =>
        Launch(kernels.VectorLinearBackwardInput.With(On(silu)).Add(d).Add(weight).Add(u).Add(dx).Add(layers).Add(inputs).Add(outputs).Add(Gradients.LayerStride), Blocks(inputs, 32), 1, batch);

    // Adds the gradients of a convolution in the blocks, its weights and its bias. Gives back the sums of scale d over the slices of each item.
    private ArrayView<float> AddConvolutionGradient(Rows<float> d, Rows<float> x, Rows<float>? step, DeviceTensors gradients, int batch, int rows, int taps, int dilation, float scale)
    {
        if (tf32Gradients is not null) return tf32Gradients.Add(d, x, step, gradients, batch, rows, taps, dilation, scale);
        AddWeightGradient(d, x, step, gradients.Weight, batch, rows, taps, dilation, scale);
        ArrayView<float> sums = ColumnSums(d, null, batch, rows, scale);
        AddSlices(sums, gradients.Bias, batch * SliceSum.Slices(rows));
        return sums;
    }

    // Adds the gradient of a convolution's weights [O, I, K]: of d[t, o] (x + step)[t + shift, i].
    private void AddWeightGradient(Rows<float> d, Rows<float> x, Rows<float>? step, ArrayView<float> target, int batch, int rows, int taps, int dilation, float scale)
    {
        int inputs = x.Channels, values = d.Channels * taps * inputs, slices = SliceSum.Slices(rows);
        int together = ItemsTogether(slices, values, batch);
        bool fours = d.Channels % 4 == 0 && inputs % 4 == 0;
        int tiles = fours ? Blocks(d.Channels, WeightGradient.TileV2) * Blocks(taps * inputs, WeightGradient.TileV2) : Blocks(values);
        for (int item = 0; item < batch; item += together)
        {
            int items = Math.Min(together, batch - item);
            ArrayView<float> partial = scratch.Take<float>(ScratchUse.Partial, (long)items * slices * values);
            Launch((fours ? kernels.WeightGradientV2 : kernels.WeightGradientV1).With(taps, On(step is not null)).Add(WithoutItems(d, item)).Add(WithoutItems(x, item))
                .Add(step is { } added ? WithoutItems(added, item) : default).Add(partial).Add(rows).Add(dilation).Add(scale), tiles, slices, items);
            AddSlices(partial, target, items * slices, inputs, taps);
        }
    }

    // Items whose partial sums of so many values a slice are made at a time.
    private int ItemsTogether(int slices, int values, int batch) => (int)Math.Clamp(options.PartialBytes / sizeof(float) / ((long)slices * values), 1, batch);

    // Adds the sums of columns: the gradient of a bias, or with a weight a row that of a convolution between C channels and one.
    private void AddColumnSums(Rows<float> x, Rows<float>? weights, ArrayView<float> target, int batch, int rows, float scale) =>
        AddSlices(ColumnSums(x, weights, batch, rows, scale), target, batch * SliceSum.Slices(rows));

    private ArrayView<float> ColumnSums(Rows<float> x, Rows<float>? weights, int batch, int rows, float scale)
    {
        int slices = SliceSum.Slices(rows);
        ArrayView<float> partial = scratch.Take<float>(ScratchUse.Partial, (long)batch * slices * x.Channels);
        Launch((x.Channels % 4 == 0 ? kernels.ColumnSumV2 : kernels.ColumnSumV1).With(On(weights is not null)).Add(x).Add(weights ?? default).Add(partial).Add(rows).Add(scale),
            Blocks(x.Channels, ColumnSum.ColumnsV2), slices, batch);
        return partial;
    }

    // Adds slices, of all items in order, to a gradient.
    private void AddSlices(ArrayView<float> partial, ArrayView<float> target, int slices, int inputs = 1, int taps = 1) =>
        Launch(kernels.SliceSum.With(1).Add(partial).Add(AsRow(target)).Add(slices).Add(inputs).Add(taps), Blocks(target.Length, SliceSum.ThreadsV2), 1, 1);

    // Sums the slices of every item into a row of its own.
    private void SumSlices(ArrayView<float> partial, Rows<float> target, int items) =>
        Launch(kernels.SliceSum.With(0).Add(partial).Add(target).Add((int)(partial.Length / ((long)items * target.Channels))).Add(1).Add(1), Blocks(target.Channels, SliceSum.ThreadsV2), 1, items);
}
