using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>All cases there are, and how a list of them is run.</summary>
internal static class Suite
{
    /// <summary>Every case a device has, in the order they run.</summary>
    public static IReadOnlyList<BenchCase> Cases(BenchSettings settings) =>
        [.. SynthesisBench.Cases(settings, SynthesisBench.Usual(settings)), .. TrainingBench.Cases(settings, TrainingBench.Usual(settings)), .. OpsBench.Cases(settings, OpsBench.UsualPreset), .. Kernels(settings)];

    // The device stays open until the program ends.
    private static IEnumerable<BenchCase> Kernels(BenchSettings settings) => settings.Device is "cpu" or "emulator" ? [] : GpuRoofline.Cases(settings, new Lazy<KernelBench>(() => new KernelBench(settings)));

    /// <summary>Runs cases one after the other. One that the device cannot run, or has no memory for, becomes a note with its reason.</summary>
    /// <param name="benchmark">Name of the result.</param>
    /// <param name="title">What its table is of; the device is added.</param>
    /// <param name="settings">What they are told.</param>
    /// <param name="cases">The cases.</param>
    /// <param name="notes">Lines for below the table.</param>
    public static Result Run(string benchmark, string title, BenchSettings settings, IReadOnlyList<BenchCase> cases, params IEnumerable<string> notes)
    {
        var rows = new List<Row>();
        var missing = new List<string>();
        foreach ((int index, BenchCase one) in cases.Index())
        {
            Console.Error.WriteLine($"[{index + 1}/{cases.Count}] {one.Name}");
            try { rows.Add(one.Run()); }
            catch (Exception e) when (e is UnsupportedPrecisionException or UnsupportedKernelException or OutOfMemoryException or PeerException) { missing.Add($"{one.Name}: not run: {e.Message}"); }
        }
        string device;
        using (BenchDevice on = settings.Open()) device = on.Ops.Device;
        return new Result(benchmark, $"{title}, {device}", rows) { Machine = Machine.Describe(settings), Settings = settings.Describe(), Notes = [.. notes, .. missing] };
    }

    /// <summary>Measures until it settles, on a CPU with the peak of its multiply-adds before every round.</summary>
    /// <param name="settings">How often.</param>
    /// <param name="device">Gives the peak.</param>
    /// <param name="once">Measures once, in seconds.</param>
    public static (Sample Seconds, Sample? Peak) Measure(BenchSettings settings, BenchDevice device, Func<double> once)
    {
        Sample seconds = new(), peak = new();
        settings.Repeat.Run(() =>
        {
            if (device.Peak() is { } most) peak.Add(most);
            return once();
        }, seconds, _ => { });
        return (seconds, peak.Count > 0 ? peak : null);
    }
}
