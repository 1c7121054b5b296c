using DiffWave.Engine;

namespace DiffWave.Cpu.Tests;

/// <summary>What tests of the reverse chain share.</summary>
internal static class SamplerSetup
{
    /// <summary>The schedules of the models of <see cref="Setup.Config"/>.</summary>
    public static readonly NoiseSchedule Training = new(NoiseSchedule.LinearBetas(1e-4, 0.05, 50)), Fast = new([1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5]);

    /// <summary>A request for a case: the fast schedule and seed 3, unless said otherwise.</summary>
    public static SamplerRequest Request(NetworkCase c, IReadOnlyList<SamplerStep>? steps = null) => new()
    {
        Steps = steps ?? SamplerStep.Chain(Fast, Training), Noise = new SeededNoise(3), Lengths = [.. Enumerable.Repeat<long>(c.Rows, c.Batch)], Mels = c.Mels, Labels = c.Labels,
    };

    /// <summary>The audio of a request, an array an item, from a sampler of its own.</summary>
    public static float[][] Run(IOps ops, NetworkCase c, SamplerRequest request)
    {
        using var sampler = new Sampler(c.Config, ops);
        return Run(sampler, request);
    }

    /// <summary>The audio of a request, an array an item.</summary>
    public static float[][] Run(Sampler sampler, SamplerRequest request)
    {
        var audio = request.Lengths.Select(length => new float[length]).ToArray();
        var done = new long[request.Lengths.Count];
        sampler.Run(request, (item, first, samples) =>
        {
            Assert.Equal(done[item], first); // in order, without gaps
            samples.CopyTo(audio[item].AsSpan((int)first));
            done[item] += samples.Length;
        });
        Assert.Equal(request.Lengths, done);
        return audio;
    }

    /// <summary>x' = (x - beta / sqrt(1 - alpha_bar) eps) / sqrt(1 - beta) + sigma z (Kong et al., algorithm 2), clamped where the model's family clamps.</summary>
    public static T[] Chain<T>(NetworkCase c) where T : struct, System.Numerics.IFloatingPointIeee754<T>
    {
        float[]? mel = c.Config.HasMel ? Setup.Mels(c.Config, c.Batch, c.Frames).Rows[0] : null;
        float[] normals = new float[c.Rows];
        new SeededNoise(3).Fill(6, 0, 0, normals);
        T[] x = Reference<T>.Of(normals);
        foreach (var info in Fast.ReverseChain(Training))
        {
            T[] eps = Reference<T>.Network(c.Config, c.Parameters, x, info.Step, mel is null ? null : Reference<T>.Of(mel), c.Labels.Length > 0 ? c.Labels[0] : 0);
            T scale = Reference<T>.Of(1 / Math.Sqrt(1 - info.Beta)), weight = Reference<T>.Of(info.Beta / Math.Sqrt(1 - info.AlphaBar));
            T sigma = Reference<T>.Of(info.Index == 0 ? 0 : Math.Sqrt((1 - info.PreviousAlphaBar) / (1 - info.AlphaBar) * info.Beta));
            new SeededNoise(3).Fill(info.Index, 0, 0, normals);
            for (int i = 0; i < x.Length; i++)
            {
                x[i] = scale * (x[i] - weight * eps[i]) + sigma * T.CreateChecked(normals[i]);
                if (c.Config.ClampSamples) x[i] = T.Clamp(x[i], -T.One, T.One);
            }
        }
        return x;
    }

    /// <summary>One item of a request alone, with the noise it has there.</summary>
    public static SamplerRequest Alone(SamplerRequest request, int item) => request with
    {
        Lengths = [request.Lengths[item]], Noise = new ItemNoise(request.Noise, item), Mels = request.Mels is { } mels ? [mels[item]] : null, Labels = request.Labels.Count > 0 ? [request.Labels[item]] : [],
    };

    /// <summary>The noise of one item of a batch, made on the host.</summary>
    public sealed class ItemNoise(INoise noise, int number) : INoise
    {
        public void Fill(int index, int item, long first, Span<float> normals) => noise.Fill(index, number + item, first, normals);
    }
}
