using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>All cases there are, and how a list of them is run.</summary>
internal static class Suite
{
    private const int Passes = 3;

    /// <summary>Every case a device has, in the order they run.</summary>
    public static IReadOnlyList<BenchCase> Cases(BenchSettings settings) =>
        [.. SynthesisBench.Cases(settings, SynthesisBench.Usual(settings)), .. TrainingBench.Cases(settings, TrainingBench.Usual(settings)), .. OpsBench.Cases(settings, OpsBench.UsualPreset), .. Kernels(settings)];

    // The device stays open until the program ends.
    private static IEnumerable<BenchCase> Kernels(BenchSettings settings) => settings.Device is "cpu" or "emulator" ? [] : GpuRoofline.Cases(settings, new Lazy<KernelBench>(() => new KernelBench(settings)));

    /// <summary>
    /// Runs cases one after the other; on a CPU, whose speed other programs change for seconds at a time, in three passes through the list, so that such a time does not fall on all measurements of a case. One that the device cannot
    /// run, or has no memory for, becomes a note with its reason.
    /// </summary>
    /// <param name="benchmark">Name of the result.</param>
    /// <param name="title">What its table is of; the device is added.</param>
    /// <param name="settings">What they are told.</param>
    /// <param name="cases">The cases.</param>
    /// <param name="notes">Lines for below the table.</param>
    public static Result Run(string benchmark, string title, BenchSettings settings, IReadOnlyList<BenchCase> cases, params IEnumerable<string> notes)
    {
        var rows = new Dictionary<string, Row>();
        var missing = new Dictionary<string, string>();
        for (int pass = 1; pass <= (settings.IsCpu ? Passes : 1); pass++)
            foreach ((int index, BenchCase one) in cases.Index())
            {
                if (missing.ContainsKey(one.Name) || (pass > 1 && one.Derive is null)) continue;
                Console.Error.WriteLine($"[{(one.Derive is not null && settings.IsCpu ? $"{pass}/{Passes}, " : "")}{index + 1}/{cases.Count}] {one.Name}");
                try
                {
                    Row row = one.Run(one.Derive is not null && settings.IsCpu ? settings.Repeat.Part(Passes) : settings.Repeat);
                    rows[one.Name] = rows.TryGetValue(one.Name, out Row? earlier) ? earlier.With(row) : row;
                }
                catch (Exception e) when (e is UnsupportedPrecisionException or UnsupportedKernelException or OutOfMemoryException or PeerException) { missing[one.Name] = $"{one.Name}: not run: {e.Message}"; }
            }
        string device;
        using (BenchDevice on = settings.Open()) device = on.Ops.Device;
        return new Result(benchmark, $"{title}, {device}", [.. cases.Where(one => rows.ContainsKey(one.Name)).Select(one => one.Derive?.Invoke(rows[one.Name]) ?? rows[one.Name])])
        {
            Machine = Machine.Describe(settings), Settings = settings.Describe(), Notes = [.. notes, .. missing.Values],
        };
    }

    /// <summary>Measures until it settles, on a CPU with the peak of its multiply-adds and its pace before every round.</summary>
    /// <param name="name">Of the case.</param>
    /// <param name="repeat">How often.</param>
    /// <param name="device">Gives peak and pace.</param>
    /// <param name="once">Measures once, in seconds.</param>
    public static Row Measure(string name, Repeat repeat, BenchDevice device, Func<double> once)
    {
        Sample peak = new(), pace = new();
        Sample seconds = repeat.Run(() =>
        {
            if (device.Peak() is { } most) peak.Add(most);
            if (device.Pace() is { } now) pace.Add(now);
            return once();
        });
        return new Row(name, seconds) { Peak = peak.Count > 0 ? peak : null, Pace = pace.Count > 0 ? pace : null };
    }
}
