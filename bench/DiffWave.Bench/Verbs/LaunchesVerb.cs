using System.CommandLine;
using DiffWave.Bench.Costs;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary><c>launches</c>: the time of every kernel within a synthesis and a training step.</summary>
internal static class LaunchesVerb
{
    private const string Synthesis = "synthesis", Training = "training";

    public static Command Create()
    {
        var work = new Option<string[]>("--work") { Description = "synthesis, training; without it both", AllowMultipleArgumentsPerToken = true };
        work.AcceptOnlyFromAmong(Synthesis, Training);
        var preset = new Option<string>("--preset") { Description = "model: base, large, small or tiny", DefaultValueFactory = _ => "base" };
        var precisions = new Option<Precision[]>("--precision") { Description = "fp32, tf32, fp16, bf16", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [Precision.Fp32] };
        var clips = new Option<int[]>("--batch") { Description = "clips of a synthesis, crops of a training step; without it 1 and 16", AllowMultipleArgumentsPerToken = true };
        var seconds = new Option<double>("--seconds") { Description = "length of a clip", DefaultValueFactory = _ => 10 };
        var full = new Option<bool>("--full") { Description = "all steps of the training schedule instead of the fast one" };
        var cropFrames = new Option<int>("--crop-frames") { Description = "mel frames of a crop", DefaultValueFactory = _ => 62 };
        var recompute = new Option<bool>("--recompute") { Description = "compute the inputs of the gates again in backward instead of keeping them" };
        var profile = new Option<bool>("--profile") { Description = "one work as the engine does it, its last run between cuProfilerStart and cuProfilerStop; nothing is timed" };
        var roofline = new Option<bool>("--roofline") { Description = "measure the device's ceilings and place every kernel under them; its work is counted by the emulator first, which takes up to some minutes a work" };
        return new BenchVerb("launches", "the time of every kernel within a synthesis and a training step", (parsed, settings) =>
        {
            if (settings.IsCpu) throw new ArgumentException("--device cpu: there are no launches; give cuda, cuda:N or emulator");
            string model = parsed.GetValue(preset)!;
            string[] works = parsed.GetValue(work) is { Length: > 0 } some ? some : [Synthesis, Training];
            int[] given = parsed.GetValue(clips)!;
            Workload[] workloads =
            [
                .. from precision in parsed.GetValue(precisions)
                   from kind in works
                   from batch in given is { Length: > 0 } ? given : kind == Synthesis && !parsed.GetValue(profile) ? [1, 16] : kind == Synthesis ? [1] : (int[])[16]
                   select kind == Synthesis ? (Workload)new SynthesisWork(model, batch, Workload.FramesOf(model, parsed.GetValue(seconds)), parsed.GetValue(full), precision)
                       : new TrainingWork(model, batch, parsed.GetValue(cropFrames), parsed.GetValue(recompute), precision),
            ];
            return parsed.GetValue(profile) ? Profile(settings, workloads) : Run(settings, workloads, parsed.GetValue(roofline));
        }, work, preset, precisions, clips, seconds, full, cropFrames, recompute, profile, roofline) { UsualDevice = "cuda" };
    }

    private static Result Run(BenchSettings settings, Workload[] workloads, bool underRoofs)
    {
        using ICudaDriver driver = BenchDevice.OpenDriver(settings.Device);
        if (!LaunchTimes.HasClock(driver)) throw new ArgumentException($"--device {settings.Device}: the emulator has no clock; bench costs predicts times from counts");
        using var clocks = new ClockWatch(driver.Device.PciBusId);
        using KernelBench? bench = underRoofs ? new KernelBench(BenchDevice.OpenDriver(settings.Device), settings.Repeat) : null;
        var rows = new List<Row>();
        var missing = new List<string>();
        if (bench is not null)
            foreach (string name in GpuCeilings.Names) rows.Add(bench.Ceilings.Row(name));
        foreach (Workload workload in workloads)
        {
            Console.Error.WriteLine(workload.Text);
            try
            {
                IReadOnlyList<Row> timed = LaunchTimes.Run(driver, workload);
                rows.AddRange(bench is null ? timed : UnderRoofs(timed, workload));
            }
            catch (Exception e) when (e is UnsupportedPrecisionException or UnsupportedKernelException or OutOfMemoryException) { missing.Add($"{LaunchTimes.Name(workload)}: not run: {e.Message}"); }
        }
        IEnumerable<Row> UnderRoofs(IReadOnlyList<Row> timed, Workload workload)
        {
            try { return [.. LaunchTimes.Placed(timed, LaunchTimes.Counted(driver.Device, workload), workload.Precision == Precision.Tf32 ? TensorKind.TF32 : TensorKind.F16, bench.Ceilings)]; }
            catch (Exception e) when (e is NotSupportedException or InvalidOperationException)
            {
                missing.Add($"{LaunchTimes.Name(workload)}: not under roofs: {e.Message}");
                return timed;
            }
        }
        var machine = Machine.Describe(settings);
        foreach (var (name, value) in clocks.Describe()) machine[name] = value;
        return new Result("launches", $"kernels within their work, {driver.DeviceText}", rows) { Machine = machine, Settings = settings.Describe(), Notes = [LaunchTimes.Note, .. underRoofs ? [LaunchTimes.RoofNote] : Array.Empty<string>(), clocks.Note(), .. missing] };
    }

    private static Result Profile(BenchSettings settings, Workload[] workloads)
    {
        if (workloads.Length != 1) throw new ArgumentException($"--profile runs one work: give --work, one --batch and one --precision; these are {string.Join(", ", workloads.Select(LaunchTimes.Name))}");
        using ICudaDriver driver = BenchDevice.OpenDriver(settings.Device, checks: false);
        LaunchTimes.Profile(driver, workloads[0]);
        return new Result("launches", $"{workloads[0].Text}, once between cuProfilerStart and cuProfilerStop, nothing timed, {driver.DeviceText}", [new Row(LaunchTimes.Name(workloads[0]), null)]) { Settings = settings.Describe() };
    }
}
