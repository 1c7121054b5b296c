using System.CommandLine;
using System.Diagnostics;
using DiffWave.Compiler;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;
using DiffWave.Emulator.Reports;
using DiffWave.Kernels;

namespace DiffWave.Bench;

/// <summary>How long the kernel compiler takes, and how fast the emulator executes. Neither says anything about a GPU.</summary>
internal static class KernelToolsBench
{
    private static readonly string[] Typical = ["GatedActivation", "BlockSum", "PhiloxNormal", "MatrixProduct"]; // elementwise, a sum, integers, products

    public static Command CompilerVerb() => new BenchVerb("compiler", "milliseconds from C# to PTX, for every kernel of the catalogue", (_, settings) =>
        Suite.Run("compiler", "C# to PTX, target sm_80; first: cold in this process, the first row with the compiler's own start", settings, [.. KernelCatalog.All.Select(version => new BenchCase($"compiler/{version.Name}", () => Compile(settings, version)))]));

    public static Command EmulatorVerb() => new BenchVerb("emulator", "thread-instructions the emulator executes a second, with all its checks", (_, settings) =>
        Suite.Run("emulator", "emulator of GPU kernels, checks on", settings,
        [
            new BenchCase("emulator/fma_chain", () => FmaChain(settings)),
            .. KernelCatalog.All.Where(version => Typical.Contains(version.Op)).Select(version => new BenchCase($"emulator/{version.Name}", () => Emulate(settings, version))),
        ]));

    // Once cold in this process, then warm.
    private static Row Compile(BenchSettings settings, KernelVersion version)
    {
        var constants = version.Constants(version.Shapes[0]);
        (double Seconds, CompiledKernel Kernel) Once()
        {
            long start = Stopwatch.GetTimestamp();
            CompiledKernel kernel = KernelCompiler.Compile(version.Method, new PtxTarget(80), constants);
            return (Stopwatch.GetElapsedTime(start).TotalSeconds, kernel);
        }
        (double first, CompiledKernel compiled) = Once();
        for (int warm = 0; warm < 3; warm++) Once();
        return new Row($"compiler/{version.Name}", settings.Repeat.Run(() => Once().Seconds)) { Figures = new Dictionary<string, object?> { ["ptx_lines"] = compiled.Ptx.Count(c => c == '\n'), ["first_seconds"] = first } };
    }

    private static Row Emulate(BenchSettings settings, KernelVersion version)
    {
        long instructions;
        using (EmulatedDriver driver = Driver(settings, reports: true))
        using (var runner = new KernelRunner(driver))
        using (PreparedTrial counted = runner.Prepare(version, version.Shapes[0]))
        {
            counted.Launch();
            instructions = Instructions(driver);
        }
        using EmulatedDriver timed = Driver(settings, reports: false);
        using var timedRunner = new KernelRunner(timed);
        using PreparedTrial trial = timedRunner.Prepare(version, version.Shapes[0]);
        return Measure(version.Name, settings, instructions, () => trial.Launch());
    }

    private static Row FmaChain(BenchSettings settings)
    {
        const int Blocks = 64, Group = 256, Steps = 2048;
        void Run(EmulatedDriver driver, Action<Action> use)
        {
            using var runner = new KernelRunner(driver);
            LoadedKernel kernel = runner.Load(typeof(KernelToolsBench).GetMethod(nameof(FmaChainKernel))!);
            ulong x = driver.Allocate(Blocks * Group * sizeof(float));
            driver.FillAsync(x, 0x3F800000, Blocks * Group, 0);
            use(() => runner.Launch(kernel, new Dim3(Blocks), new Dim3(Group), 0, 0, new DeviceArray(x, Blocks * Group, typeof(float)), Steps));
        }
        long instructions = 0;
        using (EmulatedDriver counted = Driver(settings, reports: true))
            Run(counted, launch =>
            {
                launch();
                instructions = Instructions(counted);
            });
        Row? row = null;
        using (EmulatedDriver timed = Driver(settings, reports: false)) Run(timed, launch => row = Measure("fma_chain", settings, instructions, launch));
        return row!;
    }

    /// <summary>x = 0.75 x + 0.25, again and again, eight at a time: fp32 arithmetic and nothing else.</summary>
    [Kernel("fma_chain")]
    public static void FmaChainKernel(ArrayView<float> x, int steps)
    {
        int index = Grid.GlobalIndex.X;
        float value = x[index];
        for (int step = 0; step < steps; step += 8)
            for (int i = 0; i < 8; i++) value = MathF.FusedMultiplyAdd(value, 0.75f, 0.25f);
        x[index] = value;
    }

    private static Row Measure(string name, BenchSettings settings, long instructions, Action launch)
    {
        launch();
        int repeats = 1; // a tenth of a second at least
        for (; Seconds(launch, repeats) < 0.1; repeats *= 2) { }
        Sample seconds = settings.Repeat.Run(() => Seconds(launch, repeats) / repeats);
        return new Row($"emulator/{name}", seconds) { Figures = new Dictionary<string, object?> { ["threads"] = settings.Threads, ["thread_instructions"] = instructions, ["instructions_per_second"] = instructions / seconds.Median } };
    }

    private static double Seconds(Action launch, int repeats)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < repeats; i++) launch();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static EmulatedDriver Driver(BenchSettings settings, bool reports) => new(new EmulatorOptions { Threads = settings.Threads, Reports = reports });

    private static long Instructions(EmulatedDriver driver) => driver.Reports.Sum(report => report.Instructions.Sum(count => count.Thread));
}
