namespace DiffWave.Bench.Costs;

/// <summary>What a launch may have to wait for.</summary>
internal enum Bound
{
    Tensor,
    Fma,
    Half,
    Double,
    Integer,
    Special,
    Convert,
    Exchange,
    Issue,
    Shared,
    L2,
    Dram,
    Launch,
}

/// <summary>Predicted time of a launch.</summary>
/// <param name="Seconds">Start, and the slowest of what it needs.</param>
/// <param name="Bound">What takes longest.</param>
/// <param name="Parts">Seconds of each part alone, by <see cref="Costs.Bound"/>.</param>
/// <param name="Fill">Share of the multiprocessors' time that the grid can use, see <see cref="CostModel.Fill"/>.</param>
internal sealed record Prediction(double Seconds, Bound Bound, IReadOnlyList<double> Parts, double Fill);

/// <summary>Time from counts: every part of the device works at its full rate and they overlap perfectly, so the slowest decides; only the start of a launch comes on top.</summary>
internal static class CostModel
{
    private static readonly int Bounds = Enum.GetValues<Bound>().Length;

    /// <summary>Clocks one multiprocessor needs for counts, by <see cref="Bound"/>; those of L2 and device memory at its share of them.</summary>
    /// <param name="gpu">The device.</param>
    /// <param name="work">Counts; those of a tile or of a whole launch.</param>
    /// <param name="dramBytes">Bytes of device memory.</param>
    public static double[] Clocks(GpuModel gpu, LaunchWork work, double dramBytes)
    {
        const double Lanes = 32;
        double share = gpu.Clock * gpu.Multiprocessors; // a multiprocessor's share of a device-wide rate, a clock
        var clocks = new double[Bounds];
        void Set(Bound bound, double value) => clocks[(int)bound] = value;
        Set(Bound.Tensor, work.Tensor == TensorKind.None ? 0 : work[Count.TensorFlops] / (gpu.TensorFlops(work.Tensor) / share));
        Set(Bound.Fma, work[Count.Float32] * Lanes / gpu.Float32Lanes);
        Set(Bound.Half, work[Count.Float16] * Lanes / gpu.Float16PairLanes);
        Set(Bound.Double, work[Count.Float64] * Lanes / gpu.Float64Lanes);
        Set(Bound.Integer, work[Count.Integer] * Lanes / GpuModel.IntegerLanes);
        Set(Bound.Special, work[Count.Special] * Lanes / GpuModel.SpecialLanes);
        Set(Bound.Convert, work[Count.Conversion] * Lanes / GpuModel.ConversionLanes);
        Set(Bound.Exchange, work[Count.Exchange] * Lanes / GpuModel.ExchangeLanes);
        Set(Bound.Issue, work[Count.Issued] / GpuModel.IssuesPerClock);
        Set(Bound.Shared, work[Count.SharedWavefronts] + work[Count.GlobalWavefronts]);
        Set(Bound.L2, 32 * work[Count.Sectors] / (gpu.L2Bandwidth / share));
        Set(Bound.Dram, dramBytes / (gpu.DramBandwidth / share));
        return clocks;
    }

    /// <summary>Blocks, or the tiles they walk, over the same rounded up to whole rounds over the multiprocessors.</summary>
    public static double Fill(LaunchWork work, int multiprocessors)
    {
        double Even(long pieces, long takers) => pieces == 0 ? 1 : (double)pieces / ((pieces + takers - 1) / takers * takers);
        return Even(work.Grid.Size, multiprocessors) * (work.Tiles > 0 ? Even(work.Tiles, work.Grid.Size) : 1);
    }

    /// <summary>Predicts a launch.</summary>
    /// <param name="gpu">The device.</param>
    /// <param name="work">What it does.</param>
    /// <param name="dramBytes">Bytes of device memory, see <see cref="CacheModel"/>.</param>
    /// <param name="start">Seconds before it is at full speed.</param>
    public static Prediction Predict(GpuModel gpu, LaunchWork work, double dramBytes, double start)
    {
        double fill = Fill(work, gpu.Multiprocessors);
        double[] parts = Clocks(gpu, work, dramBytes);
        for (int i = 0; i < parts.Length; i++)
        {
            bool isShared = (Bound)i is Bound.L2 or Bound.Dram; // of the whole device
            parts[i] /= gpu.Clock * gpu.Multiprocessors * (isShared ? 1 : fill);
        }
        double slowest = parts.Max();
        parts[(int)Bound.Launch] = start;
        return new Prediction(start + slowest, (Bound)Array.IndexOf(parts, parts.Max()), parts, fill);
    }
}
