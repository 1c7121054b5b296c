using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>How a reverse step is taken.</summary>
public enum SamplerKind
{
    /// <summary>Ancestral sampling (Ho et al. 2020; Kong et al. 2021, algorithm 2).</summary>
    Ddpm,
    /// <summary>Song et al. 2021, equation 12, with eta from 0 (deterministic) to 1 (ancestral noise).</summary>
    Ddim,
}

/// <summary>One reverse step as the device takes it: x' = Scale (x - EpsWeight eps(x, Step)) + Sigma z.</summary>
/// <param name="Index">n, from N-1 down to 0; names the noise z.</param>
/// <param name="Step">Diffusion step passed to the network.</param>
/// <param name="Scale">Factor of the mean.</param>
/// <param name="EpsWeight">Factor of the predicted noise.</param>
/// <param name="Sigma">Standard deviation of the added noise; 0 at n = 0.</param>
public readonly record struct SamplerStep(int Index, float Step, float Scale, float EpsWeight, float Sigma)
{
    /// <summary>The steps of a schedule, in order of execution, for a network trained on another.</summary>
    /// <param name="schedule">The betas to run.</param>
    /// <param name="training">The betas the network was trained on.</param>
    /// <param name="kind">The sampler.</param>
    /// <param name="eta">Noise of <see cref="SamplerKind.Ddim"/>, 0 to 1.</param>
    /// <exception cref="ArgumentException">A step cannot be aligned, or eta is out of range.</exception>
    public static IReadOnlyList<SamplerStep> Chain(NoiseSchedule schedule, NoiseSchedule training, SamplerKind kind = SamplerKind.Ddpm, double eta = 0)
    {
        if (!(eta >= 0 && eta <= 1)) throw new ArgumentException($"eta is {eta}, expected 0 to 1");
        return [.. schedule.ReverseChain(training).Select(s => kind == SamplerKind.Ddpm ? Ddpm(s) : Ddim(s, eta))];
    }

    private static SamplerStep Ddpm(ReverseStepInfo s)
    {
        double sigma = s.Index > 0 ? Math.Sqrt((1 - s.PreviousAlphaBar) / (1 - s.AlphaBar) * s.Beta) : 0;
        return new SamplerStep(s.Index, s.Step, (float)(1 / Math.Sqrt(1 - s.Beta)), (float)(s.Beta / Math.Sqrt(1 - s.AlphaBar)), (float)sigma);
    }

    // x0 = (x - sqrt(1 - ab) eps) / sqrt(ab); x' = sqrt(ab') x0 + sqrt(1 - ab' - sigma^2) eps + sigma z, gathered by x and eps.
    private static SamplerStep Ddim(ReverseStepInfo s, double eta)
    {
        double sigma = s.Index > 0 ? eta * Math.Sqrt((1 - s.PreviousAlphaBar) / (1 - s.AlphaBar) * s.Beta) : 0;
        double scale = Math.Sqrt(s.PreviousAlphaBar / s.AlphaBar), direction = Math.Sqrt(Math.Max(0, 1 - s.PreviousAlphaBar - sigma * sigma));
        return new SamplerStep(s.Index, s.Step, (float)scale, (float)(Math.Sqrt(1 - s.AlphaBar) - direction / scale), (float)sigma);
    }
}

/// <summary>Where the chain's random numbers come from.</summary>
public interface INoise
{
    /// <summary>Standard normals of an item for times first ...; <paramref name="index"/> is N for the initial x and n for the noise added at step n.</summary>
    void Fill(int index, int item, long first, Span<float> normals);

    /// <summary>Seed of numbers that a device can draw itself; null when <see cref="Fill"/> must be asked. The numbers of an item are the sequence (seed, item x <see cref="StreamStride"/>, index) of <see cref="PhiloxNoise"/>.</summary>
    ulong? Seed => null;

    /// <summary>From the sequence of an item to the next one's, where there is a <see cref="Seed"/>.</summary>
    uint StreamStride => 1;
}

/// <summary>Counter-based noise: a value depends only on the seed, the item, the step and the time.</summary>
/// <param name="seed">The seed.</param>
/// <param name="sameForAll">Whether every item gets the numbers of item 0, which it would get alone.</param>
public sealed class SeededNoise(ulong seed, bool sameForAll = false) : INoise
{
    /// <inheritdoc/>
    public void Fill(int index, int item, long first, Span<float> normals) => PhiloxNoise.Fill(seed, (uint)item * StreamStride, (uint)index, first, normals);

    /// <inheritdoc/>
    public ulong? Seed => seed;

    /// <inheritdoc/>
    public uint StreamStride => sameForAll ? 0u : 1;
}

/// <summary>What to sample.</summary>
public sealed record SamplerRequest
{
    /// <summary>The reverse steps, in order of execution.</summary>
    public required IReadOnlyList<SamplerStep> Steps { get; init; }
    /// <summary>Noise for the initial x and every step.</summary>
    public required INoise Noise { get; init; }
    /// <summary>T of each item: samples to make.</summary>
    public required IReadOnlyList<long> Lengths { get; init; }
    /// <summary>A mel an item, for models conditioned on one.</summary>
    public IReadOnlyList<IMelSource>? Mels { get; init; }
    /// <summary>A label an item, for models conditioned on one.</summary>
    public IReadOnlyList<int> Labels { get; init; } = [];
    /// <summary>Samples processed at a time, rounded up to the model's grain, or of the items that are made together; 0 for the default. The result does not depend on it.</summary>
    public int ChunkRows { get; init; }
    /// <summary>Bytes the activations may take where there is a choice between memory and time; 0 for the device's own. The result does not depend on it.</summary>
    public long MemoryBudget { get; init; }
}
