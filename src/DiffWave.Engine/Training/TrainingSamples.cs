using DiffWave.Audio;

namespace DiffWave.Engine;

/// <summary>Audio made with the weights at hand, beside the recordings it should be like. The same clips and the same noise every time.</summary>
public sealed class TrainingSamples
{
    private readonly IOps _ops;
    private readonly ModelConfig _config;
    private readonly IReadOnlyList<TrainingItem> _excerpts;
    private readonly MelSpectrogram? _mel;

    /// <param name="ops">The device; not the one that trains, because weights are loaded into it.</param>
    /// <param name="config">The model.</param>
    /// <param name="excerpts">Stretches of recordings, each with its mel and label.</param>
    public TrainingSamples(IOps ops, ModelConfig config, IReadOnlyList<TrainingItem> excerpts)
    {
        (_ops, _config, _excerpts) = (ops, config, excerpts);
        _mel = config.Mel is { } recipe ? new MelSpectrogram(recipe) : null;
    }

    /// <summary>Writes the recordings and their spectrograms, once a run.</summary>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public void WriteReferences(RunFolder folder, EventFile events)
    {
        for (int i = 0; i < _excerpts.Count; i++) Write(folder.ReferenceSample(i, "wav"), folder.ReferenceSample(i, "png"), _excerpts[i].Audio, $"{_excerpts[i].Clip}", events, $"reference/{i}", 0);
    }

    /// <summary>Makes a sample of every excerpt by the fast schedule.</summary>
    /// <returns>Mean absolute difference between the mels of samples and recordings, in the units of the model's recipe; null for models without a mel.</returns>
    /// <exception cref="IOException">A file cannot be written.</exception>
    /// <exception cref="NonFiniteSampleException">The network's output is not finite.</exception>
    public double? Make(RunFolder folder, EventFile events, long step, Parameters weights)
    {
        _ops.Load(_config, weights);
        var steps = SamplerStep.Chain(new NoiseSchedule(_config.FastBetas), new NoiseSchedule(_config.TrainingBetas));
        double difference = 0;
        using var sampler = new Sampler(_config, _ops);
        for (int i = 0; i < _excerpts.Count; i++)
        {
            TrainingItem excerpt = _excerpts[i];
            float[] audio = new float[excerpt.Audio.Length];
            var request = new SamplerRequest
            {
                Steps = steps, Noise = new SeededNoise((ulong)i), Lengths = [audio.Length], Labels = _config.HasLabel ? [excerpt.Label] : [],
                Mels = _mel is null ? null : [Source(excerpt.Mel!)],
            };
            sampler.Run(request, (_, first, samples) => samples.CopyTo(audio.AsSpan((int)first)));
            Write(folder.Sample(step, i, "wav"), folder.Sample(step, i, "png"), audio, $"{excerpt.Clip}, step {step}", events, $"sample/{i}", step);
            difference += MelDifference(excerpt.Audio, audio) / _excerpts.Count;
        }
        return _mel is null ? null : difference;
    }

    // [frames, M] as training holds a mel, to [M, frames] as files do.
    private MemoryMel Source(float[] rows)
    {
        int bands = _config.Bands, frames = rows.Length / bands;
        float[] mel = new float[rows.Length];
        for (int frame = 0; frame < frames; frame++)
            for (int band = 0; band < bands; band++) mel[band * frames + frame] = rows[frame * bands + band];
        return new MemoryMel(mel, bands, frames);
    }

    private double MelDifference(float[] reference, float[] made)
    {
        if (_mel is null) return 0;
        float[] a = _mel.Compute(reference, out _), b = _mel.Compute(made, out _);
        return a.Zip(b, (x, y) => Math.Abs((double)x - y)).Average();
    }

    private void Write(string wav, string png, float[] audio, string title, EventFile events, string tag, long step)
    {
        const string advice = "free space on the disk or mend the access to the folder, then resume the run";
        RunFolder.Guarded(wav, advice, () => AtomicFile.Write(wav, stream =>
        {
            using var writer = new WavWriter(stream, _config.SampleRate, WavFormat.Pcm16, audio.Length);
            writer.Write(audio);
            writer.Complete();
        }));
        RunFolder.Guarded(png, advice, () => SpectrogramPicture.Write(png, audio, _config.SampleRate, title));
        events.Audio(step, tag, audio, _config.SampleRate);
        events.Image(step, tag, File.ReadAllBytes(png));
    }
}
