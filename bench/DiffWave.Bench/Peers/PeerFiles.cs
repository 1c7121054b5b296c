using System.Runtime.InteropServices;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>Our weights and inputs as files for the peer, and a place for its audio.</summary>
internal sealed class PeerFiles : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("diffwave-bench-").FullName;

    public string Weights => Path.Combine(_folder, "weights.safetensors");
    public string Inputs => Path.Combine(_folder, "inputs.safetensors");
    public string Audio => Path.Combine(_folder, "audio.f32");

    private PeerFiles(Parameters weights, List<(string, long[], ReadOnlyMemory<float>)> inputs)
    {
        SafetensorsFile.Write(Weights, new Dictionary<string, string>(), weights.Infos.Select(info =>
            (info.Name, info.Shape.Select(n => (long)n).ToArray(), (ReadOnlyMemory<float>)weights.Arena.AsMemory(info.Offset, info.Count))));
        SafetensorsFile.Write(Inputs, new Dictionary<string, string>(), inputs);
    }

    /// <summary>The crops of a training step.</summary>
    public static PeerFiles Of(TimedTraining training)
    {
        (ModelConfig config, NoiseCrops crops) = (training.Config, training.Crops);
        int batch = training.Batch, length = training.Length, frames = length / config.Hop, bands = config.Bands;
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
        return new PeerFiles(training.Weights, tensors);
    }

    /// <summary>The mels and the noise of a synthesis: the chain's start, and what is added at each step but the last.</summary>
    public static PeerFiles Of(TimedSynthesis synthesis, Parameters weights)
    {
        int batch = synthesis.Batch, steps = synthesis.Steps.Count, length = synthesis.Frames * synthesis.Config.Hop;
        float[] Noise(int index)
        {
            var values = new float[batch * length];
            for (int item = 0; item < batch; item++) synthesis.Noise.Fill(index, item, 0, values.AsSpan(item * length, length));
            return values;
        }
        return new PeerFiles(weights,
        [
            ("in.spectrogram", [batch, synthesis.Config.Bands, synthesis.Frames], Enumerable.Repeat(synthesis.Mel, batch).SelectMany(mel => mel).ToArray()),
            ("noise_init", [batch, length], Noise(steps)),
            ("noise", [steps, batch, length], Enumerable.Range(0, steps).SelectMany(index => index == 0 ? new float[batch * length] : Noise(index)).ToArray()),
        ]);
    }

    /// <summary>The samples the peer wrote.</summary>
    public float[] ReadAudio() => MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(Audio)).ToArray();

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
