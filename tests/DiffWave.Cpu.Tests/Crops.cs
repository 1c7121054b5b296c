using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>Crops of noise-like audio with a mel and a label, whatever the model takes of them; every second one is half padding.</summary>
internal sealed class Crops(ModelConfig config, int samples) : ITrainingData
{
    public int CropSamples => samples;

    public IReadOnlyList<TrainingItem> Validation => [Crop(100), Crop(101), Crop(102)];

    public TrainingItem Crop(long index)
    {
        float[] audio = Setup.Normals(samples, 400 + (uint)index);
        int valid = index % 2 == 1 ? samples / 2 : samples;
        for (int i = 0; i < samples; i++) audio[i] = i < valid ? 0.3f * audio[i] : 0;
        return new TrainingItem(audio, config.HasMel ? Setup.Normals(samples / config.Hop * config.Bands, 500 + (uint)index) : null, config.HasLabel ? (int)(index % config.Labels) : 0, valid, $"clip {index}");
    }
}
