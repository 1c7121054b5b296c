using System.Runtime.CompilerServices;

namespace DiffWave.Cpu;

/// <summary>
/// Backward of the head, eps = w relu(h) + b with h = S (skips / sqrt(L)) + s: the hidden layer again, then dh = [h > 0] w dEps, dSkips = S' dh / sqrt(L) and the gradients
/// dS = dh skips' / sqrt(L), ds = dh, dw = dEps relu(h), db = dEps, summed over rows.
/// FLOPs a row: 3 * 2 * C * C.
/// </summary>
internal static unsafe class HeadBackward<S, V> where S : struct, ISimd<V> where V : struct
{
    private const int BlockRows = 128;

    /// <summary>Floats of scratch a thread needs.</summary>
    public static long ScratchFloats(int channels)
    {
        long padded = CpuBuffer.RoundUp(channels);
        return (BlockRows + padded + 3) * padded + Gemm.Rows * 2 * S.Width;
    }

    /// <summary>
    /// A slice of rows, at whose first row the pointers stand. Writes dSkips, and to <paramref name="partial"/> the gradients of S [C, C], s [C], w [C] and b.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Slice(PackedWeights weights, TrainingMemory training, float* skips, nint skipStride, float* dEps, nint dEpsStride, float* dSkips, nint dSkipStride, int rows, float* partial, float* scratch)
    {
        PanelMatrix skip = weights.Skip, transposed = training.SkipTransposed;
        int channels = weights.Config.Channels, padded = CpuBuffer.RoundUp(channels), columns = skip.PanelColumns;
        // Scratch: hidden rows and then their gradient [128, C], gradient of S [C, C], vectors over channels, and eight rows of a panel.
        float* h = scratch, dSkip = h + BlockRows * padded, w = dSkip + padded * padded, dOutput = w + padded, dBias = dOutput + padded, t = dBias + padded;
        new Span<float>(dSkip, (padded + 3) * padded).Clear();
        training.Weights["output_projection.weight"].CopyTo(new Span<float>(w, channels));
        float dOutputBias = 0;

        for (int block = 0; block < rows; block += BlockRows)
        {
            int count = Math.Min(BlockRows, rows - block);
            float* s = skips + block * skipStride, e = dEps + block * dEpsStride, d = dSkips + block * dSkipStride;
            for (int panel = 0; panel < skip.Panels; panel++)
                for (int row = 0; row < count; row += Gemm.Rows)
                    Gemm.Panel<S, V>(s + row * skipStride, skipStride, skip.Panel(panel), channels, skip.Bias + panel * columns, h + row * padded + panel * columns, padded);
            for (int row = 0; row < count; row++)
            {
                float error = e[row * dEpsStride];
                dOutputBias += error;
                V factor = S.Broadcast(error);
                float* hidden = h + row * padded;
                for (int c = 0; c < channels; c += S.Width)
                {
                    V value = S.Load(hidden + c), dHidden = S.WherePositive(value, S.Mul(factor, S.Load(w + c)), S.Zero);
                    S.Store(dOutput + c, S.Fma(factor, S.AtLeast(S.Zero, value), S.Load(dOutput + c)));
                    S.Store(dBias + c, S.Add(dHidden, S.Load(dBias + c)));
                    S.Store(hidden + c, dHidden);
                }
            }
            for (int o = 0; o < channels; o += Gemm.Rows)
                for (int i = 0; i < channels; i += columns) Gemm.Outer<S, V>(h + o, padded, s + i, skipStride, count, dSkip + o * padded + i, padded);
            for (int panel = 0; panel < transposed.Panels; panel++)
                for (int row = 0; row < count; row += Gemm.Rows)
                {
                    bool whole = row + Gemm.Rows <= count; // the rows behind the last belong to somebody else
                    float* target = d + row * dSkipStride + panel * columns;
                    Gemm.Panel<S, V>(h + row * padded, padded, transposed.Panel(panel), channels, transposed.Bias + panel * columns, whole ? target : t, whole ? dSkipStride : columns);
                    for (int i = 0; !whole && row + i < count; i++) Buffer.MemoryCopy(t + i * columns, target + i * dSkipStride, columns * sizeof(float), columns * sizeof(float));
                }
        }

        float scale = 1f / MathF.Sqrt(weights.Config.Layers);
        for (int o = 0; o < channels; o++)
            for (int i = 0; i < channels; i++) *partial++ = scale * dSkip[o * padded + i];
        new Span<float>(dBias, channels).CopyTo(new Span<float>(partial, channels));
        new Span<float>(dOutput, channels).CopyTo(new Span<float>(partial + channels, channels));
        partial[2 * channels] = dOutputBias;
    }
}
