using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

/// <summary>
/// When the fused blocks of whole signals are worth taking in windows. All at once, every layer brings x, skips and the mel from device memory and sends y and skips back; in windows they stay in L2, but
/// every window costs the start of a launch, and where weights are kept in shared memory they are brought again. What decides are rates of the device, of which two are assumed; measured nothing is yet.
/// </summary>
internal static class WindowRule
{
    private const double LaunchSeconds = 1.5e-6;      // from one launch of a graph to full speed of the next: assumed
    private const double L2BytesPerClock = 20;        // to a multiprocessor: assumed, of the order of public microbenchmarks
    private const double LeastGain = 1.1;             // below that the rates are not sure enough
    private const int TileRows = Kernels.ResidualBlock.ResidentRows;

    /// <summary>Rows of a window: whole waves of tiles whose x, y, skips and mel take at most half of L2. 0 where everything fits into L2 as it is, windows would gain less than a tenth, or rates are unknown.</summary>
    /// <param name="device">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="valueBytes">Bytes of a value of an activation.</param>
    /// <param name="batch">B, items side by side.</param>
    /// <param name="rows">Rows of an item.</param>
    public static int Rows(CudaDeviceInfo device, ModelConfig config, int valueBytes, int batch, int rows)
    {
        int bands = config.HasMel ? config.Bands : 0;
        double rowBytes = (3.0 * config.Channels + bands) * valueBytes, waveRows = (double)device.Multiprocessors * TileRows;
        if (rows * rowBytes * batch <= device.L2Bytes) return 0;
        double waves = Math.Floor(device.L2Bytes / 2.0 / (rowBytes * waveRows));
        if (waves < 1 || Gain(device, config, valueBytes, waves * waveRows) is not >= LeastGain) return 0;
        return (int)(waves * waveRows / batch) / TileRows * TileRows;
    }

    /// <summary>Predicted time of a layer all at once over that in windows of so many rows, of all items together; null where a rate is unknown.</summary>
    /// <param name="device">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="valueBytes">Bytes of a value of an activation.</param>
    /// <param name="rows">Rows of a window.</param>
    public static double? Gain(CudaDeviceInfo device, ModelConfig config, int valueBytes, double rows)
    {
        if (device.PeakMemoryBytesPerSecond is not { } memoryRate || TensorFlopsPerClock(device.Sm) is not { } flopsPerClock || device.ClockKilohertz == 0) return null;
        int c = config.Channels, bands = config.HasMel ? config.Bands : 0;
        double clocks = 1e3 * device.ClockKilohertz * device.Multiprocessors; // of all multiprocessors, a second
        double moved = rows * (4.0 * c + bands) * valueBytes, weights = (double)BlockWeights.Size(c, bands) * valueBytes;
        double tensor = rows * 4.0 * c * (4 * c + bands) / (clocks * flopsPerClock * 2 / valueBytes);
        double fromL2 = (moved + (IsResident(c) ? device.Multiprocessors : rows / TileRows) * weights) / (clocks * L2BytesPerClock);
        return Math.Max(tensor, moved / memoryRate) / (Math.Max(tensor, fromL2) + LaunchSeconds);
    }

    private static bool IsResident(int channels) => channels <= 64;

    // Matrix products of 16 bits with float32 sums, FLOP a clock and multiprocessor, from the white papers of A100, GA102, AD102 and H100, the last at the 63 % that mma.sync is said to reach.
    private static double? TensorFlopsPerClock(int sm) => sm switch
    {
        80 => 2048,
        86 or 89 => 512,
        90 => 0.63 * 4096,
        _ => null,
    };
}
