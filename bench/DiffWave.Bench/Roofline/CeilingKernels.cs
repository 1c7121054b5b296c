// The ceilings of a GPU, each by a kernel that does nothing else
//
// ceiling_copy    y[i] = x[i], 16 bytes a thread and turn: what device memory carries, read and written
// ceiling_fma     s <- a s + b over and over in registers, eight chains a thread: what the float32 units do
// ceiling_tensor  S <- A B + S over and over in registers, eight accumulators a warp: what mma.sync does with fp16 operands and float32 sums
//
// Chains start with different values, or the device's compiler would see that they are one.
using DiffWave.Device;

namespace DiffWave.Bench;

/// <summary>Kernels that reach a roof of a GPU: memory, float32 multiply-adds, matrix products on tensor cores.</summary>
internal static class CeilingKernels
{
    /// <summary>Threads of a block, of each of them.</summary>
    public const int Threads = 256;

    /// <summary>Chains of a thread, or accumulators of a warp: enough to hide the latency of an instruction.</summary>
    public const int Chains = 8;

    /// <summary>Steps of every chain between two looks at the loop's counter.</summary>
    public const int Unrolled = 16;

    /// <summary>Sizes of mma.m16n8k16.</summary>
    public const int M = 16, N = 8, K = 16;

    /// <summary>Copies.</summary>
    /// <param name="x">A multiple of four floats, fewer than 2^33; the address a multiple of 16.</param>
    /// <param name="y">Receives as many; the address a multiple of 16.</param>
    [Kernel("ceiling_copy", BlockX = Threads)]
    public static void Copy(ArrayView<float> x, ArrayView<float> y)
    {
        ArrayView<Float4> source = x.AsAligned16().Cast<Float4>(), target = y.AsAligned16().Cast<Float4>();
        for (int i = Grid.GlobalIndex.X; i < target.IntLength; i += Grid.DimX * Group.DimX) target[i] = source[i];
    }

    /// <summary>Runs chains of multiply-adds.</summary>
    /// <param name="starts">What the chains of every thread start with.</param>
    /// <param name="y">Receives the sum of its chains for every thread.</param>
    /// <param name="a">Factor.</param>
    /// <param name="b">Summand.</param>
    /// <param name="rounds">Steps of a chain in units of <see cref="Unrolled"/>.</param>
    [Kernel("ceiling_fma", BlockX = Threads)]
    public static void Fma(ArrayView<float> starts, ArrayView<float> y, float a, float b, int rounds)
    {
        ArrayView<float> chains = LocalMemory.Allocate<float>(Chains);
        for (int chain = 0; chain < Chains; chain++) chains[chain] = starts[chain];
        for (int round = 0; round < rounds; round++)
            for (int step = 0; step < Unrolled; step++)
                for (int chain = 0; chain < Chains; chain++) chains[chain] = MathF.FusedMultiplyAdd(a, chains[chain], b);
        float sum = chains[0];
        for (int chain = 1; chain < Chains; chain++) sum += chains[chain];
        y[Grid.GlobalIndex.X] = sum;
    }

    /// <summary>Runs chains of matrix products.</summary>
    /// <param name="a">The left factor, 16 x 16 halves, as the lanes of a warp hold it: 4 registers each.</param>
    /// <param name="b">The right factor, 16 x 8 halves: 2 registers each.</param>
    /// <param name="starts">What all elements of an accumulator start with.</param>
    /// <param name="y">Receives the sum of its accumulators for every warp, 4 floats a lane; the address a multiple of 16.</param>
    /// <param name="rounds">Steps of a chain in units of <see cref="Unrolled"/>.</param>
    [Kernel("ceiling_tensor", BlockX = Threads, MinimumSm = 80)]
    public static void Tensor(ArrayView<uint> a, ArrayView<uint> b, ArrayView<float> starts, ArrayView<float> y, int rounds)
    {
        int lane = Group.IdxX % 32;
        var left = new UInt4(a[4 * lane], a[4 * lane + 1], a[4 * lane + 2], a[4 * lane + 3]);
        var right = new UInt2(b[2 * lane], b[2 * lane + 1]);
        ArrayView<Float4> chains = LocalMemory.Allocate<Float4>(Chains);
        for (int chain = 0; chain < Chains; chain++)
        {
            float start = starts[chain];
            chains[chain] = new Float4(start, start, start, start);
        }
        for (int round = 0; round < rounds; round++)
            for (int step = 0; step < Unrolled; step++)
                for (int chain = 0; chain < Chains; chain++) chains[chain] = Ptx.MmaM16N8K16F16(left, right, chains[chain]);
        Float4 sum = chains[0];
        for (int chain = 1; chain < Chains; chain++)
        {
            Float4 more = chains[chain];
            sum = new Float4(sum.X + more.X, sum.Y + more.Y, sum.Z + more.Z, sum.W + more.W);
        }
        y.AsAligned16().Cast<Float4>()[Grid.GlobalIndex.X] = sum;
    }
}
