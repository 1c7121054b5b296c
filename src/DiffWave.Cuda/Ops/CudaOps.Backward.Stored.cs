using DiffWave.Device;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

// The network backward where activations and their gradients take 16 bits. Weights, their gradients and all sums are float32.
public sealed partial class CudaOps
{
    private abstract class StoredBackward
    {
        /// <summary>Bytes of shared memory without which no block of the kernels can run.</summary>
        public abstract int LeastSharedBytes(ModelConfig config);

        /// <summary>Bytes of the packed weights of all layers.</summary>
        public abstract long WeightBytes(ModelConfig config);

        public abstract void Pack(DeviceTraining training);

        public abstract void Head(IBuffer skips, IBuffer dEps, IBuffer dSkips);

        public abstract void ResidualBlock(int layer, IBuffer x, IBuffer stepBias, IBuffer preGate, IBuffer dSkips, IBuffer dY, IBuffer dX, IBuffer dPreGate, IBuffer dStepBias, IBuffer? dLabelBias);

        public abstract void ConditionerProjection(int layer, IBuffer upsampled, IReadOnlyList<IBuffer> dConditioners, IBuffer dUpsampled);

        public abstract void UpsampleWeights(Rows<float> from, IBuffer upsampled, Rows<float> dUpsampled, ArrayView<float> partial, int inputs, int factor, int slices);

        public abstract void UpsampleInput(IBuffer upsampled, Rows<float> dUpsampled, ArrayView<float> weight, Rows<float> dInput, int inputs, int factor);

        public abstract void InputProjection(IBuffer audio, IBuffer x, IBuffer dX);
    }

    private sealed class StoredBackward<T, P>(CudaOps ops) : StoredBackward where T : unmanaged where P : struct, IMatrixPair<T>
    {
        private readonly KernelVariants pack = new(ops.runner, BlockWeightsBackward.PackV2<T, P>);
        private readonly KernelVariants resident = new(ops.runner, Kernels.ResidualBlockBackward.BackwardV2<T, P>, "channels", "hasY", "gateFirst", "stepInResidual");
        private readonly KernelVariants streamed = new(ops.runner, Kernels.ResidualBlockBackward.BackwardV3<T, P>, "channels", "hasY", "gateFirst", "stepInResidual", "tileRows");
        private readonly KernelVariants head = new(ops.runner, Kernels.HeadBackward.BackwardV3<T, P>, "channels");
        private readonly KernelVariants written = new(ops.runner, PointwiseConvBackward.BackwardV3<T, P, T, Written<T, P>>);
        private readonly KernelVariants added = new(ops.runner, PointwiseConvBackward.BackwardV3<T, P, float, AddedTo>);
        private readonly KernelVariants upsampleWeights = new(ops.runner, MelUpsampler.BackwardWeightsV3<T, P>);
        private readonly KernelVariants upsampleInput = new(ops.runner, MelUpsampler.BackwardInputV3<T, P>);
        private readonly KernelVariants inputWeights = new(ops.runner, Kernels.InputProjectionBackward.WeightsV2<T, P>, "channels");
        private readonly TensorGradients<T, RowsOf16Bits<T, P>> gradients = new(ops);

        private int SharedLimit => ops.driver.Device.SharedBytesPerBlock;

        public override int LeastSharedBytes(ModelConfig config)
        {
            int channels = config.Channels, block = LeastBlockBytes(channels), head = Kernels.HeadBackward.SharedBytesV3(channels), pointwise = PointwiseConvBackward.SharedBytesV3(2 * channels, ops.ConditionersAtOnce(config));
            return Math.Max(Math.Max(block, head), Math.Max(pointwise, gradients.LeastSharedBytes));
        }

        // Up to 64 channels the weights of a block stay in shared memory, else they stream through it.
        private static bool IsResident(int channels) => channels <= 64;

        private static int LeastBlockBytes(int channels) => IsResident(channels) ? Kernels.ResidualBlockBackward.SharedBytesV2(channels, 1) : Kernels.ResidualBlockBackward.SharedBytesV3(channels, 8192 / channels); // the smaller of its tiles

        public override unsafe long WeightBytes(ModelConfig config) => (long)BlockWeightsBackward.Size(config.Channels) * config.Layers * sizeof(T);

        public override void Pack(DeviceTraining training)
        {
            DeviceArena values = training.Weights.Values;
            int channels = training.Weights.Config.Channels, layers = values.Layers.Length, size = BlockWeightsBackward.Size(channels);
            ops.Launch(pack.With().Add(values.From(values.Layers[0].Dilated.Weight)).Add(values.From(values.Layers[0].Output.Weight)).Add(BlockWeightsOf(training, channels, layers)).Add(channels).Add(values.LayerStride),
                Blocks(size / 8), 1, layers);
        }

        private static ArrayView<T> BlockWeightsOf(DeviceTraining training, int channels, int layers) => new((nint)training.Blocks, (long)BlockWeightsBackward.Size(channels) * layers);

        public override void Head(IBuffer skips, IBuffer dEps, IBuffer dSkips)
        {
            DeviceArena weights = ops.Weights.Values, target = ops.Gradients;
            int batch = skips.Batch, rows = skips.Rows, channels = skips.Channels, slices = batch * SliceSum.Slices(rows), sharedBytes = Kernels.HeadBackward.SharedBytesV3(channels);
            var sums = new ArrayView<float>(target.Skip.Bias.Address, 2 * channels + 1); // of the skip projection's bias and, behind it, the head's weight and bias
            ArrayView<float> partial = ops.scratch.Take<float>(ScratchUse.Partial, slices * sums.Length);
            Rows<T> dHidden = ops.Scratch<T>(ScratchUse.Hidden, batch, rows, channels);
            KernelArguments arguments = head.With(channels).Add(All<T>(skips)).Add(weights.Skip.Weight).Add(weights.Skip.Bias).Add(weights.Head.Weight).Add(CudaOps.All(dEps)).Add(dHidden).Add(partial).Add(rows)
                .Add(batch).Add(ops.SkipScale);
            ops.runner.Launch(arguments, new Dim3(Math.Min(ops.AtOnce(arguments.Kernel, sharedBytes), slices)), ops.stream, sharedBytes);
            ops.AddSlices(partial, sums, slices);
            gradients.Add(dHidden, All<T>(skips), null, new(target.Skip.Weight, default), batch, rows, taps: 1, dilation: 1, ops.SkipScale);
            Pointwise(written, weights.Skip.Weight, 0, [dHidden], All<T>(dSkips), batch, rows, ops.SkipScale);
        }

        public override void ResidualBlock(int layer, IBuffer x, IBuffer stepBias, IBuffer preGate, IBuffer dSkips, IBuffer dY, IBuffer dX, IBuffer dPreGate, IBuffer dStepBias, IBuffer? dLabelBias)
        {
            ModelConfig config = ops.Weights.Config;
            DeviceArena.Layer target = ops.Gradients.Layers[layer];
            int batch = x.Batch, rows = x.Rows, channels = config.Channels, dilation = config.Dilation(layer), size = BlockWeightsBackward.Size(channels);
            int hasY = On(layer + 1 < config.Layers), gateFirst = On(config.GateOrder == GateOrder.GateFirst), stepInResidual = On(config.ResidualIncludesStepEmbedding);
            int tileRows, neighbours, sharedBytes;
            KernelArguments arguments;
            if (IsResident(channels))
            {
                (tileRows, neighbours) = (Kernels.ResidualBlockBackward.TileRowsV2, Kernels.ResidualBlockBackward.NeighboursV2(rows, dilation));
                while (neighbours > 1 && Kernels.ResidualBlockBackward.SharedBytesV2(channels, neighbours) > SharedLimit) neighbours /= 2;
                sharedBytes = Kernels.ResidualBlockBackward.SharedBytesV2(channels, neighbours);
                arguments = resident.With(channels, hasY, gateFirst, stepInResidual);
            }
            else
            {
                tileRows = Kernels.ResidualBlockBackward.TileRowsV3(channels, SharedLimit);
                neighbours = Kernels.ResidualBlockBackward.NeighboursV3(rows, dilation, channels, tileRows);
                sharedBytes = Kernels.ResidualBlockBackward.SharedBytesV3(channels, tileRows);
                arguments = streamed.With(channels, hasY, gateFirst, stepInResidual, tileRows);
            }
            int itemTiles = TimeTile.Count(rows, dilation, neighbours, tileRows), tiles = checked(batch * itemTiles);
            ArrayView<float> stepSums = ops.scratch.Take<float>(ScratchUse.StepPartial, (long)tiles * channels);
            Rows<T> gated = ops.Scratch<T>(ScratchUse.Gated, batch, rows, channels);
            arguments = arguments.Add(All<T>(dY)).Add(All<T>(dSkips)).Add(All<T>(preGate))
                .Add(BlockWeightsOf(ops.Training, channels, config.Layers).SubView((long)layer * size, size)).Add(All<T>(dPreGate)).Add(gated).Add(All<T>(dX)).Add(stepSums).Add(tiles).Add(rows).Add(dilation).Add(neighbours);
            ops.runner.Launch(arguments, new Dim3(Math.Min(ops.AtOnce(arguments.Kernel, sharedBytes), tiles)), ops.stream, sharedBytes);
            ops.SumSlices(stepSums, CudaOps.All(dStepBias, layer), batch);

            if (hasY == 1) gradients.Add(All<T>(dY), gated, null, new(target.Output.Weight.SubView(0, channels * channels), target.Output.Bias.SubView(0, channels)), batch, rows, taps: 1, dilation: 1, RootHalf);
            gradients.Add(All<T>(dSkips), gated, null, new(target.Output.Weight.SubView(channels * channels), target.Output.Bias.SubView(channels)), batch, rows, taps: 1, dilation: 1, 1);
            ArrayView<float> sums = gradients.Add(All<T>(dPreGate), All<T>(x), CudaOps.All(stepBias, layer), target.Dilated, batch, rows, taps: 3, dilation, 1);
            if (dLabelBias is not null) ops.SumSlices(sums, CudaOps.All(dLabelBias, layer), batch);
        }

        public override void ConditionerProjection(int layer, IBuffer upsampled, IReadOnlyList<IBuffer> dConditioners, IBuffer dUpsampled)
        {
            DeviceArena weights = ops.Weights.Values;
            int batch = upsampled.Batch, rows = upsampled.Rows, atOnce = ops.ConditionersAtOnce(ops.Weights.Config);
            for (int i = 0; i < dConditioners.Count; i++)
                gradients.Add(All<T>(dConditioners[i]), All<T>(upsampled), null, ops.Gradients.Layers[layer - i].Conditioner, batch, rows, taps: 1, dilation: 1, 1);
            for (int i = 0; i < dConditioners.Count; i += atOnce)
            {
                Rows<T>[] run = [.. dConditioners.Skip(i).Take(atOnce).Select(dConditioner => All<T>(dConditioner)).Reverse()]; // the first layer first, as the weights lie
                Pointwise(added, weights.From(weights.Layers[layer - i - run.Length + 1].Conditioner.Weight), weights.LayerStride, run, CudaOps.All(dUpsampled), batch, rows, 1);
            }
        }

        public override void UpsampleWeights(Rows<float> from, IBuffer upsampled, Rows<float> dUpsampled, ArrayView<float> partial, int inputs, int factor, int slices) =>
            ops.Launch(upsampleWeights.With().Add(from).Add(All<T>(upsampled)).Add(dUpsampled).Add(partial).Add(inputs).Add(factor), slices, 1, upsampled.Batch);

        public override void UpsampleInput(IBuffer upsampled, Rows<float> dUpsampled, ArrayView<float> weight, Rows<float> dInput, int inputs, int factor) =>
            ops.Launch(upsampleInput.With().Add(All<T>(upsampled)).Add(dUpsampled).Add(weight).Add(dInput).Add(inputs).Add(factor), Blocks(inputs, MelUpsampler.InputRowsV2(upsampled.Channels)), 1, upsampled.Batch);

        public override void InputProjection(IBuffer audio, IBuffer x, IBuffer dX)
        {
            int batch = x.Batch, rows = x.Rows, slices = SliceSum.Slices(rows);
            ArrayView<float> target = ops.Gradients.Input.Both, partial = ops.scratch.Take<float>(ScratchUse.Partial, batch * slices * target.Length);
            ops.Launch(inputWeights.With(x.Channels).Add(CudaOps.All(audio)).Add(All<T>(x)).Add(All<T>(dX)).Add(partial).Add(rows), slices, 1, batch);
            ops.AddSlices(partial, target, batch * slices);
        }

        // dX (+)= scale times the sum of W^T dY over layers.
        private void Pointwise<U>(KernelVariants kernel, ArrayView<float> weight, int layerStride, Rows<T>[] dY, Rows<U> dX, int batch, int rows, float scale) where U : unmanaged
        {
            int tiles = PointwiseConvBackward.TilesV3(batch, rows), sharedBytes = PointwiseConvBackward.SharedBytesV3(dY[0].Channels, dY.Length), across = Blocks(dX.Channels, PointwiseConvBackward.InputsV3);
            ArrayView<T> Layer(int layer) => layer < dY.Length ? dY[layer].Values : default;
            KernelArguments arguments = kernel.With().Add(weight).Add(layerStride).Add(dY[0]).Add(Layer(1)).Add(Layer(2)).Add(Layer(3)).Add(dY.Length).Add(dX).Add(tiles).Add(rows).Add(scale);
            ops.runner.Launch(arguments, new Dim3(Math.Min(tiles, Blocks(ops.AtOnce(arguments.Kernel, sharedBytes), across)), across), ops.stream, sharedBytes);
        }
    }

    // Gradients of weights on tensor cores, and with them those of biases.
    private sealed class TensorGradients<T, P>(CudaOps ops) where T : unmanaged where P : struct, IRowsOperand<T>
    {
        private const int WideColumns = 192; // from so many on the wide cut has work for all its warps

        private readonly KernelVariants wide = new(ops.runner, WeightGradient.GradientV3<T, P, Gradient128x192>, "taps", "hasStep", "hasBias");
        private readonly KernelVariants narrow = new(ops.runner, WeightGradient.GradientV3<T, P, Gradient128x64>, "taps", "hasStep", "hasBias");

        /// <summary>Bytes of shared memory a block takes.</summary>
        public int LeastSharedBytes => WeightGradient.SharedBytesV3<Gradient128x192>();

        /// <summary>
        /// Adds the gradient of a convolution's weights [O, I, K], of scale d[t, o] (x + step)[t + shift, i], and that of its bias if there is one. Returns the sums of scale d over the slices of each item;
        /// empty without a bias.
        /// </summary>
        public ArrayView<float> Add(Rows<T> d, Rows<T> x, Rows<float>? step, DeviceTensors target, int batch, int rows, int taps, int dilation, float scale)
        {
            int outputs = d.Channels, inputs = x.Channels, columns = taps * inputs, slices = WeightGradient.SlicesV3(rows);
            bool isWide = columns >= WideColumns, hasBias = target.Bias.IsValid;
            int tiles = isWide ? WeightGradient.BlocksV3<Gradient128x192>(outputs, columns) : WeightGradient.BlocksV3<Gradient128x64>(outputs, columns);
            int sharedBytes = isWide ? WeightGradient.SharedBytesV3<Gradient128x192>() : WeightGradient.SharedBytesV3<Gradient128x64>(), together = ops.ItemsTogether(slices, outputs * columns, batch);
            ArrayView<float> sums = hasBias ? ops.scratch.Take<float>(ScratchUse.BiasPartial, (long)batch * slices * outputs) : default;
            for (int item = 0; item < batch; item += together)
            {
                int items = Math.Min(together, batch - item);
                ArrayView<float> partial = ops.scratch.Take<float>(ScratchUse.Partial, (long)items * slices * outputs * columns);
                KernelArguments arguments = (isWide ? wide : narrow).With(taps, On(step is not null), On(hasBias)).Add(WithoutItems(d, item)).Add(WithoutItems(x, item)).Add(step is { } added ? WithoutItems(added, item) : default)
                    .Add(partial).Add(hasBias ? sums.SubView((long)item * slices * outputs) : default).Add(rows).Add(dilation).Add(scale);
                ops.runner.Launch(arguments, new Dim3(tiles, slices, items), ops.stream, sharedBytes);
                ops.AddSlices(partial, target.Weight, items * slices, inputs, taps);
            }
            if (hasBias) ops.AddSlices(sums, target.Bias, batch * slices);
            return sums;
        }
    }
}
