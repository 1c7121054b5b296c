using System.Diagnostics;
using DiffWave.Cpu;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>The residual block alone, in alternation with the FMA peak, so that both see the same machine.</summary>
internal static class BlockBench
{
    private const int Rows = 2048;

    public static IReadOnlyList<Dictionary<string, object>> Run(ModelConfig config, IReadOnlyList<int> threads, IReadOnlyList<int> layers, SimdLevel level, int rounds)
    {
        var parameters = Initializer.Create(config, seed: 1);
        var cost = OpCost.ResidualBlock(config, Rows);
        double executed = (double)cost.Flops * (2 * 1.5 + 2) / (2 * 3 + 2); // F(4, 3): 1.5 products an output in place of 3
        Console.WriteLine($"residual block, C={config.Channels}, {Rows} rows a call, conditioner given; {cost.Flops / 1e6:f1} MFLOP and {cost.Bytes / 1e6:f2} MB a call, {rounds} rounds");
        Console.WriteLine("threads  dilation  median us  [low .. high]   GFLOP/s   of FMA peak   executed   of FMA peak   FMA peak GFLOP/s");
        var results = new List<Dictionary<string, object>>();
        foreach (int count in threads)
        {
            using var ops = CpuDevice.Create(count, level);
            ops.Load(config, parameters);
            int history = Network.ChunkGrain(config) / 2;
            using IBuffer x = ops.Allocate(1, Rows + 2 * history, config.Channels), y = ops.Allocate(1, Rows + 2 * history, config.Channels), skips = ops.Allocate(1, Rows, config.Channels);
            using IBuffer conditioner = ops.Allocate(1, Rows, 2 * config.Channels), stepBias = ops.Allocate(1, config.Layers, config.Channels);
            var normals = new float[(Rows + 2 * history) * config.Channels];
            PhiloxNoise.Fill(1, 0, 0, 0, normals);
            ops.Upload(normals, x, 0, 0);
            ops.Upload(normals.AsSpan(0, Rows * config.Channels), conditioner, 0, 0);
            foreach (int layer in layers)
            {
                void Call() => ops.ResidualBlock(layer, new TimeRange(1 << 20, Rows, 1 << 30), new Window(x, history), stepBias, null,
                    config.HasMel ? new Window(conditioner, 0) : null, new Window(y, history), new Window(skips, 0));
                for (int warm = 0; warm < 50; warm++) Call();
                Sample time = new(), peak = new(), share = new();
                for (int round = 0; round < rounds; round++)
                {
                    double ceiling = FmaPeak.Measure(count);
                    const int Calls = 100;
                    long start = Stopwatch.GetTimestamp();
                    for (int i = 0; i < Calls; i++) Call();
                    double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds / Calls;
                    time.Add(seconds);
                    peak.Add(ceiling);
                    share.Add(cost.Flops / seconds / ceiling);
                }
                double rate = cost.Flops / time.Median, executedRate = executed / time.Median;
                Console.WriteLine($"{count,7}  {config.Dilation(layer),8}  {time.Median * 1e6,9:f0}  [{time.Low * 1e6:f0} .. {time.High * 1e6:f0}]  {rate / 1e9,8:f0}  {share.Median,11:p0}  {executedRate / 1e9,9:f0}  {share.Median * executed / cost.Flops,11:p0}  {peak.Median / 1e9,16:f0}");
                results.Add(new()
                {
                    ["threads"] = count, ["device"] = ops.Device, ["dilation"] = config.Dilation(layer), ["rows"] = Rows, ["rounds"] = rounds,
                    ["median_seconds"] = time.Median, ["low_seconds"] = time.Low, ["high_seconds"] = time.High, ["flops"] = cost.Flops, ["bytes"] = cost.Bytes,
                    ["gflops"] = rate / 1e9, ["share_of_peak"] = share.Median, ["executed_gflops"] = executedRate / 1e9, ["executed_share_of_peak"] = share.Median * executed / cost.Flops,
                    ["fma_peak_gflops"] = peak.Median / 1e9,
                });
            }
        }
        return results;
    }
}
