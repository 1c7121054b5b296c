namespace DiffWave.Engine;

/// <summary>Mean loss over the diffusion steps [<paramref name="From"/>, <paramref name="To"/>).</summary>
/// <param name="From">First diffusion step.</param>
/// <param name="To">Behind the last diffusion step.</param>
/// <param name="Loss">Mean over samples.</param>
/// <param name="Count">Crops that were averaged.</param>
public sealed record StepLoss(int From, int To, double Loss, int Count);

/// <summary>The loss on held-out clips, over diffusion steps and noise that never change: two models are compared on the same questions.</summary>
public sealed class Validation : IDisposable
{
    /// <summary>Parts of the diffusion steps the loss is reported by.</summary>
    public const int Buckets = 8;
    private const ulong Seed = 0;
    private const uint Stream = 0x2000_0002;

    private readonly IOps _ops;
    private readonly ModelConfig _config;
    private readonly LossKind _kind;
    private readonly IReadOnlyList<TrainingItem> _items;
    private readonly TrainingPass _pass;

    /// <param name="ops">The device; not the one that trains, because weights are loaded into it.</param>
    /// <param name="config">The model.</param>
    /// <param name="kind">Which loss.</param>
    /// <param name="items">The crops; each is asked at the middle of every bucket.</param>
    /// <exception cref="ArgumentException">There are no crops.</exception>
    public Validation(IOps ops, ModelConfig config, LossKind kind, IReadOnlyList<TrainingItem> items)
    {
        if (items.Count == 0) throw new ArgumentException("no crops to validate on");
        (_ops, _config, _kind, _items) = (ops, config, kind, items);
        _pass = new TrainingPass(ops, config, 1, items[0].Audio.Length, recompute: true);
    }

    /// <summary>Mean loss, and by bucket of diffusion steps.</summary>
    public (double Loss, IReadOnlyList<StepLoss> ByStep) Measure(Parameters weights)
    {
        _ops.Load(_config, weights);
        var levels = new NoiseSchedule(_config.TrainingBetas).AlphaBars;
        int buckets = Math.Min(Buckets, levels.Count);
        double[] sum = new double[buckets];
        long valid = _items.Sum(item => (long)item.ValidSamples);
        float[] noise = new float[_items[0].Audio.Length];
        double[] one = new double[1];
        for (int item = 0; item < _items.Count; item++)
            for (int bucket = 0; bucket < buckets; bucket++)
            {
                int step = (2 * bucket + 1) * levels.Count / (2 * buckets);
                PhiloxNoise.Fill(Seed, Stream, (uint)bucket, (long)item * noise.Length, noise);
                _pass.Run(_kind, [_items[item]], [noise], [step], [(float)levels[step]], one, backward: false);
                sum[bucket] += one[0];
            }
        return (sum.Sum() / (valid * buckets), [.. sum.Select((value, b) => new StepLoss(b * levels.Count / buckets, (b + 1) * levels.Count / buckets, value / valid, _items.Count))]);
    }

    /// <summary>Frees the activations.</summary>
    public void Dispose() => _pass.Dispose();
}
