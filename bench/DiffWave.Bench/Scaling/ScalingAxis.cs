using System.Globalization;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>A synthesis whose time is compared with others that differ in one thing.</summary>
/// <param name="Size">That thing: seconds, clips, channels, layers or threads.</param>
/// <param name="Config">The model, with one step of its schedule.</param>
/// <param name="Seconds">Length of a clip.</param>
/// <param name="Batch">Clips side by side.</param>
/// <param name="Threads">CPU threads; null: those of the settings.</param>
internal sealed record ScalingPoint(double Size, ModelConfig Config, double Seconds, int Batch = 1, int? Threads = null);

/// <summary>One thing that is varied while everything else stays.</summary>
/// <param name="Name">As cases name it.</param>
/// <param name="Title">What is varied, on which model.</param>
/// <param name="Unit">What stands behind a size in a case's name.</param>
/// <param name="Points">From the least to the largest.</param>
internal sealed record ScalingAxis(string Name, string Title, string Unit, IReadOnlyList<ScalingPoint> Points)
{
    /// <summary>Name of a point's row.</summary>
    public string Case(ScalingPoint point) => string.Create(CultureInfo.InvariantCulture, $"scaling/{Name}/{point.Size:0.##}{Unit}");

    /// <summary>Every axis. On a CPU all of it ends within minutes; a GPU gets clips that fill it, and no threads.</summary>
    public static IReadOnlyList<ScalingAxis> All(BenchSettings settings)
    {
        bool cpu = settings.IsCpu;
        ModelConfig tiny = Model("tiny"), small = Model("small"), large = Model("base");
        double clip = cpu ? 0.5 : 10;
        var axes = new List<ScalingAxis>
        {
            new("length", "clip length in s, tiny model", "s", [.. Sizes(1, 4, 15, 60, 600).Select(seconds => new ScalingPoint(seconds, tiny, seconds))]),
            new("length-base", "clip length in s, base model", "s", [.. (cpu ? Sizes(0.5, 1, 2, 4) : Sizes(1, 5, 15, 60)).Select(seconds => new ScalingPoint(seconds, large, seconds))]),
            new("batch", $"clips of {(cpu ? 1 : 10)} s side by side, small model", "", [.. Sizes(1, 2, 4, 8, 16).Select(clips => new ScalingPoint(clips, small, cpu ? 1 : 10, (int)clips))]),
            new("channels", "channels, else the base model", "", [.. Sizes(16, 32, 64, 128, 256).Select(channels => new ScalingPoint(channels, large with { Channels = (int)channels }, clip))]),
            new("layers", "layers, else the base model", "", [.. Sizes(1, 3, 10, 30, 60).Select(layers => new ScalingPoint(layers, large with { Layers = (int)layers }, clip))]),
        };
        if (cpu && settings.Threads > 1)
        {
            var threads = new List<double>();
            for (int count = 1; count < settings.Threads; count *= 2) threads.Add(count);
            axes.Add(new("threads", "CPU threads, base model", "", [.. threads.Append(settings.Threads).Select(count => new ScalingPoint(count, large, 1, Threads: (int)count))]));
        }
        return axes;
    }

    private static double[] Sizes(params double[] sizes) => sizes;

    // One step is enough to tell how time grows, and lets ten minutes of audio be measured several times.
    private static ModelConfig Model(string preset)
    {
        ModelConfig config = ModelConfig.Preset(preset);
        return config with { FastBetas = [config.TrainingBetas[^1]] };
    }
}
