using System.Runtime.CompilerServices;
using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>
/// Backward of one upsampler stage. With g = dOutput (times 0.4 where the output is not positive): dInput[t, m] = sum of w[j, k] g[t f + k - f/2, m + j - 1],
/// dw[j, k] = sum of in[t, m] g[t f + k - f/2, m + j - 1]. FLOPs an output value: 2 * 2 * 3 * K / f.
/// </summary>
/// <remarks>Sums over bands run in 16 chains, band m in chain m mod 16, which are added at the end: the same whatever the vector width.</remarks>
internal static unsafe class MelUpsamplerBackward<S, V> where S : struct, ISimd<V> where V : struct
{
    private const int Chains = 16, Guard = 16;

    /// <summary>Input rows a slice takes: about 256 output rows.</summary>
    public static int SliceRows(UpsamplerStage stage) => Math.Max(1, 256 / stage.Factor);

    private static int Bands16(int bands) => (bands + Chains - 1) / Chains * Chains;

    private static int Pitch(int bands) => Bands16(bands) + 2 * Guard;

    /// <summary>Floats of scratch a thread needs.</summary>
    public static long ScratchFloats(UpsamplerStage stage, int bands) =>
        ((long)SliceRows(stage) * stage.Factor + stage.Kernel) * Pitch(bands) + (3L * stage.Kernel + 1) * Chains + Bands16(bands);

    /// <summary>Input rows [first, end) of an item. Writes those rows of <paramref name="dInput"/>, unless it is null, and to <paramref name="partial"/> the gradients of w [3, K] and of the bias.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Slice(UpsamplerStage stage, CpuBuffer input, CpuBuffer output, CpuBuffer dOutput, CpuBuffer? dInput, int item, int first, int end, float* partial, float* scratch)
    {
        int bands = input.Channels, bands16 = Bands16(bands), pitch = Pitch(bands), f = stage.Factor, kernel = stage.Kernel;
        int low = Math.Max(0, first * f - stage.Padding), high = Math.Min(output.Rows, (end - 1) * f + kernel - stage.Padding);
        // Scratch: g with zeros around its bands, so that the three-band kernel needs no edges; chains of dw and of the bias; a row of the input with zeros behind its bands.
        float* g = scratch, chains = g + (nint)(high - low) * pitch, biasChains = chains + 3 * kernel * Chains, row = biasChains + Chains;
        new Span<float>(chains, (3 * kernel + 1) * Chains + bands16).Clear();
        V slope = S.Broadcast(ModelConfig.UpsamplerSlope);
        for (int t = low; t < high; t++)
        {
            float* to = g + (nint)(t - low) * pitch + Guard, value = output.Row(item, t), gradient = dOutput.Row(item, t);
            new Span<float>(to - Guard, Guard).Clear();
            for (int m = 0; m < bands; m += S.Width)
            {
                V d = S.Load(gradient + m);
                S.Store(to + m, S.WherePositive(S.Load(value + m), d, S.Mul(d, slope)));
            }
            new Span<float>(to + bands, bands16 - bands + Guard).Clear();
            if (t < first * f || t >= end * f) continue; // a neighbouring slice's row
            for (int m = 0; m < bands16; m += S.Width) S.Store(biasChains + m % Chains, S.Add(S.Load(biasChains + m % Chains), S.Load(to + m)));
        }

        for (int t = first; t < end; t++)
        {
            new Span<float>(input.Row(item, t), bands).CopyTo(new Span<float>(row, bands));
            float* sum = dInput is null ? null : dInput.Row(item, t);
            if (sum != null) new Span<float>(sum, bands16).Clear();
            int at = t * f - stage.Padding;
            for (int k = Math.Max(0, low - at), stop = Math.Min(kernel, high - at); k < stop; k++)
                Tap(stage.Weight, kernel, k, row, g + (nint)(at + k - low) * pitch + Guard, bands16, chains + k * Chains, sum);
        }
        for (int i = 0; i <= 3 * kernel; i++)
        {
            float total = 0;
            for (int chain = 0; chain < Chains; chain++) total += chains[i * Chains + chain];
            partial[i] = total;
        }
    }

    // One input row against one row of g, for the three taps across bands.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Tap(float[] weight, int kernel, int k, float* row, float* g, int bands16, float* chains, float* sum)
    {
        V w0 = S.Broadcast(weight[k]), w1 = S.Broadcast(weight[kernel + k]), w2 = S.Broadcast(weight[2 * kernel + k]);
        nint next = kernel * Chains;
        for (int lane = 0; lane < Chains; lane += S.Width)
        {
            float* chain = chains + lane;
            V d0 = S.Load(chain), d1 = S.Load(chain + next), d2 = S.Load(chain + 2 * next);
            for (int m = lane; m < bands16; m += Chains)
            {
                V x = S.Load(row + m), g0 = S.Load(g + m - 1), g1 = S.Load(g + m), g2 = S.Load(g + m + 1);
                d0 = S.Fma(x, g0, d0);
                d1 = S.Fma(x, g1, d1);
                d2 = S.Fma(x, g2, d2);
                if (sum != null) S.Store(sum + m, S.Fma(w2, g2, S.Fma(w1, g1, S.Fma(w0, g0, S.Load(sum + m)))));
            }
            S.Store(chain, d0);
            S.Store(chain + next, d1);
            S.Store(chain + 2 * next, d2);
        }
    }
}
