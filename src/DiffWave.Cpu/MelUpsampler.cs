using System.Runtime.CompilerServices;
using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>One transposed convolution over (bands, time): kernel 3 x K, stride 1 x f, padding 1 x f/2.</summary>
internal sealed record UpsamplerStage(int Factor, float[] Weight /* [3, K] */, float Bias)
{
    public int Kernel { get; } = Parameters.UpsamplerKernel(Factor);
    public int Padding => Factor / 2;

    /// <summary>Input rows that outputs [first, end) read, within [0, inputs).</summary>
    public (long First, long End) InputsOf(long first, long end, long inputs)
    {
        long low = Math.Max(0, first + Padding - Kernel + Factor) / Factor; // ceil((first + p - K + 1) / f)
        return (Math.Min(low, inputs), Math.Min(inputs, (end - 1 + Padding) / Factor + 1));
    }
}

/// <summary>The chain of upsampler stages for a block of output rows. Rows of bands have a guard on both sides, so that the three-band kernel needs no edges.</summary>
internal static unsafe class MelUpsampler<S, V> where S : struct, ISimd<V> where V : struct
{
    /// <summary>Output rows computed at a time.</summary>
    public const int BlockRows = 256;
    private const int Guard = 16;

    private static int Pitch(int bands) => CpuBuffer.RoundUp(bands) + 2 * Guard;

    /// <summary>Floats of scratch a thread needs: two planes of rows.</summary>
    public static int ScratchFloats(int bands, IReadOnlyList<UpsamplerStage> stages)
    {
        // No stage reads more rows than it gives, but for a few at the ends.
        return stages.Count == 0 ? 0 : 2 * (BlockRows + 8) * Pitch(bands);
    }

    /// <summary>Computes output rows [first, end) into target rows, <paramref name="targetStride"/> floats apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(UpsamplerStage[] stages, int bands, float* mel, int melStride, int firstFrame, int frames, long first, long end, float* target, nint targetStride, float* scratch)
    {
        // Which rows each stage must produce, from the last stage back to the mel itself.
        Span<long> from = stackalloc long[stages.Length + 1], to = stackalloc long[stages.Length + 1], length = stackalloc long[stages.Length + 1];
        length[0] = frames;
        for (int s = 0; s < stages.Length; s++) length[s + 1] = length[s] * stages[s].Factor;
        (from[stages.Length], to[stages.Length]) = (first, end);
        for (int s = stages.Length - 1; s >= 0; s--) (from[s], to[s]) = stages[s].InputsOf(from[s + 1], to[s + 1], length[s]);

        int pitch = Pitch(bands);
        float* input = scratch, output = scratch + (ScratchFloats(bands, stages) / 2);
        for (long frame = from[0]; frame < to[0]; frame++)
        {
            float* row = input + (frame - from[0]) * pitch;
            new Span<float>(row, pitch).Clear();
            new Span<float>(mel + (frame - firstFrame) * melStride, bands).CopyTo(new Span<float>(row + Guard, bands));
        }
        for (int s = 0; s < stages.Length; s++)
        {
            bool last = s == stages.Length - 1;
            for (long t = from[s + 1]; t < to[s + 1]; t++)
            {
                float* row = last ? target + (nint)(t - first) * targetStride : output + (t - from[s + 1]) * pitch + Guard;
                if (!last) new Span<float>(row - Guard, pitch).Clear();
                Row(stages[s], input + Guard, pitch, from[s], to[s], t, bands, row);
            }
            float* done = output;
            output = input;
            input = done;
        }
    }

    // row[m] = lrelu(bias + sum over inputs i and taps k of w[k, t + p - i f] in[i, m + 1 - k])
    private static void Row(UpsamplerStage stage, float* input, int pitch, long firstInput, long endInput, long t, int bands, float* row)
    {
        long shifted = t + stage.Padding;
        long low = Math.Max(firstInput, Math.Max(0, shifted - stage.Kernel + stage.Factor) / stage.Factor), high = Math.Min(endInput - 1, shifted / stage.Factor);
        V slope = S.Broadcast(ModelConfig.UpsamplerSlope - 1f);
        for (int m = 0; m < bands; m += S.Width)
        {
            V sum = S.Broadcast(stage.Bias);
            for (long i = low; i <= high; i++)
            {
                float* from = input + (i - firstInput) * pitch + m;
                int tap = (int)(shifted - i * stage.Factor);
                sum = S.Fma(S.Broadcast(stage.Weight[tap]), S.Load(from + 1), sum);
                sum = S.Fma(S.Broadcast(stage.Weight[stage.Kernel + tap]), S.Load(from), sum);
                sum = S.Fma(S.Broadcast(stage.Weight[2 * stage.Kernel + tap]), S.Load(from - 1), sum);
            }
            S.Store(row + m, S.Fma(slope, S.AtMost(S.Zero, sum), sum)); // leaky ReLU: x + (slope - 1) min(0, x)
        }
        for (int m = bands; m < bands + S.Width && m % S.Width != 0; m++) row[m] = 0; // lanes past the last band feed the next stage's edge
    }
}
