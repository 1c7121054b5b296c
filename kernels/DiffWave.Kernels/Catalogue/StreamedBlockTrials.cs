using System.Runtime.CompilerServices;

namespace DiffWave.Kernels;

public static partial class KernelCatalog
{
    private static IReadOnlyList<KernelVersion> StreamedBlocks
    {
        get
        {
            const double gateOfTf32 = 1.0 / (1 << 20);
            BlockPrecision<Half> fp16 = TensorPrecision<Half, F16>();
            BlockPrecision<BFloat16> bf16 = TensorPrecision<BFloat16, BF16>();
            BlockPrecision<float> tf32 = TensorPrecision<float, TF32>(gateOfTf32);
            return
            [
                Streamed<Half, F16, StreamedTile128>("residual_block_streamed_v3", 128, fp16), Streamed<Half, F16, StreamedTile256>("residual_block_streamed_v3_rows256", 128, fp16, 0, 3, 6),
                Streamed<Half, F16, StreamedTile128Wide>("residual_block_streamed_v3_c256", 256, fp16, 0, 3, 4),
                Streamed<BFloat16, BF16, StreamedTile128>("residual_block_streamed_v3_bf16", 128, bf16, 0, 3), Streamed<BFloat16, BF16, StreamedTile128Wide>("residual_block_streamed_v3_bf16_c256", 256, bf16, 0),
                Streamed<float, TF32, StreamedTile32Channels>("residual_block_streamed_v3_tf32_c32", 32, tf32), Streamed<float, TF32, StreamedTile64Channels>("residual_block_streamed_v3_tf32_c64", 64, tf32, 0, 3),
                Streamed<float, TF32, StreamedTile256>("residual_block_streamed_v3_tf32_c64_rows256", 64, tf32, 0, 3, 6),
                Streamed<float, TF32, StreamedTile128Wide>("residual_block_streamed_v3_tf32", 128, tf32, 0, 3, 4), Streamed<float, TF32, StreamedTile64Wide>("residual_block_streamed_v3_tf32_c256", 256, tf32, 0, 3),
                Streamed<Half, F16, StreamedTile128>("residual_block_streamed_v3_kept", 128, fp16, new BlockVariant(Keep: true)), Streamed<BFloat16, BF16, StreamedTile128Wide>("residual_block_streamed_v3_bf16_c256_kept", 256, bf16, new BlockVariant(Keep: true), 0, 3),
                Streamed<float, TF32, StreamedTile64Channels>("residual_block_streamed_v3_tf32_c64_kept", 64, tf32, new BlockVariant(Keep: true), 0, 3),
                Streamed<Half, F16, StreamedTile128>("residual_block_streamed_v3_packed", 128, fp16, new BlockVariant(Packed: true)),
                Streamed<float, TF32, StreamedTile64Channels>("residual_block_streamed_v3_tf32_c64_packed_kept", 64, tf32, new BlockVariant(true, true), 0, 1),
            ];
        }
    }

    // chosen: of the block's shapes, or all of them. The cut for any C takes all of its channels that fit, the others have one C each.
    private static KernelVersion Streamed<T, P, S>(string name, int channels, BlockPrecision<T> precision, params int[] chosen) where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile =>
        Streamed<T, P, S>(name, channels, precision, default(BlockVariant), chosen);

    private static KernelVersion Streamed<T, P, S>(string name, int channels, BlockPrecision<T> precision, BlockVariant variant, params int[] chosen)
        where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        int size = Unsafe.SizeOf<T>();
        string? Problem(KernelShape shape) => BlockProblem(shape)
            ?? (channels == 32 ? NotThirtyTwos(shape) : shape["channels"] != channels ? $"channels is {channels}" : null)
            ?? (shape["bands"] * size % 16 != 0 ? $"bands is a multiple of {16 / size}" : null)
            ?? (ResidualBlock.StreamedBytes<S>((int)shape["channels"], (int)shape["bands"], 1, size) > BlockShared ? "channels is too large for tiles in shared memory" : null);
        return new(nameof(ResidualBlock), "any precision, C a multiple of 32: weights stream through a ring in shared memory, z stays there between both products",
            Method(typeof(ResidualBlock), nameof(ResidualBlock.StreamedV3), typeof(T), typeof(P), typeof(S)), [.. (variant.Packed ? PackedShapes(channels, 80) : BlockShapes(channels, 80)).Where((_, index) => chosen.Length == 0 || chosen.Contains(index))],
            variant.Constants, Problem, shape => StreamedTrial<T, P, S>(shape, precision, variant)) { Name = name };
    }

    // Half as many blocks as tiles, so that a block has several.
    private static KernelTrial StreamedTrial<T, P, S>(KernelShape shape, BlockPrecision<T> precision, BlockVariant variant) where T : unmanaged where P : struct, IBlockOperand<T> where S : struct, IStreamedTile
    {
        var trial = new BlockTrial<T>(shape, precision, variant);
        int size = Unsafe.SizeOf<T>();
        var (neighbours, tiles, parts) = trial.Tiles(S.Rows, q => ResidualBlock.StreamedBytes<S>(trial.Channels, trial.Bands, q, size));
        return trial.Of(new KernelLaunch(new(Blocks(tiles, 2), 1, 1), new(ResidualBlock.StreamedThreads, 1, 1), ResidualBlock.StreamedBytes<S>(trial.Channels, trial.Bands, neighbours, size), trial.X, trial.Mel,
            trial.Packed(P.Depth), trial.Bias, trial.Edges, trial.OutputBias, trial.Y, trial.Skips, trial.H, parts, tiles, trial.Rows, trial.Before, trial.After, trial.Dilation, neighbours, trial.Layer, trial.Layers));
    }
}
