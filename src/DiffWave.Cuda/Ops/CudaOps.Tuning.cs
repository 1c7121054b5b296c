using DiffWave.Engine;

namespace DiffWave.Cuda;

// Which cut of a residual block is the fastest.
public sealed partial class CudaOps
{
    private const int LaunchesTimed = 20, WarmUp = 3;
    private const double WorthChanging = 0.98; // of the usual cut's time: less is within the noise

    /// <summary>
    /// Measures every cut of the loaded model's residual blocks, a layer of each dilation, in turns. To be kept by <see cref="TileTuning.Keep"/>; this object goes on as it was made.
    /// </summary>
    /// <param name="batch">B.</param>
    /// <param name="rows">T.</param>
    /// <param name="rounds">Times that each cut is measured; the median counts.</param>
    /// <param name="clock">For tests: the microseconds that an action takes. Else the device's own clock.</param>
    /// <param name="cancel">Stops between measurements.</param>
    /// <returns>The fastest cut of each dilation, the usual one where no other is two percent faster.</returns>
    /// <exception cref="UnsupportedPrecisionException">The precision has no fused blocks, and so no cuts.</exception>
    /// <exception cref="NotSupportedException">The device has no clock.</exception>
    /// <exception cref="CudaException">The device refuses, e.g. for want of memory.</exception>
    public IReadOnlyList<TunedBlock> Tune(int batch, int rows, int rounds = 7, Func<Action, double>? clock = null, CancellationToken cancel = default)
    {
        if (fused is null) throw new UnsupportedPrecisionException($"{Name(Precision)}: its kernels have one cut only; tune tf32, fp16 or bf16");
        ModelConfig config = Weights.Config;
        int channels = config.Channels, layers = config.Layers;
        using IBuffer x = AllocateActivation(batch, rows, channels), y = AllocateActivation(batch, rows, channels), skips = AllocateActivation(batch, rows, channels);
        using IBuffer stepBias = Allocate(batch, layers, channels);
        using IBuffer? mel = config.HasMel ? AllocateActivation(batch, rows, config.Bands) : null, labelBias = config.HasLabel ? Allocate(batch, layers, 2 * channels) : null;
        FoldBiases(stepBias, labelBias);
        clock ??= MicrosecondsOf;
        try
        {
            return [.. Enumerable.Range(0, layers).GroupBy(config.Dilation).Select(same => Fastest(same.FirstOrDefault(layer => layer > 0 && layer < layers - 1, same.First())))];
        }
        finally { fused.Forced = null; }

        TunedBlock Fastest(int layer)
        {
            IReadOnlyList<BlockCut> cuts = fused.Cuts(layer, batch, rows);
            double[][] times = [.. cuts.Select(_ => new double[rounds])];
            for (int round = 0; round < rounds; round++)
                for (int i = 0; i < cuts.Count; i++)
                {
                    cancel.ThrowIfCancellationRequested();
                    fused.Forced = cuts[i];
                    if (round == 0) Block(layer, WarmUp); // loads the kernel
                    times[i][round] = clock(() => Block(layer, LaunchesTimed)) / LaunchesTimed;
                }
            double[] medians = [.. times.Select(all => all.Order().ElementAt(rounds / 2))];
            int best = Array.IndexOf(medians, medians.Min());
            if (medians[best] > WorthChanging * medians[0]) best = 0;
            return new TunedBlock(new BlockShape(Precision, channels, config.Bands, config.Dilation(layer), BlockShape.Rounded((long)batch * rows)), cuts[best], medians[best], cuts[0], medians[0]);
        }

        void Block(int layer, int launches)
        {
            for (int i = 0; i < launches; i++)
                ResidualBlock(layer, new TimeRange(0, rows, rows), new Window(x, 0), stepBias, labelBias, mel is null ? null : new Window(mel, 0), new Window(y, 0), new Window(skips, 0));
        }
    }

    /// <summary>Every cut of a layer's launch, the usual one first.</summary>
    internal IReadOnlyList<BlockCut> Cuts(int layer, int batch, int rows) => fused!.Cuts(layer, batch, rows);

    private double MicrosecondsOf(Action work)
    {
        nint start = driver.CreateEvent(), stop = driver.CreateEvent();
        try
        {
            driver.RecordEvent(start, stream);
            work();
            driver.RecordEvent(stop, stream);
            driver.SynchronizeEvent(stop);
            return 1e3 * (driver.Elapsed(start, stop) ?? throw new NotSupportedException($"{driver.DeviceText} has no clock: tune on a GPU"));
        }
        finally
        {
            driver.DestroyEvent(start);
            driver.DestroyEvent(stop);
        }
    }
}
