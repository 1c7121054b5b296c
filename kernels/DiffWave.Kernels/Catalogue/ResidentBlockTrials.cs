namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private static IReadOnlyList<KernelVersion> ResidentBlocks
    {
        get
        {
            KernelShape[] shapes = [.. BlockShapes(64, 80), .. BlockShapes(32, 24), BlockShape(2, 600, 64, 80, 4, 4, 0, 1, 0)], packed = [.. PackedShapes(64, 80), .. PackedShapes(32, 24)];
            string? Problem(KernelShape shape) => BlockProblem(shape) ?? (shape["channels"] is not (32 or 64) ? "channels is 32 or 64" : shape["bands"] % 8 != 0 ? "bands is a multiple of 8" : null);
            KernelVersion Version<T, P>(string name, BlockVariant variant = default) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(ResidualBlock),
                "16 bits, up to 64 channels: weights stay in shared memory, two teams of warps walk tiles of time, both products on tensor cores, z between them in registers",
                Method(typeof(ResidualBlock), nameof(ResidualBlock.ResidentV2), typeof(T), typeof(P)), variant.Packed ? packed : shapes, variant.Constants, Problem, shape => Resident<T, P>(shape, variant)) { Name = name };
            return
            [
                Version<Half, F16>("residual_block_resident_v2"), Version<BFloat16, BF16>("residual_block_resident_v2_bf16"),
                Version<Half, F16>("residual_block_resident_v2_kept", new(Keep: true)), Version<BFloat16, BF16>("residual_block_resident_v2_bf16_kept", new(Keep: true)),
                Version<Half, F16>("residual_block_resident_v2_packed", new(Packed: true)), Version<BFloat16, BF16>("residual_block_resident_v2_bf16_packed_kept", new(true, true)),
            ];
        }
    }

    // Half as many blocks as there are pairs of tiles, so that most teams walk more than one.
    private static KernelTrial Resident<T, P>(KernelShape shape, BlockVariant variant) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        var trial = new BlockTrial<T>(shape, TensorPrecision<T, P>(), variant);
        var (neighbours, tiles, parts) = trial.Tiles(ResidualBlock.ResidentRows, q => ResidualBlock.ResidentSharedBytes(trial.Channels, trial.Bands, q));
        return trial.Of(new KernelLaunch(new(Blocks(tiles, 4), 1, 1), new(ResidualBlock.ResidentThreads, 1, 1), ResidualBlock.ResidentSharedBytes(trial.Channels, trial.Bands, neighbours), trial.X, trial.Mel,
            trial.Packed(P.Depth), trial.Bias, trial.Edges, trial.OutputBias, trial.Y, trial.Skips, trial.H, parts, tiles, trial.Rows, trial.Before, trial.After, trial.Dilation, neighbours, trial.Layer, trial.Layers));
    }
}
