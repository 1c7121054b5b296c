using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>The same weights and batch as files for the peer.</summary>
internal sealed class PeerFiles : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("diffwave-bench-").FullName;

    public string Weights => Path.Combine(_folder, "weights.safetensors");
    public string Batch => Path.Combine(_folder, "batch.safetensors");

    public PeerFiles(ModelConfig config, Parameters weights, NoiseCrops crops)
    {
        SafetensorsFile.Write(Weights, new Dictionary<string, string>(), weights.Infos.Select(info =>
            (info.Name, info.Shape.Select(n => (long)n).ToArray(), (ReadOnlyMemory<float>)weights.Arena.AsMemory(info.Offset, info.Count))));
        int batch = crops.Items.Length, length = crops.Items[0].Audio.Length, frames = length / config.Hop, bands = config.Bands;
        var tensors = new List<(string, long[], ReadOnlyMemory<float>)>
        {
            ("in.audio", [batch, length], crops.Items.SelectMany(item => item.Audio).ToArray()),
            ("in.noise", [batch, length], crops.Noise.SelectMany(noise => noise).ToArray()),
            ("in.step", [batch], Array.ConvertAll(crops.Steps, step => (float)step)),
            ("noise_level", [config.TrainingBetas.Count], new NoiseSchedule(config.TrainingBetas).AlphaBars.Select(level => (float)level).ToArray()),
        };
        // [frames, M] here, [M, frames] there.
        if (config.HasMel)
            tensors.Add(("in.spectrogram", [batch, bands, frames],
                crops.Items.SelectMany(item => Enumerable.Range(0, bands * frames).Select(i => item.Mel![i % frames * bands + i / frames])).ToArray()));
        SafetensorsFile.Write(Batch, new Dictionary<string, string>(), tensors);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
