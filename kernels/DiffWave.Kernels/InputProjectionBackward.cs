// Backward of the input projection x[b, t, c] = relu(w[c] audio[b, t] + bias[c])
//
// With d = dx where x is not zero (a NaN is not), else 0: dw[c] = sum over b and t of d[b, t, c] audio[b, t], dbias[c] = sum over b and t of d[b, t, c],
// daudio[b, t] = sum over c of w[c] d[b, t, c].                     audio, daudio: B x T; x, dx: B x T x C; w, bias: C
//
// The sums over time are taken a slice of rows at a time, see SliceSum.cs: partial[slice, 2C] holds dw and then dbias of the slices, item after item.
//
// b1  weights: a block 32 channels of a slice, eight warps share its rows and meet in shared memory
// b2  weights from activations in 16 bits: eight channels a thread with 128-bit loads, four rows on their way at once, the threads of a slice meet in shared memory
// b1  audio: a warp a row, its lanes sum a stride of the channels, shuffles join them
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Backward of <c>x[b, t, c] = relu(w[c] audio[b, t] + bias[c])</c>: gradients of w and bias by partial sums of slices of rows, and of the audio.</summary>
public static partial class InputProjectionBackward
{
    private const int Warps = 8;

    /// <summary>The sums over each slice, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="audio">B x T.</param>
    /// <param name="x">B x T x C, result of forward.</param>
    /// <param name="dx">Its gradient.</param>
    /// <param name="partial">Receives B slices x 2C.</param>
    /// <param name="rows">T.</param>
    /// <param name="channels">C.</param>
    public static void ReferenceWeights<T>(ReadOnlySpan<float> audio, ReadOnlySpan<float> x, ReadOnlySpan<float> dx, Span<T> partial, int rows, int channels) where T : IFloatingPointIeee754<T>
    {
        partial.Clear();
        for (int index = 0; index < x.Length; index++)
        {
            if (x[index] <= 0) continue;
            int time = index / channels, slice = time / rows * SliceSum.Slices(rows) + time % rows / SliceSum.SliceRows, c = index % channels;
            partial[slice * 2 * channels + c] += T.CreateChecked(dx[index]) * T.CreateChecked(audio[time]);
            partial[slice * 2 * channels + channels + c] += T.CreateChecked(dx[index]);
        }
    }

    /// <summary>The gradient of the audio, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="weight">w, C.</param>
    /// <param name="x">B x T x C, result of forward.</param>
    /// <param name="dx">Its gradient.</param>
    /// <param name="dAudio">Receives B x T.</param>
    public static void ReferenceAudio<T>(ReadOnlySpan<float> weight, ReadOnlySpan<float> x, ReadOnlySpan<float> dx, Span<T> dAudio) where T : IFloatingPointIeee754<T>
    {
        dAudio.Clear();
        for (int index = 0; index < x.Length; index++)
            if (!(x[index] <= 0)) dAudio[index / weight.Length] += T.CreateChecked(weight[index % weight.Length]) * T.CreateChecked(dx[index]);
    }

    /// <summary>Version 1 of the gradients of w and bias. Blocks: x the slices of an item, y over the channels, 32 a block, z the items.</summary>
    /// <param name="audio">B x T x 1.</param>
    /// <param name="x">B x T x C, result of forward.</param>
    /// <param name="dx">Its gradient.</param>
    /// <param name="partial">Receives B slices x 2C: dw of a slice, then dbias.</param>
    /// <param name="rows">T.</param>
    [Kernel("input_projection_backward_weights_v1", BlockX = 32, BlockY = Warps)]
    public static void WeightsV1(Rows<float> audio, Rows<float> x, Rows<float> dx, ArrayView<float> partial, int rows)
    {
        ArrayView<float> weightSums = SharedMemory.Allocate<float>(Warps * 32), biasSums = SharedMemory.Allocate<float>(Warps * 32);
        int item = Grid.IdxZ, c = Grid.IdxY * 32 + Group.IdxX, channels = x.Channels, first = Grid.IdxX * SliceSum.SliceRows, end = XMath.Min(rows, first + SliceSum.SliceRows);
        float weightSum = 0, biasSum = 0;
        for (int row = first + Group.IdxY; row < end && c < channels; row += Warps)
        {
            float gradient = dx.Row(item, row)[c], d = x.Row(item, row)[c] <= 0 ? 0 : gradient; // a NaN does not get lost; both are read, so that neither waits for the other
            weightSum += d * audio.Row(item, row)[0];
            biasSum += d;
        }
        weightSums[Group.LinearIndex] = weightSum;
        biasSums[Group.LinearIndex] = biasSum;
        Group.Barrier();
        if (Group.IdxY != 0 || c >= channels) return;
        for (int warp = 1; warp < Warps; warp++)
        {
            weightSum += weightSums[warp * 32 + Group.IdxX];
            biasSum += biasSums[warp * 32 + Group.IdxX];
        }
        ArrayView<float> sums = partial.SubView(((long)item * Grid.DimX + Grid.IdxX) * 2 * channels, 2 * channels);
        sums[c] = weightSum;
        sums[channels + c] = biasSum;
    }

    /// <summary>Version 1 of the gradient of the audio. Blocks: x over the rows, 8 a block, z the items.</summary>
    /// <param name="weight">w, C.</param>
    /// <param name="x">B x T x C, result of forward.</param>
    /// <param name="dx">Its gradient.</param>
    /// <param name="dAudio">Receives B x T x 1.</param>
    /// <param name="rows">T.</param>
    [Kernel("input_projection_backward_audio_v1", BlockX = Warps * 32)]
    public static void AudioV1(ArrayView<float> weight, Rows<float> x, Rows<float> dx, Rows<float> dAudio, int rows)
    {
        int item = Grid.IdxZ, row = Grid.IdxX * Warps + Warp.WarpIdx;
        if (row >= rows) return;
        ArrayView<float> values = x.Row(item, row), gradients = dx.Row(item, row);
        float sum = 0;
        for (int c = Warp.LaneIdx; c < x.Channels; c += Warp.WarpSize)
            if (!(values[c] <= 0)) sum += weight[c] * gradients[c];
        for (int distance = Warp.WarpSize / 2; distance > 0; distance /= 2) sum += Warp.ShuffleDown(sum, distance);
        if (Warp.IsFirstLane) dAudio.Row(item, row)[0] = sum;
    }

    /// <summary>Reads x, its gradient and the audio, and writes the partial sums.</summary>
    /// <param name="batch">B.</param>
    /// <param name="rows">T.</param>
    /// <param name="channels">C.</param>
    /// <param name="elementBytes">Bytes of a value of x and its gradient: 2 or 4.</param>
    public static Cost WeightsCost(long batch, int rows, int channels, int elementBytes) =>
        new(3 * batch * rows * channels, batch * ((2L * elementBytes * channels + sizeof(float)) * rows + sizeof(float) * 2L * channels * SliceSum.Slices(rows)));

    /// <summary>Reads x, its gradient and w, and writes the gradient of the audio.</summary>
    /// <param name="batch">B.</param>
    /// <param name="rows">T.</param>
    /// <param name="channels">C.</param>
    public static Cost AudioCost(long batch, int rows, int channels) => new(2 * batch * rows * channels, sizeof(float) * (batch * ((2L * channels + 1) * rows) + channels));
}
