namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private static IReadOnlyList<KernelVersion> ResidentBlocks
    {
        get
        {
            KernelShape[] shapes = [.. BlockShapes(64, 80), .. BlockShapes(32, 24), BlockShape(2, 600, 64, 80, 4, 4, 0, 1, 0)];
            string? Problem(KernelShape shape) => BlockProblem(shape) ?? (shape["channels"] is not (32 or 64) ? "channels is 32 or 64" : shape["bands"] % 8 != 0 ? "bands is a multiple of 8" : null);
            KernelVersion Version<T, P>(string name, bool keep = false) where T : unmanaged where P : struct, IMatrixPair<T> => new(nameof(ResidualBlock),
                "16 bits, up to 64 channels: weights stay in shared memory, two teams of warps walk tiles of time, both products on tensor cores, z between them in registers",
                Method(typeof(ResidualBlock), nameof(ResidualBlock.ResidentV2), typeof(T), typeof(P)), shapes, shape => BlockConstants(shape, keep), Problem, shape => Resident<T, P>(shape, keep)) { Name = name };
            return
            [
                Version<Half, F16>("residual_block_resident_v2"), Version<BFloat16, BF16>("residual_block_resident_v2_bf16"),
                Version<Half, F16>("residual_block_resident_v2_kept", keep: true), Version<BFloat16, BF16>("residual_block_resident_v2_bf16_kept", keep: true),
            ];
        }
    }

    // Half as many blocks as there are pairs of tiles, so that most teams walk more than one.
    private static KernelTrial Resident<T, P>(KernelShape shape, bool keep) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        const int sharedLimit = 227 << 10; // sm_90
        var trial = new BlockTrial<T>(shape, TensorPrecision<T, P>(), keep);
        int neighbours = ResidualBlock.ResidentNeighbours(trial.Rows, trial.Dilation, trial.Channels, trial.Bands, sharedLimit);
        int tiles = trial.Batch * TimeTile.Count(trial.Rows, trial.Dilation, neighbours, ResidualBlock.ResidentRows);
        return trial.Of(new KernelLaunch(new(Blocks(tiles, 4), 1, 1), new(ResidualBlock.ResidentThreads, 1, 1), ResidualBlock.ResidentSharedBytes(trial.Channels, trial.Bands, neighbours), trial.X, trial.Mel,
            trial.Packed(P.Depth), trial.Bias, trial.Edges, trial.OutputBias, trial.Y, trial.Skips, trial.H, tiles, trial.Rows, trial.Before, trial.After, trial.Dilation, neighbours, trial.Layer, trial.Layers));
    }
}
