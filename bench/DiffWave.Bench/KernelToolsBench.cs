using System.Diagnostics;
using System.Globalization;
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
    /// <summary>Compiles every kernel of the catalogue: once cold in this process, then <paramref name="rounds"/> times warm.</summary>
    public static IReadOnlyList<Dictionary<string, object>> Compile(int rounds)
    {
        Console.WriteLine($"C# to PTX, target sm_80, {rounds} rounds; first: with the compiler's own start in the first row");
        Console.WriteLine("kernel                              PTX lines   first ms   median ms  [low .. high]");
        var results = new List<Dictionary<string, object>>();
        foreach (KernelVersion version in KernelCatalog.All)
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
            var time = new Sample();
            for (int round = 0; round < rounds; round++) time.Add(Once().Seconds);
            int lines = compiled.Ptx.Count(c => c == '\n');
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{version.Name,-34}  {lines,10}  {first * 1e3,9:f1}  {time.Median * 1e3,10:f1}  [{time.Low * 1e3:f1} .. {time.High * 1e3:f1}]"));
            results.Add(new()
            {
                ["kernel"] = version.Name, ["ptx_lines"] = lines, ["first_seconds"] = first, ["rounds"] = rounds,
                ["median_seconds"] = time.Median, ["low_seconds"] = time.Low, ["high_seconds"] = time.High,
            });
        }
        return results;
    }

    /// <summary>Thread-instructions a second of a chain of FMAs and of the catalogue's kernels at their usual shapes, every check on.</summary>
    public static IReadOnlyList<Dictionary<string, object>> Emulate(IReadOnlyList<int> threads, int rounds)
    {
        Console.WriteLine($"emulator, checks on, million thread-instructions a second, {rounds} rounds");
        Console.WriteLine("kernel                              threads  instructions    median  [low .. high]");
        var results = new List<Dictionary<string, object>>();
        foreach (int count in threads)
        {
            results.Add(FmaChain(count, rounds));
            foreach (KernelVersion version in KernelCatalog.All)
            {
                using var driver = Driver(count, reports: true);
                using var runner = new KernelRunner(driver);
                long instructions;
                using (PreparedTrial counted = runner.Prepare(version, version.Shapes[0]))
                {
                    counted.Launch();
                    instructions = Instructions(driver);
                }
                using var timed = Driver(count, reports: false);
                using var timedRunner = new KernelRunner(timed);
                using PreparedTrial trial = timedRunner.Prepare(version, version.Shapes[0]);
                results.Add(Measure(version.Name, count, instructions, rounds, trial.Launch));
            }
        }
        return results;
    }

    private static Dictionary<string, object> FmaChain(int threads, int rounds)
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
        using (EmulatedDriver counted = Driver(threads, reports: true))
            Run(counted, launch =>
            {
                launch();
                instructions = Instructions(counted);
            });
        Dictionary<string, object>? result = null;
        using (EmulatedDriver timed = Driver(threads, reports: false)) Run(timed, launch => result = Measure("fma_chain", threads, instructions, rounds, launch));
        return result!;
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

    private static Dictionary<string, object> Measure(string name, int threads, long instructions, int rounds, Action launch)
    {
        var rate = new Sample();
        launch();
        int repeats = 1; // a tenth of a second at least
        for (; ; repeats *= 2)
        {
            if (Seconds(launch, repeats) > 0.1) break;
        }
        for (int round = 0; round < rounds; round++) rate.Add((double)instructions * repeats / Seconds(launch, repeats));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-34}  {threads,8}  {instructions,12}  {rate.Median / 1e6,8:f0}  [{rate.Low / 1e6:f0} .. {rate.High / 1e6:f0}]"));
        return new()
        {
            ["kernel"] = name, ["threads"] = threads, ["thread_instructions"] = instructions, ["rounds"] = rounds,
            ["median_per_second"] = rate.Median, ["low_per_second"] = rate.Low, ["high_per_second"] = rate.High,
        };
    }

    private static double Seconds(Action launch, int repeats)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < repeats; i++) launch();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static EmulatedDriver Driver(int threads, bool reports) => new(new EmulatorOptions { Threads = threads, Reports = reports });

    private static long Instructions(EmulatedDriver driver) => driver.Reports.Sum(report => report.Instructions.Sum(count => count.Thread));
}
