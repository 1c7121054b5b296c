using System.ComponentModel;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using DiffWave.Cpu;
using Perfolizer.Horology;
using Perfolizer.Mathematics.OutlierDetection;

namespace DiffWave.Bench;

/// <summary>Pieces of work measured by BenchmarkDotNet, in this process: it finds how often a call has to be made, warms up, and takes away what calling costs. Nothing else refers to its types, so nothing else loads it.</summary>
internal static class MicroBench
{
    /// <summary>Measures.</summary>
    /// <param name="cases">What.</param>
    /// <param name="isLong">Three times as many measurements, each three times as long.</param>
    /// <param name="artifacts">Folder for what BenchmarkDotNet writes.</param>
    /// <param name="log">Receives what it says.</param>
    public static Result Run(IReadOnlyList<MicroCase> cases, bool isLong, string artifacts, TextWriter log)
    {
        Job job = Job.Default.WithToolchain(new InProcessEmitToolchain(TimeSpan.FromHours(1), logOutput: false))
            .WithOutlierMode(OutlierMode.DontRemove).WithWarmupCount(3).WithIterationCount(isLong ? 27 : 9).WithIterationTime(TimeInterval.FromMilliseconds(isLong ? 300 : 100));
        IConfig config = ManualConfig.CreateEmpty().AddJob(job).AddColumnProvider(DefaultColumnProviders.Instance).AddDiagnoser(MemoryDiagnoser.Default).AddLogger(new TextLogger(log))
            .WithArtifactsPath(artifacts).WithOptions(ConfigOptions.DisableLogFile | ConfigOptions.KeepBenchmarkFiles);
        MicroBenchmark.Chosen = [.. cases.Select(one => new MicroBenchmark.Piece(one))];
        Summary summary = BenchmarkRunner.Run<MicroBenchmark>(config);
        if (summary.HasCriticalValidationErrors) throw new InvalidOperationException($"BenchmarkDotNet refuses: {string.Join("; ", summary.ValidationErrors.Select(error => error.Message))}");
        var rows = new List<Row>();
        var missing = new List<string>();
        foreach (MicroCase one in cases)
        {
            BenchmarkReport? report = summary.Reports.FirstOrDefault(report => ((MicroBenchmark.Piece)report.BenchmarkCase.Parameters[nameof(MicroBenchmark.Of)]).Case == one);
            double[] seconds = [.. (report is { Success: true } ? report.GetResultRuns() : []).Select(run => run.Nanoseconds / run.Operations / 1e9)];
            if (report is null || seconds.Length == 0) missing.Add($"micro/{one.Name}: not measured, see the lines above");
            else rows.Add(ToRow(one, new Sample(seconds), report.GcStats.GetBytesAllocatedPerOperation(report.BenchmarkCase)));
        }
        return new Result("micro", $"pieces of operations and of the host's work, one thread, {CpuDevice.BestLevel}", rows)
        {
            Machine = Machine.Describe(), Notes = [.. missing],
            Settings = new Dictionary<string, object?>
            {
                ["threads"] = 1, ["simd"] = CpuDevice.BestLevel.ToString(), ["rounds"] = job.Run.IterationCount, ["round_seconds"] = job.Run.IterationTime.ToSeconds(), ["measured_by"] = $"BenchmarkDotNet {typeof(BenchmarkRunner).Assembly.GetName().Version?.ToString(3)}, in process",
            },
        };
    }

    private static Row ToRow(MicroCase one, Sample seconds, long? allocated) => new($"micro/{one.Name}", seconds)
    {
        Figures = new Dictionary<string, object?>
        {
            ["elements"] = one.Elements, ["elements_per_second"] = one.Elements / seconds.Median, ["flops"] = one.Flops, ["gflops"] = one.Flops / seconds.Median / 1e9, ["allocated_bytes"] = allocated,
        },
    };

    private sealed class TextLogger(TextWriter log) : ILogger
    {
        public string Id => nameof(TextLogger);

        public int Priority => 0;

        public void Write(LogKind kind, string text) => log.Write(text);

        public void WriteLine() => log.WriteLine();

        public void WriteLine(LogKind kind, string text) => log.WriteLine(text);

        public void Flush() => log.Flush();
    }
}

/// <summary>What BenchmarkDotNet runs: one method, and the pieces as its parameter. Public because the code it emits derives from it.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public class MicroBenchmark
{
    private MicroCall? _call;
    private Action _work = () => { };

    internal static IReadOnlyList<Piece> Chosen { get; set; } = [];

    /// <summary>The pieces that were asked for.</summary>
    public static IEnumerable<Piece> Pieces => Chosen;

    /// <summary>The piece.</summary>
    [ParamsSource(nameof(Pieces))]
    public Piece Of { get; set; } = null!;

    /// <summary>Makes its data.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _call = Of.Case.Prepare();
        _work = _call.Call;
    }

    /// <summary>One call.</summary>
    [Benchmark]
    public void Call() => _work();

    /// <summary>Gives its memory back.</summary>
    [GlobalCleanup]
    public void Cleanup() => _call?.Dispose();

    /// <summary>A case, by its name.</summary>
    public sealed class Piece
    {
        internal Piece(MicroCase one) => Case = one;

        internal MicroCase Case { get; }

        /// <inheritdoc/>
        public override string ToString() => Case.Name;
    }
}
