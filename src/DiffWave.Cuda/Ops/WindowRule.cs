using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

/// <summary>
/// When the fused blocks of whole signals are worth taking in windows. All at once, every layer brings x, skips and the mel from device memory and sends y and skips back; in windows they stay in L2, but
/// every window costs the start of a launch, tiles that do not come out even on the multiprocessors, and where weights are kept in shared memory their way there. What decides are rates of the device, of
/// which two are assumed; measured nothing is yet.
/// </summary>
internal static class WindowRule
{
    private const double LaunchSeconds = 1.5e-6, EarlyLaunchSeconds = 0.8e-6; // from one launch of a graph to full speed of the next, which may begin before it ends from sm_90 on: assumed
    private const double L2BytesPerClock = 20;   // to a multiprocessor: assumed, of the order of public microbenchmarks
    private const double LeastGain = 1.1;        // below that the rates are not sure enough
    private const int TileRows = Kernels.ResidualBlock.ResidentRows;

    /// <summary>Rows of a window: those that promise most of all whose x, y, skips and mel take at most half of L2. 0 where everything fits into L2 as it is, windows would gain less than a tenth, or rates are unknown.</summary>
    /// <param name="device">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="valueBytes">Bytes of a value of an activation.</param>
    /// <param name="batch">B, items side by side.</param>
    /// <param name="rows">Rows of an item.</param>
    public static int Rows(CudaDeviceInfo device, ModelConfig config, int valueBytes, int batch, int rows)
    {
        double bytes = (3.0 * config.Channels + Bands(config)) * valueBytes * batch; // of a row
        if (rows * bytes <= device.L2Bytes) return 0;
        int step = Enumerable.Range(0, config.Layers).Max(config.Dilation), best = 0; // whole dilations, so that tiles come out even
        double most = LeastGain;
        for (int window = step; window * bytes <= device.L2Bytes / 2.0; window += step)
            if (Gain(device, config, valueBytes, batch, window) is { } gain && gain >= most) (best, most) = (window, gain);
        return best;
    }

    /// <summary>Predicted time of the layers where each takes all rows at once over that in windows; the start of the one launch and its weights are not counted. Null where a rate is unknown.</summary>
    /// <param name="device">The device.</param>
    /// <param name="config">The model.</param>
    /// <param name="valueBytes">Bytes of a value of an activation.</param>
    /// <param name="batch">B, items side by side.</param>
    /// <param name="rows">Rows of a window.</param>
    public static double? Gain(CudaDeviceInfo device, ModelConfig config, int valueBytes, int batch, int rows)
    {
        if (device.PeakMemoryBytesPerSecond is not { } memoryRate || TensorFlopsPerClock(device.Sm) is not { } flopsPerClock || device.ClockKilohertz == 0) return null;
        int c = config.Channels, bands = Bands(config);
        double clock = 1e3 * device.ClockKilohertz, l2Rate = clock * device.Multiprocessors * L2BytesPerClock;
        double moved = (double)batch * rows * (4 * c + bands) * valueBytes, weights = (double)BlockWeights.Size(c, bands) * valueBytes;
        double tile = TileRows * 4.0 * c * (4 * c + bands) / (clock * flopsPerClock * 2 / valueBytes); // matrix products of a tile on a multiprocessor
        bool isResident = valueBytes == 2 && c <= 64 && Kernels.ResidualBlock.ResidentSharedBytes(c, bands, 1) <= device.SharedBytesPerBlock;
        double even = (double)batch * rows / TileRows; // tiles, if none were cut
        double fromL2 = (moved + (isResident ? 0 : even * weights)) / l2Rate, brought = isResident ? device.Multiprocessors * weights / l2Rate : 0;
        double start = device.Sm >= 90 ? EarlyLaunchSeconds : LaunchSeconds; // as the blocks are launched
        double atOnce = config.Layers * Math.Max(Math.Max(even / device.Multiprocessors * tile, fromL2), moved / memoryRate), inWindows = 0;
        for (int layer = 0; layer < config.Layers; layer++)
        {
            int dilation = config.Dilation(layer), tiles = batch * TimeTile.Count(rows, dilation, TimeTile.Neighbours(rows, dilation, TileRows), TileRows);
            inWindows += Math.Max((tiles + device.Multiprocessors - 1) / device.Multiprocessors * tile, fromL2 + brought) + start;
        }
        return atOnce / inWindows;
    }

    private static int Bands(ModelConfig config) => config.HasMel ? config.Bands : 0;

    // Matrix products of 16 bits with float32 sums, FLOP a clock and multiprocessor, from the white papers of A100, GA102, AD102 and H100, the last at the 63 % that mma.sync is said to reach.
    private static double? TensorFlopsPerClock(int sm) => sm switch
    {
        80 => 2048,
        86 or 89 => 512,
        90 => 0.63 * 4096,
        _ => null,
    };
}
