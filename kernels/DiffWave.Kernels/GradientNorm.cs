// The L2 norm of all gradients, and what they are multiplied by before the optimiser takes them
//
//   norm = sqrt(g[0]^2 + .. + g[n - 1]^2) / lossScale              g: n gradients, lossScale times the true ones; squares and sums in float64
//   scale = clip / lossScale                                       clip = clipNorm / norm where the norm exceeds clipNorm, else 1
//
// One launch: a block leaves the sum of squares of each slice of 4096 gradients, and the one that finishes last adds the slices, takes the root, looks at every loss and decides the scale. The
// order of every sum depends on n alone. The decision stays on the device, so that a training step waits for nothing: a scale of NaN tells Adam to leave everything as it is.
// Limits are read from device memory, so that a recorded launch takes those of its step when it is replayed.
//
// v1  a block a slice, one gradient a thread at a time, a tree in shared memory
// v2  four gradients a thread by 128-bit loads, sums by shuffles
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>What decides whether and how gradients are taken.</summary>
/// <param name="clipNorm">Largest norm left alone; 0: none is clipped.</param>
/// <param name="largestNorm">Largest norm after clipping.</param>
/// <param name="lossScale">What the gradients were multiplied by, a power of two.</param>
public readonly struct UpdateLimits(double clipNorm, double largestNorm, double lossScale)
{
    /// <summary>Largest norm left alone; 0: none is clipped.</summary>
    public readonly double ClipNorm = clipNorm;

    /// <summary>Largest norm after clipping.</summary>
    public readonly double LargestNorm = largestNorm;

    /// <summary>What the gradients were multiplied by, a power of two.</summary>
    public readonly double LossScale = lossScale;
}

/// <summary>L2 norm of all gradients in float64, and the factor that clips it.</summary>
public static partial class GradientNorm
{
    /// <summary>Gradients whose squares one block adds.</summary>
    public const int SliceValues = 4096;

    /// <summary>Slices the gradients are cut into.</summary>
    /// <param name="n">Gradients.</param>
    public static int Slices(long n) => (int)((n + SliceValues - 1) / SliceValues);

    /// <summary>The sum of squares, first to last, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="gradients">n numbers.</param>
    public static T Reference<T>(ReadOnlySpan<float> gradients) where T : IFloatingPointIeee754<T>
    {
        T sum = T.Zero;
        foreach (float value in gradients) sum += T.CreateChecked(value) * T.CreateChecked(value);
        return sum;
    }

    /// <summary>The scale: NaN where a norm, a loss or the clipped norm forbids an update.</summary>
    /// <param name="norm">L2 norm of all true gradients.</param>
    /// <param name="losses">Sums of losses.</param>
    /// <param name="limits">Those of the step.</param>
    public static float ReferenceScale(double norm, ReadOnlySpan<double> losses, UpdateLimits limits)
    {
        foreach (double loss in losses)
            if (!double.IsFinite(loss)) return float.NaN;
        double clip = limits.ClipNorm > 0 && norm > limits.ClipNorm ? limits.ClipNorm / norm : 1;
        return double.IsFinite(norm) && norm * clip <= limits.LargestNorm ? (float)(clip / limits.LossScale) : float.NaN;
    }

    /// <summary>Version 1. Grid: x over the <see cref="Slices"/>.</summary>
    /// <param name="gradients">n numbers, at most 2^30.</param>
    /// <param name="losses">The sums of losses of the step, all of them; may be empty.</param>
    /// <param name="limits">Those of the step, one element.</param>
    /// <param name="partial">Receives a sum of squares a slice.</param>
    /// <param name="finished">0 in its first element, before and after.</param>
    /// <param name="norm">Receives the norm of the true gradients in its first element.</param>
    /// <param name="scale">Receives the factor of every gradient in its first element, or NaN when a loss or the norm is not finite or the clipped norm exceeds the largest.</param>
    [Kernel("gradient_norm_v1", BlockX = GroupSum.Threads)]
    public static void NormV1(ArrayView<float> gradients, ArrayView<double> losses, ArrayView<UpdateLimits> limits, ArrayView<double> partial, ArrayView<int> finished, ArrayView<double> norm,
        ArrayView<float> scale)
    {
        int end = XMath.Min(gradients.IntLength, (Grid.IdxX + 1) * SliceValues);
        double sum = 0;
        for (int i = Grid.IdxX * SliceValues + Group.IdxX; i < end; i += GroupSum.Threads) sum += (double)gradients[i] * gradients[i];
        sum = GroupSum.Tree(sum);
        if (Group.IdxX == 0) partial[Grid.IdxX] = sum;
        if (LastBlock.IsThis(finished)) Decide(losses, limits, partial, norm, scale);
    }

    private static void Decide(ArrayView<double> losses, ArrayView<UpdateLimits> limits, ArrayView<double> partial, ArrayView<double> norm, ArrayView<float> scale)
    {
        double sum = 0;
        for (int i = Group.IdxX; i < partial.IntLength; i += GroupSum.Threads) sum += partial[i];
        sum = GroupSum.Tree(sum);
        bool finite = true;
        for (int i = Group.IdxX; i < losses.IntLength; i += GroupSum.Threads) finite = finite && XMath.IsFinite(losses[i]);
        finite = Group.BarrierAnd(finite);
        if (Group.IdxX != 0) return;
        UpdateLimits limit = limits[0];
        double length = XMath.Sqrt(sum) / limit.LossScale, clip = limit.ClipNorm > 0 && length > limit.ClipNorm ? limit.ClipNorm / length : 1;
        norm[0] = length;
        scale[0] = finite && XMath.IsFinite(length) && length * clip <= limit.LargestNorm ? (float)(clip / limit.LossScale) : float.NaN;
    }

    /// <summary>Gradients are read, a product and a sum each; sums of slices are written and read, losses are read, norm and scale are written.</summary>
    /// <param name="n">Gradients.</param>
    /// <param name="losses">Number of losses.</param>
    public static Cost NormCost(long n, long losses) => new(2 * n + Slices(n), sizeof(float) * (n + 1) + sizeof(double) * (2 * Slices(n) + losses + 1));
}
