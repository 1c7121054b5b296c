using System.Diagnostics;
using DiffWave.Cpu;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>
/// Optimiser steps on one batch held in memory: q-sample, forward, L1 loss, backward, gradient norm, Adam; ours a crop at a time, the peer's (when one is given) the whole batch at once.
/// Time counts only after both, from the same weights, batch, noise and diffusion steps, have given the same loss and gradient norm.
/// </summary>
internal static class TrainingBench
{
    private const double LossTolerance = 1e-5, NormTolerance = 1e-4;
    private const double LowLossTolerance = 2e-3, LowNormTolerance = 2e-2; // products of 11 bits: a unit in the last place is 1e-3, and norms hold squares

    private static readonly TrainingOptions Adam = new();

    public static Dictionary<string, object> Run(string device, string preset, int batch, int frames, bool recompute, int threads, SimdLevel level, int rounds, TorchSetting? torch, Precision precision = Precision.Fp32)
    {
        var config = ModelConfig.Preset(preset);
        int length = (Adam with { CropFrames = frames }).CropSamples(config);
        double flops = 3.0 * OpCost.Evaluation(config, (long)batch * length).Flops;
        var crops = new Crops(config, batch, length);
        Parameters weights = Initializer.Create(config, seed: 1);
        PhiloxNoise.Fill(1, 0, 1, 0, weights["output_projection.weight"]); // starts at zero, and then only its own gradient is not zero

        using var on = BenchDevice.Open(device, threads, level, precision);
        using var files = torch is null ? null : new PeerFiles(config, weights, crops);
        using var peer = files is null ? null : new TorchPeer(torch!, on.IsCpu, $"--train \"{files.Batch}\" --weights \"{files.Weights}\" --cycle {config.DilationCycle}", threads);
        IOps ops = on.Ops;
        int micro = on.IsCpu ? 1 : batch;
        ops.LoadTraining(config, new TrainingState(config, weights, keepAverage: false));
        using var pass = new TrainingPass(ops, config, micro, length, recompute);
        using IRecording update = ops.Record(ops.UpdateWeights);
        long taken = 0;
        (double Seconds, double Loss, double Norm) Step()
        {
            long start = Stopwatch.GetTimestamp();
            double[] sums = new double[batch];
            ops.BeginStep(new AdamStep(++taken, Adam.LearningRate, Adam.Beta1, Adam.Beta2, Adam.Epsilon, ClipNorm: 0, AverageDecay: 0, LossScale.First(precision).Factor), 1f / (batch * length));
            ops.ZeroGradients();
            for (int at = 0; at < batch; at += micro)
            {
                Range now = at..(at + micro);
                pass.Run(LossKind.L1, crops.Items[now], crops.Noise[now], crops.Steps[now], crops.AlphaBars[now], sums.AsSpan(at, micro), backward: true);
            }
            update.Run();
            double norm = ops.UpdateNorm(); // waits for the device
            return (Stopwatch.GetElapsedTime(start).TotalSeconds, sums.Sum() / ((double)batch * length), norm);
        }

        Console.WriteLine($"training: {preset} (C={config.Channels}, {config.Layers} layers), batch {batch} of {length} samples, {ops.Device}{(recompute ? ", gate inputs computed again" : "")}, {rounds} rounds");
        var first = Step(); // warm-up, and what the peer must reproduce
        if (peer is not null)
        {
            Console.WriteLine($"peer: PyTorch {peer.Version}, {torch!.Describe(on.IsCpu, threads)}");
            RequireSame(first.Loss, first.Norm, peer, torch.Mode == "fp32" && precision == Precision.Fp32);
            if (!on.IsCpu)
                for (int i = 0; i < 3; i++) peer.Send("step"); // its libraries try their algorithms, torch.compile compiles and records
        }
        var measured = new Alternation(rounds, on, flops, () => Step().Seconds, peer is null ? null : () => peer.Timed("step"));
        double samples = (double)batch * length;
        measured.Print(median => $"{samples / median,7:f0} samples/s");

        var result = new Dictionary<string, object>
        {
            ["preset"] = preset, ["batch"] = batch, ["crop_samples"] = length, ["recompute"] = recompute, ["precision"] = precision.ToString().ToLowerInvariant(), ["device"] = ops.Device, ["samples_per_second"] = samples / measured.Seconds,
            ["first_loss"] = first.Loss, ["first_gradient_norm"] = first.Norm,
        };
        measured.AddTo(result, peer is null ? null : new() { ["torch"] = peer.Version, ["mode"] = torch!.Mode });
        return result;
    }

    private static void RequireSame(double loss, double norm, TorchPeer peer, bool isExact)
    {
        var (mostLoss, mostNorm) = isExact ? (LossTolerance, NormTolerance) : (LowLossTolerance, LowNormTolerance);
        var answer = peer.Send("step");
        double peerLoss = answer.GetProperty("loss").GetDouble(), peerNorm = answer.GetProperty("grad_norm").GetDouble();
        double lossError = Math.Abs(loss / peerLoss - 1), normError = Math.Abs(norm / peerNorm - 1);
        string text = $"loss {loss:g7} and {peerLoss:g7} (relative difference {lossError:e1}), gradient norm {norm:g7} and {peerNorm:g7} ({normError:e1})";
        if (!(lossError <= mostLoss && normError <= mostNorm))
            throw new InvalidOperationException($"not the same work: {text}; expected at most {mostLoss:e0} and {mostNorm:e0}");
        Console.WriteLine($"same work: {text}");
    }

    /// <summary>A batch of noise in place of speech; time does not depend on it.</summary>
    private sealed class Crops
    {
        public TrainingItem[] Items { get; }
        public float[][] Noise { get; }
        public int[] Steps { get; }
        public float[] AlphaBars { get; }

        public Crops(ModelConfig config, int batch, int length)
        {
            IReadOnlyList<double> levels = new NoiseSchedule(config.TrainingBetas).AlphaBars;
            Steps = [.. Enumerable.Range(0, batch).Select(item => (2 * item + 1) * levels.Count / (2 * batch))];
            AlphaBars = [.. Steps.Select(step => (float)levels[step])];
            Noise = [.. Steps.Select((_, item) => Normals(3, item, length))];
            Items = [.. Steps.Select((_, item) => new TrainingItem(
                Array.ConvertAll(Normals(4, item, length), value => 0.1f * value), config.HasMel ? Normals(5, item, length / config.Hop * config.Bands) : null, 0, length, $"item {item}"))];
        }

        private static float[] Normals(uint stream, int item, int count)
        {
            var values = new float[count];
            PhiloxNoise.Fill(2, stream, (uint)item, 0, values);
            return values;
        }
    }

    /// <summary>The same weights and batch as files for the peer.</summary>
    private sealed class PeerFiles : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("diffwave-bench-").FullName;

        public string Weights => Path.Combine(_folder, "weights.safetensors");
        public string Batch => Path.Combine(_folder, "batch.safetensors");

        public PeerFiles(ModelConfig config, Parameters weights, Crops crops)
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
}
