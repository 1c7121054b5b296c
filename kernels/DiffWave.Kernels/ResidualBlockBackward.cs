// Data gradients of a residual block, a whole layer in one launch
//
//   dz[t] = O_residual^T dy[t] / sqrt(2) + O_skip^T dskip[t]                                              O: 2C x C; dy, dskip: rows x C
//   z[t] = tanh(f) sigmoid(g);  df = dz sigmoid(g) (1 - tanh(f)^2);  dg = dz z (1 - sigmoid(g))            (f, g) = h[t], kept by forward, rows x 2C; (df, dg) = dh[t]
//   dx[t] = dy[t] / sqrt(2) + sum over k = 0..2 of W_k^T dh[t - (k - 1) d]                                W: 2C x C x 3; dh is zero outside the signal
//   p[n] = sum of dx[t] - dy[t] / sqrt(2), or of dx[t], over the rows t of tile n                          the step's gradient, of dx where the residual includes the step
//
// The last layer has no y. dh and z are written for the weights' gradients (WeightGradient.cs), p for SliceSum. Operands of the products, dy, dskip, O, dh and W, are rounded to the precision of the launch,
// sums are float32; dy, dskip, h, dh, z and dx are stored in 16 bits from version 2 on.
//
// b1  float32 without rounded operands, a block a row: dh of the rows its taps read into shared memory, then the taps; the row is its tile
// b2  fp16 or bf16 on tensor cores: weights stay in shared memory, tiles run along the dilation, so that dh of a tile and its halo goes through shared memory once for all three taps
// b3  fp16 or bf16 on tensor cores: weights stream through a ring in shared memory, where dy, dskip and h of a tile wait to be multiplied
using System.Numerics;

namespace DiffWave.Kernels;

/// <summary>Data gradients of a residual block: <c>dz = O^T [dy / sqrt(2); dskip]; dh = dz (tanh sigmoid)'(h); dx[t] = dy[t] / sqrt(2) + sum over k of W_k^T dh[t - (k - 1) d]</c>.</summary>
public static partial class ResidualBlockBackward
{
    private const int Taps = 3, ThreadsV1 = 128;
    private const float RootHalf = 0.70710678f;

    /// <summary>What <see cref="Reference{T}"/> computes, of one item.</summary>
    /// <param name="DZ">rows x C.</param>
    /// <param name="Z">rows x C.</param>
    /// <param name="DH">rows x 2C, the halves in the order of h.</param>
    /// <param name="DX">rows x C.</param>
    /// <param name="Step">rows x C: what each row adds to the step's gradient.</param>
    public sealed record Gradients<T>(T[] DZ, T[] Z, T[] DH, T[] DX, T[] Step);

    /// <summary>The formula for one item, in the precision of <typeparamref name="T"/>.</summary>
    /// <param name="dY">rows x C; empty for the last layer.</param>
    /// <param name="dSkips">rows x C.</param>
    /// <param name="h">rows x 2C.</param>
    /// <param name="dilated">W, 2C x C x 3.</param>
    /// <param name="output">O, 2C x C, the residual's half times sqrt(1/2).</param>
    /// <param name="channels">C.</param>
    /// <param name="dilation">d.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    /// <param name="stepInResidual">Whether the residual includes the step.</param>
    public static Gradients<T> Reference<T>(ReadOnlySpan<float> dY, ReadOnlySpan<float> dSkips, ReadOnlySpan<float> h, ReadOnlySpan<float> dilated, ReadOnlySpan<float> output,
        int channels, int dilation, bool gateFirst, bool stepInResidual) where T : IFloatingPointIeee754<T>
    {
        int values = dSkips.Length, rows = values / channels;
        var result = new Gradients<T>(new T[values], new T[values], new T[2 * values], new T[values], new T[values]);
        T rootHalf = T.Sqrt(T.CreateChecked(0.5));
        for (int index = 0; index < values; index++)
        {
            int row = index / channels, c = index % channels, filter = 2 * row * channels + c + (gateFirst ? channels : 0), gate = 2 * row * channels + c + (gateFirst ? 0 : channels);
            T dZ = T.Zero, t = T.Tanh(T.CreateChecked(h[filter])), s = T.One / (T.One + T.Exp(T.CreateChecked(-h[gate])));
            for (int o = 0; o < channels; o++)
            {
                if (!dY.IsEmpty) dZ += T.CreateChecked(output[o * channels + c]) * T.CreateChecked(dY[row * channels + o]);
                dZ += T.CreateChecked(output[(channels + o) * channels + c]) * T.CreateChecked(dSkips[row * channels + o]);
            }
            result.DZ[index] = dZ;
            result.Z[index] = t * s;
            result.DH[filter] = dZ * s * (T.One - t * t);
            result.DH[gate] = dZ * t * s * (T.One - s);
        }
        for (int index = 0; index < values; index++)
        {
            int row = index / channels, i = index % channels;
            T sum = T.Zero, residual = dY.IsEmpty ? T.Zero : rootHalf * T.CreateChecked(dY[index]);
            for (int k = 0; k < Taps; k++)
            {
                int from = row - (k - 1) * dilation;
                if (from < 0 || from >= rows) continue;
                for (int o = 0; o < 2 * channels; o++) sum += T.CreateChecked(dilated[(o * channels + i) * Taps + k]) * result.DH[from * 2 * channels + o];
            }
            result.DX[index] = residual + sum;
            result.Step[index] = stepInResidual ? residual + sum : sum;
        }
        return result;
    }

    /// <summary>Version 1. Blocks of 128 threads: rows along x, items along z; dynamic shared memory: 6 C floats. Nothing that is written may be what is read.</summary>
    /// <param name="dilated">W, 2C x C x 3.</param>
    /// <param name="output">O, 2C x C.</param>
    /// <param name="dY">Gradient of y, C channels; not read without <paramref name="hasY"/>.</param>
    /// <param name="dSkips">Gradient of the skips, C channels.</param>
    /// <param name="h">What forward kept, 2C channels.</param>
    /// <param name="dH">Receives the gradient of h, 2C channels.</param>
    /// <param name="z">Receives the gated activation, C channels.</param>
    /// <param name="dX">Receives the gradient of x, C channels.</param>
    /// <param name="stepPartial">Receives B x rows x C: what each row adds to the step's gradient.</param>
    /// <param name="rows">T.</param>
    /// <param name="dilation">d.</param>
    /// <param name="hasY">Whether the layer has y: all but the last.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    /// <param name="stepInResidual">Whether the residual includes the step.</param>
    [Kernel("residual_block_backward_v1", BlockX = ThreadsV1)]
    public static void BackwardV1(ArrayView<float> dilated, ArrayView<float> output, Rows<float> dY, Rows<float> dSkips, Rows<float> h, Rows<float> dH, Rows<float> z, Rows<float> dX,
        ArrayView<float> stepPartial, int rows, int dilation, [Const] bool hasY, [Const] bool gateFirst, [Const] bool stepInResidual)
    {
        ArrayView<float> gradients = SharedMemory.GetDynamic<float>(); // 3 x 2C: dh of the row each tap reads
        int row = Grid.IdxX, item = Grid.IdxZ, channels = dSkips.Channels;
        for (int index = Group.IdxX; index < Taps * channels; index += ThreadsV1)
        {
            int k = index / channels, c = index % channels, from = row - (k - 1) * dilation, filter = gateFirst ? channels + c : c, gate = gateFirst ? c : channels + c;
            gradients[k * 2 * channels + filter] = 0;
            gradients[k * 2 * channels + gate] = 0;
            if (from < 0 || from >= rows) continue;
            float dZ = 0;
            if (hasY)
            {
                ArrayView<float> residual = dY.Row(item, from);
                for (int o = 0; o < channels; o++) dZ += output[o * channels + c] * residual[o];
                dZ *= RootHalf;
            }
            ArrayView<float> skip = dSkips.Row(item, from), kept = h.Row(item, from);
            for (int o = 0; o < channels; o++) dZ += output[(channels + o) * channels + c] * skip[o];
            float t = XMath.Tanh(kept[filter]), s = 1 / (1 + XMath.Exp(-kept[gate])), dFilter = dZ * s * (1 - t * t), dGate = dZ * t * s * (1 - s);
            gradients[k * 2 * channels + filter] = dFilter;
            gradients[k * 2 * channels + gate] = dGate;
            if (k != 1) continue;
            dH.Row(item, row)[filter] = dFilter;
            dH.Row(item, row)[gate] = dGate;
            z.Row(item, row)[c] = t * s;
        }
        Group.Barrier();
        for (int i = Group.IdxX; i < channels; i += ThreadsV1)
        {
            float sum = 0;
            for (int k = 0; k < Taps; k++)
                for (int o = 0; o < 2 * channels; o++) sum += dilated[(o * channels + i) * Taps + k] * gradients[k * 2 * channels + o];
            float total = hasY ? RootHalf * dY.Row(item, row)[i] + sum : sum;
            dX.Row(item, row)[i] = total;
            stepPartial[((long)item * rows + row) * channels + i] = stepInResidual ? total : sum;
        }
    }

    /// <summary>
    /// FLOPs: the products of the output projection and of the taps inside the signal, the two activations and nine other operations a gated channel, the residual's product and sum. Bytes: dy, dskip and h
    /// are read, dh, z and dx written, each once; the weights read and the sums of the tiles written.
    /// </summary>
    /// <param name="batch">B.</param>
    /// <param name="rows">Rows of an item.</param>
    /// <param name="channels">C.</param>
    /// <param name="dilation">d.</param>
    /// <param name="tiles">Tiles of an item.</param>
    /// <param name="hasY">Whether the layer has y.</param>
    /// <param name="elementBytes">Bytes of a stored value: 2 or 4.</param>
    public static Cost BackwardCost(long batch, int rows, long channels, int dilation, int tiles, bool hasY, int elementBytes)
    {
        long taps = rows + 2L * Math.Max(0, rows - dilation), halves = hasY ? 2 : 1; // taps of all rows
        return new(batch * channels * (2 * rows * halves * channels + 4 * taps * channels + rows * (11 + 2 * (halves - 1))),
            elementBytes * (batch * rows * channels * (halves + 6) + (halves + 6) * channels * channels) + sizeof(float) * batch * tiles * channels);
    }
}
