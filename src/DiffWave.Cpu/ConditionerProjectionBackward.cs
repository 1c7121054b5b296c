using System.Runtime.CompilerServices;
using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>
/// Backward of a layer's conditioner projection: dV += d conditioner^T upsampled, d upsampled += V^T d conditioner.
/// FLOPs a row: 2 * 2 * 2C * M. Bytes a row: 4 (2C gradient in, M upsampled, 2 M its gradient in and out).
/// </summary>
internal static unsafe class ConditionerProjectionBackward<S, V> where S : struct, ISimd<V> where V : struct
{
    private const int BlockRows = 128;

    /// <summary>Floats of scratch a thread needs.</summary>
    public static int ScratchFloats(int channels, int bands) => 2 * CpuBuffer.RoundUp(Math.Max(2 * channels, bands)) + CpuBuffer.ChannelGrain;

    public static void Run(Team team, TrainingMemory memory, BackwardLayer layer, CpuBuffer upsampled, CpuBuffer dConditioner, CpuBuffer dUpsampled)
    {
        int rows = upsampled.Rows, bands = upsampled.Channels, outputs = dConditioner.Channels, slices = SliceSums<S, V>.Slices(rows);
        int columns = SliceSums<S, V>.Columns(outputs), biasAt = SliceSums<S, V>.Inputs(bands) * columns, floats = biasAt + columns;
        for (int item = 0; item < upsampled.Batch; item++)
        {
            float* partial = memory.Partials.AtLeast((long)slices * floats);
            team.Run(slices, (slice, thread) =>
            {
                float* sum = partial + (long)slice * floats;
                new Span<float>(sum, floats).Clear();
                int end = Math.Min(rows, (slice + 1) * SliceSums<S, V>.SliceRows);
                for (int row = slice * SliceSums<S, V>.SliceRows; row < end; row += BlockRows)
                {
                    int count = Math.Min(BlockRows, end - row);
                    float* gradient = dConditioner.Row(item, row);
                    SliceSums<S, V>.AddRows(gradient, dConditioner.Stride, count, outputs, sum + biasAt);
                    SliceSums<S, V>.AddProducts(upsampled.Row(item, row), upsampled.Stride, bands, gradient, dConditioner.Stride, outputs, count, sum);
                    AddInputGradient(layer.Conditioner!, gradient, dConditioner.Stride, dUpsampled.Row(item, row), dUpsampled.Stride, count, memory.Scratch(thread, ScratchFloats(outputs / 2, bands)));
                }
            });
            team.Run(bands + 1, (band, thread) =>
            {
                float* total = memory.Scratch(thread, ScratchFloats(outputs / 2, bands));
                SliceSums<S, V>.Total(partial + (long)(band < bands ? band * columns : biasAt), floats, slices, columns, total);
                Span<float> target = band < bands ? layer.ConditionerWeight[band..] : layer.ConditionerBias;
                int stride = band < bands ? bands : 1;
                for (int o = 0; o < outputs; o++) target[o * stride] += total[o];
            });
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddInputGradient(PanelMatrix transposed, float* gradient, nint stride, float* dUpsampled, nint dStride, int count, float* scratch)
    {
        int columns = transposed.PanelColumns, width = CpuBuffer.RoundUp(Math.Max((int)stride, (int)dStride));
        float* zeros = scratch, nowhere = scratch + width;
        new Span<float>(zeros, width).Clear();
        float** targets = stackalloc float*[BlockRows + Gemm.Rows];
        for (int t = 0; t < BlockRows + Gemm.Rows; t++) targets[t] = t < count ? dUpsampled + t * dStride : nowhere;
        for (int panel = 0; panel < transposed.Panels; panel++)
            for (int t = 0; t < count; t += Gemm.Rows)
                Gemm.Panel<S, V, Gemm.AddScaled<S, V>>(gradient + t * stride, stride, transposed.Panel(panel), transposed.K, zeros, new Gemm.AddScaled<S, V>(targets + t, 1, targets + t, panel * columns));
    }
}
