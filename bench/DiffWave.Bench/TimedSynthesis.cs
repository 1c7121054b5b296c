using System.Diagnostics;
using DiffWave.Audio;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>A synthesis that is made again and again: from a mel in memory to audio in memory.</summary>
internal sealed class TimedSynthesis : IDisposable
{
    private readonly Sampler _sampler;
    private readonly SamplerRequest _request;
    private readonly float[] _audio;
    private readonly long _samples;

    /// <param name="ops">The device; gets the weights.</param>
    /// <param name="config">The model; its weights are drawn from the seed.</param>
    /// <param name="seconds">Length of a clip, rounded up to whole frames.</param>
    /// <param name="batch">Clips side by side.</param>
    /// <param name="full">The training schedule instead of the fast one.</param>
    /// <param name="seed">Of weights, mel and noise.</param>
    /// <param name="weights">Weights to take instead of drawn ones, which predict no noise at all.</param>
    public TimedSynthesis(IOps ops, ModelConfig config, double seconds, int batch, bool full, ulong seed, Parameters? weights = null)
    {
        Config = config;
        Frames = (int)Math.Ceiling(seconds * config.SampleRate / config.Hop);
        _samples = (long)Frames * config.Hop;
        Batch = batch;
        Steps = SamplerStep.Chain(new NoiseSchedule(full ? config.TrainingBetas : config.FastBetas), new NoiseSchedule(config.TrainingBetas));
        ops.Load(config, weights ?? Initializer.Create(config, seed));
        _audio = new float[batch * _samples];
        Mel = new float[config.Bands * Frames];
        PhiloxNoise.Fill(seed, 1, 0, 0, Mel);
        MemoryMel? mel = config.HasMel ? new MemoryMel(Mel, config.Bands, Frames) : null;
        _request = new SamplerRequest
        {
            Steps = Steps, Noise = new SeededNoise(seed), Lengths = [.. Enumerable.Repeat(_samples, batch)], Mels = mel is null ? null : [.. Enumerable.Repeat(mel, batch)], Labels = config.HasLabel ? new int[batch] : [],
        };
        _sampler = new Sampler(config, ops);
    }

    public ModelConfig Config { get; }

    public int Batch { get; }

    public int Frames { get; }

    /// <summary>The mel of every clip, [bands, frames].</summary>
    public float[] Mel { get; }

    /// <summary>The normals a run draws.</summary>
    public INoise Noise => _request.Noise;

    public IReadOnlyList<SamplerStep> Steps { get; }

    /// <summary>Audio made by one run, in seconds, all clips together.</summary>
    public double AudioSeconds => Batch * _samples / (double)Config.SampleRate;

    /// <summary>FLOP of one run by definition, every step computing everything.</summary>
    public double Flops => (double)OpCost.Evaluation(Config, Batch * _samples).Flops * Steps.Count;

    /// <summary>Samples of audio of one run.</summary>
    public long Samples => Batch * _samples;

    /// <summary>Audio of the last run, clip after clip.</summary>
    public ReadOnlySpan<float> Audio => _audio;

    /// <summary>Seconds until the first samples of the last run were there.</summary>
    public double FirstAudioSeconds { get; private set; }

    /// <summary>Runs once; its seconds.</summary>
    public double Once()
    {
        long start = Stopwatch.GetTimestamp();
        bool any = false;
        _sampler.Run(_request, (item, first, chunk) =>
        {
            if (!any) FirstAudioSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            any = true;
            chunk.CopyTo(_audio.AsSpan((int)(item * _samples + first)));
        });
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    public void Dispose() => _sampler.Dispose();
}
