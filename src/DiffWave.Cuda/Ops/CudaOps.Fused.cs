using DiffWave.Device;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

// Residual blocks as one kernel each, on tensor cores.
public sealed partial class CudaOps
{
    private const int LeastSm = 80; // with tensor cores for every precision

    private static ReadOnlySpan<int> FusedChannels => [32, 64, 128, 256];

    /// <summary>Why a precision cannot serve a model, and what to do; null when it can.</summary>
    /// <param name="precision">What the network is to compute with.</param>
    /// <param name="config">The model.</param>
    public static string? Problem(Precision precision, ModelConfig config)
    {
        if (precision == Precision.Fp32) return null;
        if (!FusedChannels.Contains(config.Channels)) return $"{Name(precision)}: the model has {config.Channels} channels, there are kernels for 32, 64, 128 and 256; compute in fp32";
        if (config.Bands % 8 != 0) return $"{Name(precision)}: the model's mel has {config.Bands} bands, the kernels take multiples of 8; compute in fp32";
        return null;
    }

    private static string Name(Precision precision) => precision.ToString().ToLowerInvariant();

    private abstract class FusedBlocks
    {
        /// <summary>Bytes of shared memory without which no block of the kernels can run.</summary>
        public abstract int LeastSharedBytes(ModelConfig config);

        /// <summary>Bytes of the packed weights of all layers.</summary>
        public abstract long WeightBytes(ModelConfig config);

        public abstract void Pack(DeviceWeights weights);

        public abstract void FoldBiases(CudaBuffer stepBias, IBuffer? labelBias);

        public abstract void ResidualBlock(int layer, TimeRange range, Window x, CudaBuffer stepBias, int firstItem, Window? mel, Window y, Window skips);
    }

    // Rows of a layer that one launch computes, and what they lie in.
    private readonly record struct BlockLaunch<T>(Rows<T> X, Rows<T> Mel, Rows<T> Y, Rows<T> Skips, FoldedBias Bias, int Layer, int Batch, int Rows, int Before, int After) where T : unmanaged;

    // The biases of all layers: [B, L, 2C], [B, L, 2, 2C], [B, L, 2C], each from an item on.
    private readonly struct FoldedBias(ArrayView<float> all, int batch, int firstItem = 0)
    {
        public ArrayView<float> Bias => Items(0, 1);
        public ArrayView<float> Edges => Items(1, 2);
        public ArrayView<float> Output => Items(3, 1);

        private ArrayView<float> Items(int quarter, int quarters)
        {
            long item = all.Length / 4 / batch;
            return all.SubView(quarter * batch * item + firstItem * quarters * item, (batch - firstItem) * quarters * item);
        }
    }

    private abstract class FusedBlocks<T, P>(CudaOps ops) : FusedBlocks where T : unmanaged where P : struct, IMatrixOperand<T>
    {
        private readonly KernelVariants pack = new(ops.runner, BlockWeights.PackV2<T, P>, "gateFirst");
        private readonly KernelVariants fold = new(ops.runner, BlockBias.FoldV1, "hasLabel", "hasConditioner", "stepInResidual");

        protected CudaOps Ops { get; } = ops;

        protected ModelConfig Config => Ops.Weights.Config;

        private static long WeightValues(ModelConfig config) => BlockWeights.Size(config.Channels, config.Bands);

        public override unsafe long WeightBytes(ModelConfig config) => WeightValues(config) * config.Layers * sizeof(T);

        public override void Pack(DeviceWeights weights)
        {
            ModelConfig config = weights.Config;
            DeviceArena.Layer first = weights.Values.Layers[0];
            Ops.Launch(pack.With(On(config.GateOrder == GateOrder.GateFirst)).Add(weights.Values.From(first.Dilated.Weight)).Add(weights.Values.From(first.Conditioner.Weight))
                .Add(weights.Values.From(first.Output.Weight)).Add(new ArrayView<T>((nint)weights.Blocks, WeightValues(config) * config.Layers)).Add(config.Channels).Add(config.Bands).Add(weights.Values.LayerStride),
                Blocks(WeightValues(config) / (P.Depth / 2)), 1, config.Layers);
        }

        public override void FoldBiases(CudaBuffer stepBias, IBuffer? labelBias)
        {
            DeviceArena weights = Ops.Weights.Values;
            DeviceArena.Layer first = weights.Layers[0];
            int channels = Config.Channels, layers = Config.Layers;
            stepBias.Folded ??= Ops.Allocate(stepBias.Batch, layers, 8 * channels, typeof(float), sizeof(float));
            var folded = new FoldedBias(stepBias.Folded.Values<float>(), stepBias.Batch);
            Ops.Launch(fold.With(On(labelBias is not null), On(Config.HasMel), On(Config.ResidualIncludesStepEmbedding)).Add(Values(stepBias)).Add(Values(labelBias)).Add(weights.From(first.Dilated.Weight))
                .Add(weights.From(first.Dilated.Bias)).Add(weights.From(first.Conditioner.Bias)).Add(weights.From(first.Output.Bias)).Add(folded.Bias).Add(folded.Edges).Add(folded.Output)
                .Add(channels).Add(layers).Add(weights.LayerStride), Blocks(2L * channels * layers, BlockBias.OutputsV1), 1, stepBias.Batch);
        }

        public override void ResidualBlock(int layer, TimeRange range, Window x, CudaBuffer stepBias, int firstItem, Window? mel, Window y, Window skips)
        {
            if (mel is not null != Config.HasMel) throw new ArgumentException($"the model {(Config.HasMel ? "needs the upsampled mel" : "has no mel")}");
            if (stepBias.Folded is not { } folded) throw new InvalidOperationException("the biases are not folded: call FoldBiases when step and label biases are computed");
            var bias = new FoldedBias(folded.Values<float>(), folded.Batch, firstItem);
            foreach ((int piece, int pieceRows) in Ops.Pieces(range, 2 * Config.Channels))
                for (int first = piece, count; first < piece + pieceRows; first += count)
                {
                    count = piece + pieceRows - first;
                    Rows<T> melRows = default;
                    if (mel is { } ring) // its end is a cut
                    {
                        int row = (ring.Row + first) % ring.Buffer.Rows;
                        count = Math.Min(count, ring.Buffer.Rows - row);
                        melRows = At<T>(ring with { Row = row });
                    }
                    long time = range.First + first;
                    int dilation = Config.Dilation(layer);
                    Launch(new BlockLaunch<T>(At<T>(x, first), melRows, At<T>(y, first), At<T>(skips, first), bias, layer, x.Buffer.Batch, count,
                        (int)Math.Min(time, dilation), (int)Math.Min(range.Length - time - count, dilation)));
                }
        }

        protected abstract void Launch(BlockLaunch<T> block);

        /// <summary>Bytes of shared memory that a block may have.</summary>
        protected int SharedLimit => Ops.driver.Device.SharedBytesPerBlock;

        protected static unsafe int StreamedBytes<S>(ModelConfig config) where S : struct, IStreamedTile => Kernels.ResidualBlock.StreamedBytes<S>(config.Channels, config.Bands, 1, sizeof(T));

        /// <summary>Launches a kernel whose weights stream through shared memory.</summary>
        protected unsafe void LaunchStreamed<S>(KernelVariants kernel, BlockLaunch<T> block) where S : struct, IStreamedTile
        {
            int neighbours = Kernels.ResidualBlock.StreamedNeighbours<S>(block.Rows, Config.Dilation(block.Layer), Config.Channels, Config.Bands, sizeof(T), SharedLimit);
            Launch(kernel, block, neighbours, S.Rows, Kernels.ResidualBlock.StreamedBytes<S>(Config.Channels, Config.Bands, neighbours, sizeof(T)));
        }

        /// <summary>Whether a cut fits the device and makes at least two tiles for each of its multiprocessors; else smaller tiles share the work better. Both give the same bits.</summary>
        protected unsafe bool Fills<S>(BlockLaunch<T> block) where S : struct, IStreamedTile
        {
            if (StreamedBytes<S>(Config) > SharedLimit) return false;
            int dilation = Config.Dilation(block.Layer), neighbours = Kernels.ResidualBlock.StreamedNeighbours<S>(block.Rows, dilation, Config.Channels, Config.Bands, sizeof(T), SharedLimit);
            return (long)block.Batch * TimeTile.Count(block.Rows, dilation, neighbours, S.Rows) >= 2L * Ops.driver.Device.Multiprocessors;
        }

        /// <summary>Launches a kernel whose blocks take turns on tiles of so many rows, as many blocks as can be there at once.</summary>
        protected void Launch(KernelVariants kernel, BlockLaunch<T> block, int neighbours, int tileRows, int sharedBytes)
        {
            int dilation = Config.Dilation(block.Layer), tiles = checked(block.Batch * TimeTile.Count(block.Rows, dilation, neighbours, tileRows));
            ArrayView<T> weights = new((nint)Ops.Weights.Blocks, WeightValues(Config) * Config.Layers);
            KernelArguments arguments = kernel.With(Config.Channels, Config.Bands, On(Config.GateOrder == GateOrder.GateFirst)).Add(block.X).Add(block.Mel).Add(weights).Add(block.Bias.Bias).Add(block.Bias.Edges)
                .Add(block.Bias.Output).Add(block.Y).Add(block.Skips).Add(tiles).Add(block.Rows).Add(block.Before).Add(block.After).Add(dilation).Add(neighbours).Add(block.Layer).Add(Config.Layers);
            Ops.runner.Launch(arguments, new Dim3(Math.Min(tiles, Ops.AtOnce(arguments.Kernel, sharedBytes))), Ops.stream, sharedBytes);
        }
    }

    // fp16 and bf16: up to 64 channels weights stay in shared memory, where there is enough of it; else they stream through it.
    private sealed class StoredBlocks<T, P>(CudaOps ops) : FusedBlocks<T, P>(ops) where T : unmanaged where P : struct, IMatrixPair<T>, IBlockOperand<T>
    {
        private readonly KernelVariants resident = new(ops.runner, Kernels.ResidualBlock.ResidentV2<T, P>, "channels", "bands", "gateFirst");
        private readonly KernelVariants streamed32 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<T, P, StreamedTile32Channels>, "channels", "bands", "gateFirst");
        private readonly KernelVariants streamed64 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<T, P, StreamedTile64Channels>, "channels", "bands", "gateFirst");
        private readonly KernelVariants streamed128 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<T, P, StreamedTile128>, "channels", "bands", "gateFirst");
        private readonly KernelVariants streamed256 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<T, P, StreamedTile128Wide>, "channels", "bands", "gateFirst");
        private readonly KernelVariants streamedLong = new(ops.runner, Kernels.ResidualBlock.StreamedV3<T, P, StreamedTile256>, "channels", "bands", "gateFirst");

        public override int LeastSharedBytes(ModelConfig config) => config.Channels switch
        {
            32 => ResidentBytes(config, 1),
            64 => StreamedBytes<StreamedTile32Channels>(config),
            128 => StreamedBytes<StreamedTile128>(config),
            _ => StreamedBytes<StreamedTile128Wide>(config),
        };

        private static int ResidentBytes(ModelConfig config, int neighbours) => Kernels.ResidualBlock.ResidentSharedBytes(config.Channels, config.Bands, neighbours);

        protected override void Launch(BlockLaunch<T> block)
        {
            if (Config.Channels > 128) LaunchStreamed<StreamedTile128Wide>(streamed256, block);
            else if (Config.Channels > 64 && Fills<StreamedTile256>(block)) LaunchStreamed<StreamedTile256>(streamedLong, block);
            else if (Config.Channels > 64) LaunchStreamed<StreamedTile128>(streamed128, block);
            else
            {
                int neighbours = Kernels.ResidualBlock.ResidentNeighbours(block.Rows, Config.Dilation(block.Layer), Config.Channels, Config.Bands, SharedLimit);
                if (neighbours > 0) Launch(resident, block, neighbours, Kernels.ResidualBlock.ResidentRows, ResidentBytes(Config, neighbours));
                else if (StreamedBytes<StreamedTile64Channels>(Config) <= SharedLimit) LaunchStreamed<StreamedTile64Channels>(streamed64, block);
                else LaunchStreamed<StreamedTile32Channels>(streamed32, block);
            }
        }
    }

    private sealed class Tf32Blocks(CudaOps ops) : FusedBlocks<float, TF32>(ops)
    {
        private readonly KernelVariants streamed32 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<float, TF32, StreamedTile32Channels>, "channels", "bands", "gateFirst");
        private readonly KernelVariants streamed64 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<float, TF32, StreamedTile64Channels>, "channels", "bands", "gateFirst");
        private readonly KernelVariants streamed128 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<float, TF32, StreamedTile128Wide>, "channels", "bands", "gateFirst");
        private readonly KernelVariants streamed256 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<float, TF32, StreamedTile64Wide>, "channels", "bands", "gateFirst");
        private readonly KernelVariants streamedLong = new(ops.runner, Kernels.ResidualBlock.StreamedV3<float, TF32, StreamedTile256>, "channels", "bands", "gateFirst");

        public override int LeastSharedBytes(ModelConfig config) => config.Channels switch
        {
            32 => StreamedBytes<StreamedTile32Channels>(config),
            64 => StreamedBytes<StreamedTile64Channels>(config),
            128 => StreamedBytes<StreamedTile128Wide>(config),
            _ => StreamedBytes<StreamedTile64Wide>(config),
        };

        protected override void Launch(BlockLaunch<float> block)
        {
            if (Config.Channels > 128) LaunchStreamed<StreamedTile64Wide>(streamed256, block);
            else if (Config.Channels > 64) LaunchStreamed<StreamedTile128Wide>(streamed128, block);
            else if (Config.Channels > 32 && Fills<StreamedTile256>(block)) LaunchStreamed<StreamedTile256>(streamedLong, block);
            else if (Config.Channels > 32) LaunchStreamed<StreamedTile64Channels>(streamed64, block);
            else LaunchStreamed<StreamedTile32Channels>(streamed32, block);
        }
    }
}
