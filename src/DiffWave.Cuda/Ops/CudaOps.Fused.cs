using DiffWave.Device;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

// Residual blocks as one kernel each, on tensor cores.
public sealed partial class CudaOps
{
    private const int LeastSm = 80; // with tensor cores for every precision

    private static readonly string[] BlockConstants = ["channels", "bands", "gateFirst", "keep", "packed", "early"];

    // Kernels that read weights and wait before anything else: each gets its multiprocessors while the kernel before it still runs.
    private bool MayBeginEarly => driver.Device.Sm >= 90;

    private static ReadOnlySpan<int> FusedChannels => [32, 64, 128, 256];

    /// <summary>Why a precision cannot serve a model on any device, and what to do; null when it can.</summary>
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

        public abstract void ResidualBlock(int layer, TimeRange range, Window x, CudaBuffer stepBias, Window? mel, Window y, Window skips, BlockTape? tape);

        /// <summary>Every cut of a layer's launch on this device, the one that is taken without tuning first.</summary>
        public abstract IReadOnlyList<BlockCut> Cuts(int layer, int batch, int rows);

        /// <summary>The cut to take for every launch; null: the tuned one, or else the usual one.</summary>
        public BlockCut? Forced { get; set; }
    }

    // A tile of a kernel: its rows, and the bytes of shared memory for q neighbours.
    private sealed record BlockTile(string Name, KernelVariants Kernel, int Rows, Func<int, int> SharedBytes)
    {
        // Below a limit of shared memory; 0 where not even q = 1 is.
        public int UsualNeighbours(int[] rows, int dilation, int sharedLimit)
        {
            int q = PackedSignals.Neighbours(rows, dilation, Rows);
            while (q > 0 && SharedBytes(q) > sharedLimit) q /= 2;
            return q;
        }

        public int Count(int batch, int[] rows, int dilation, int neighbours)
        {
            long tiles = 0;
            foreach (int each in rows) tiles += TimeTile.Count(each, dilation, neighbours, Rows);
            return checked((int)(batch * tiles));
        }

        public IEnumerable<int> Neighbours(int dilation, int sharedLimit)
        {
            for (int q = 1; q <= Math.Min(Rows, TimeTile.MostNeighbours) && dilation % q == 0 && SharedBytes(q) <= sharedLimit; q *= 2) yield return q;
        }
    }

    // Rows of a layer that one launch computes, and what they lie in; h only where it is kept. Of packed signals (and else none) the time of the first row; rows: of each of them, or of every item.
    private readonly record struct BlockLaunch<T>(Rows<T> X, Rows<T> Mel, Rows<T> Y, Rows<T> Skips, Rows<T>? H, FoldedBias Bias, int Layer, int Batch, int[] Rows, int Before, int After, Segments? Signals, long First)
        where T : unmanaged
    {
        public int AllRows => Rows.Sum();
    }

    private ArrayView<int> PackedTable(PackedTable key, int[] rows) =>
        tables.Take(key, () => PackedSignals.Table(rows, key.Dilation, key.Neighbours, key.TileRows), (values, address) => staging.Upload<int>(values, address));

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

        public override void ResidualBlock(int layer, TimeRange range, Window x, CudaBuffer stepBias, Window? mel, Window y, Window skips, BlockTape? tape)
        {
            if (mel is not null != Config.HasMel) throw new ArgumentException($"the model {(Config.HasMel ? "needs the upsampled mel" : "has no mel")}");
            if (tape is { Gated: not null }) throw new UnsupportedPrecisionException($"{Name(Ops.Precision)}: the fused residual block keeps what its gate reads, not what comes out of it; compute in fp32 to see that");
            if (stepBias.Folded is not { } folded) throw new InvalidOperationException("the biases are not folded: call FoldBiases when step and label biases are computed");
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
                    TimeRange times = range with { First = range.First + first, Count = count };
                    (int Signal, TimeRange Times, int Row)[] parts = range.Segments is { } signals ? [.. signals.Parts(times)] : [(0, times, 0)];
                    TimeRange begin = parts[0].Times, end = parts[^1].Times;
                    int dilation = Config.Dilation(layer);
                    Launch(new BlockLaunch<T>(At<T>(x, first), melRows, At<T>(y, first), At<T>(skips, first), tape is { } kept ? At<T>(kept.PreGate, first) : null,
                        new FoldedBias(folded.Values<float>(), folded.Batch, parts[0].Signal), layer, x.Buffer.Batch, [.. parts.Select(part => part.Times.Count)],
                        (int)Math.Min(begin.First, dilation), (int)Math.Min(end.Length - end.First - end.Count, dilation), range.Segments, times.First));
                }
        }

        /// <summary>The tiles there are for a model, all of the same bits, those that share out the work worse, because they are larger, first.</summary>
        protected abstract IReadOnlyList<BlockTile> TilesOf(ModelConfig config);

        public override int LeastSharedBytes(ModelConfig config) => TilesOf(config).Min(tile => tile.SharedBytes(1));

        public override IReadOnlyList<BlockCut> Cuts(int layer, int batch, int rows)
        {
            (BlockTile tile, int neighbours) = Usual(layer, batch, [rows]);
            var usual = new BlockCut(tile.Name, neighbours);
            return [usual, .. TilesOf(Config).SelectMany(other => other.Neighbours(Config.Dilation(layer), SharedLimit).Select(q => new BlockCut(other.Name, q))).Where(cut => cut != usual)];
        }

        // The largest tile of which there are at least two for each multiprocessor; else the smallest.
        private (BlockTile, int Neighbours) Usual(int layer, int batch, int[] rows)
        {
            int dilation = Config.Dilation(layer);
            (BlockTile Tile, int Neighbours)[] fitting = [.. TilesOf(Config).Select(tile => (tile, tile.UsualNeighbours(rows, dilation, SharedLimit))).Where(cut => cut.Item2 > 0)];
            foreach ((BlockTile tile, int neighbours) in fitting)
                if (tile.Count(batch, rows, dilation, neighbours) >= 2L * Ops.driver.Device.Multiprocessors) return (tile, neighbours);
            return fitting[^1];
        }

        private (BlockTile, int Neighbours) Cut(BlockLaunch<T> block)
        {
            int dilation = Config.Dilation(block.Layer);
            var shape = new BlockShape(Ops.Precision, Config.Channels, Config.Bands, dilation, BlockShape.Rounded((long)block.Batch * block.AllRows));
            if ((Forced ?? Ops.options.Tuning?.Find(shape)) is { } cut && TilesOf(Config).FirstOrDefault(tile => tile.Name == cut.Tile) is { } known && known.Neighbours(dilation, SharedLimit).Contains(cut.Neighbours))
                return (known, cut.Neighbours);
            return Usual(block.Layer, block.Batch, block.Rows);
        }

        /// <summary>Bytes of shared memory that a block may have.</summary>
        protected int SharedLimit => Ops.driver.Device.SharedBytesPerBlock;

        /// <summary>A tile whose weights stream through shared memory.</summary>
        protected unsafe BlockTile Streamed<S>(ModelConfig config, KernelVariants kernel) where S : struct, IStreamedTile =>
            new(typeof(S).Name, kernel, S.Rows, q => Kernels.ResidualBlock.StreamedBytes<S>(config.Channels, config.Bands, q, sizeof(T)));

        // As many blocks as can be there at once take turns on the tiles.
        private void Launch(BlockLaunch<T> block)
        {
            (BlockTile tile, int neighbours) = Cut(block);
            int dilation = Config.Dilation(block.Layer), sharedBytes = tile.SharedBytes(neighbours), tiles = tile.Count(block.Batch, block.Rows, dilation, neighbours);
            ArrayView<int> parts = block.Signals is { } signals ? Ops.PackedTable(new(signals, block.First, block.AllRows, dilation, neighbours, tile.Rows), block.Rows) : default;
            ArrayView<T> weights = new((nint)Ops.Weights.Blocks, WeightValues(Config) * Config.Layers);
            KernelArguments arguments = tile.Kernel.With(Config.Channels, Config.Bands, On(Config.GateOrder == GateOrder.GateFirst), On(block.H is not null), On(block.Signals is not null), On(Ops.MayBeginEarly))
                .Add(block.X).Add(block.Mel).Add(weights).Add(block.Bias.Bias).Add(block.Bias.Edges).Add(block.Bias.Output).Add(block.Y).Add(block.Skips).Add(block.H ?? default).Add(parts)
                .Add(tiles).Add(block.AllRows).Add(block.Before).Add(block.After).Add(dilation).Add(neighbours).Add(block.Layer).Add(Config.Layers);
            Ops.runner.Launch(arguments, new Dim3(Math.Min(tiles, Ops.AtOnce(arguments.Kernel, sharedBytes))), Ops.stream, sharedBytes, Ops.MayBeginEarly);
        }
    }

    // fp16 and bf16: up to 64 channels weights stay in shared memory, where there is enough of it; else they stream through it.
    private sealed class StoredBlocks<T, P>(CudaOps ops) : FusedBlocks<T, P>(ops) where T : unmanaged where P : struct, IMatrixPair<T>, IBlockOperand<T>
    {
        private readonly KernelVariants resident = new(ops.runner, Kernels.ResidualBlock.ResidentV2<T, P>, BlockConstants);
        private readonly KernelVariants streamed32 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<T, P, StreamedTile32Channels>, BlockConstants);
        private readonly KernelVariants streamed64 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<T, P, StreamedTile64Channels>, BlockConstants);
        private readonly KernelVariants streamed128 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<T, P, StreamedTile128>, BlockConstants);
        private readonly KernelVariants streamed256 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<T, P, StreamedTile128Wide>, BlockConstants);
        private readonly KernelVariants streamedLong = new(ops.runner, Kernels.ResidualBlock.StreamedV3<T, P, StreamedTile256>, BlockConstants);

        protected override IReadOnlyList<BlockTile> TilesOf(ModelConfig config)
        {
            if (config.Channels > 128) return [Streamed<StreamedTile128Wide>(config, streamed256)];
            if (config.Channels > 64) return [Streamed<StreamedTile256>(config, streamedLong), Streamed<StreamedTile128>(config, streamed128)];
            var tile = new BlockTile("Resident", resident, Kernels.ResidualBlock.ResidentRows, q => Kernels.ResidualBlock.ResidentSharedBytes(config.Channels, config.Bands, q));
            if (config.Channels < 64 || tile.SharedBytes(1) <= SharedLimit) return [tile];
            return [Streamed<StreamedTile64Channels>(config, streamed64), Streamed<StreamedTile32Channels>(config, streamed32)];
        }
    }

    private sealed class Tf32Blocks(CudaOps ops) : FusedBlocks<float, TF32>(ops)
    {
        private readonly KernelVariants streamed32 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<float, TF32, StreamedTile32Channels>, BlockConstants);
        private readonly KernelVariants streamed64 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<float, TF32, StreamedTile64Channels>, BlockConstants);
        private readonly KernelVariants streamed128 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<float, TF32, StreamedTile128Wide>, BlockConstants);
        private readonly KernelVariants streamed256 = new(ops.runner, Kernels.ResidualBlock.StreamedV3<float, TF32, StreamedTile64Wide>, BlockConstants);
        private readonly KernelVariants streamedLong = new(ops.runner, Kernels.ResidualBlock.StreamedV3<float, TF32, StreamedTile256>, BlockConstants);

        protected override IReadOnlyList<BlockTile> TilesOf(ModelConfig config) => config.Channels switch
        {
            32 => [Streamed<StreamedTile32Channels>(config, streamed32)],
            64 => [Streamed<StreamedTile256>(config, streamedLong), Streamed<StreamedTile64Channels>(config, streamed64)],
            128 => [Streamed<StreamedTile128Wide>(config, streamed128)],
            _ => [Streamed<StreamedTile64Wide>(config, streamed256)],
        };
    }
}
