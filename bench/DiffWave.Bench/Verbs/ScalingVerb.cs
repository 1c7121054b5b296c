using System.CommandLine;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary><c>scaling</c>: how time grows.</summary>
internal static class ScalingVerb
{
    public static Command Create()
    {
        var axis = new Option<string[]>("--axis") { Description = "what is varied: length, length-base, batch, channels, layers, threads; all of them without it", AllowMultipleArgumentsPerToken = true };
        axis.AcceptOnlyFromAmong("length", "length-base", "batch", "channels", "layers", "threads");
        var precision = new Option<Precision>("--precision") { Description = "fp32, tf32, fp16, bf16; the last three on a GPU's tensor cores" };
        var svg = new Option<string?>("--svg") { Description = "draw it, a panel for everything that is varied", HelpName = "FILE" };
        return new BenchVerb("scaling", "how the time of a synthesis grows with length, clips, channels, layers and threads; about four minutes on two cores", (parsed, settings) =>
        {
            string[]? chosen = parsed.GetValue(axis);
            ScalingAxis[] axes = [.. ScalingAxis.All(settings).Where(one => chosen is not { Length: > 0 } || chosen.Contains(one.Name))];
            if (axes.Length == 0) throw new ArgumentException($"--axis {string.Join(' ', chosen!)}: nothing to vary with {settings.Threads} threads on {settings.Device}");
            Result result = ScalingBench.Run(settings, axes, parsed.GetValue(precision));
            if (parsed.GetValue(svg) is { } path) TextFile.Write(path, ScalingChart.Of(result) ?? throw new InvalidOperationException($"--svg {path}: nothing was measured"));
            return result;
        }, axis, precision, svg);
    }
}
