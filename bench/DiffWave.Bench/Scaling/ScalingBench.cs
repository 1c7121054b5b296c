using System.Diagnostics;
using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Bench;

/// <summary>
/// How the time of a synthesis grows with the length, the clips side by side, the channels, the layers and the threads. The points of an axis are measured in turns, so that a machine that is busy for a while is
/// busy for all of them, and what a point is beside the first is taken round by round.
/// </summary>
internal static class ScalingBench
{
    private const int LeastRounds = 3;
    private const double MostToWarmUp = 60;

    /// <summary>Measures.</summary>
    /// <param name="settings">Device and how often; two points share the seconds of a case.</param>
    /// <param name="axes">What is varied.</param>
    /// <param name="precision">What it is computed with.</param>
    public static Result Run(BenchSettings settings, IReadOnlyList<ScalingAxis> axes, Precision precision)
    {
        if (settings.Device == "emulator") throw new NotSupportedException("scaling: --device emulator has no clock; take cpu or cuda");
        var rows = new List<Row>();
        var missing = new List<string>();
        foreach (ScalingAxis axis in axes) rows.AddRange(Run(settings, axis, precision, missing));
        string device;
        using (BenchDevice on = settings.Open(precision)) device = on.Ops.Device;
        return new Result("scaling", $"scaling of a synthesis of one step, {device}", rows)
        {
            Machine = Machine.Describe(settings), Settings = new Dictionary<string, object?>(settings.Describe()) { ["precision"] = precision.ToString().ToLowerInvariant(), ["steps"] = 1 },
            Notes =
            [
                "relative: time of a sample of audio beside that of the first of its kind, median of the rounds; ideal: what it would be if time went with the FLOP, and with threads by their number; processor: the same of processor time, which other programs change less and more threads do not lessen; GFLOP/s by definition.", .. missing,
            ],
        };
    }

    private static List<Row> Run(BenchSettings settings, ScalingAxis axis, Precision precision, List<string> missing)
    {
        var open = new List<Open>();
        try
        {
            foreach (ScalingPoint point in axis.Points)
            {
                try { open.Add(new Open(settings, point, precision)); }
                catch (Exception e) when (e is UnsupportedPrecisionException or UnsupportedKernelException or OutOfMemoryException) { missing.Add($"{axis.Case(point)}: not run: {e.Message}"); }
            }
            double budget = settings.Repeat.Seconds * axis.Points.Count / 2;
            long start = Stopwatch.GetTimestamp();
            for (int round = 1; open.Count > 0; round++)
            {
                Console.Error.WriteLine($"scaling/{axis.Name}: round {round}");
                foreach (Open one in open) one.Measure();
                double taken = Stopwatch.GetElapsedTime(start).TotalSeconds;
                bool settled = round >= settings.Repeat.Least && open.All(one => one.Seconds.Spread <= settings.Repeat.Spread);
                if (round >= settings.Repeat.Most || settled || (round >= LeastRounds && taken * (round + 1) / round > budget)) break;
            }
            return [.. open.Select(one => one.ToRow(axis, open[0], precision))];
        }
        finally
        {
            foreach (Open one in open) one.Dispose();
        }
    }

    // A point with its device and buffers, warm.
    private sealed class Open : IDisposable
    {
        private readonly ScalingPoint _point;
        private readonly BenchDevice _device;
        private readonly int _threads;

        public Open(BenchSettings settings, ScalingPoint point, Precision precision)
        {
            _point = point;
            _threads = point.Threads ?? settings.Threads;
            _device = (settings with { Threads = _threads }).Open(precision);
            try
            {
                Synthesis = new TimedSynthesis(_device.Ops, point.Config, point.Seconds, point.Batch, full: false, settings.Seed);
                if (!_device.IsCpu || Synthesis.AudioSeconds <= MostToWarmUp) Synthesis.Once(); // compiles and allocates; of minutes of audio on a CPU that is nothing
                if (!_device.IsCpu) Synthesis.Once(); // records the chain
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        public TimedSynthesis Synthesis { get; } = null!;

        public Sample Seconds { get; } = new();

        // Of this process, all threads: what other programs hardly change.
        private Sample ProcessorSeconds { get; } = new();

        public void Measure()
        {
            TimeSpan before = Environment.CpuUsage.TotalTime;
            Seconds.Add(Synthesis.Once());
            ProcessorSeconds.Add((Environment.CpuUsage.TotalTime - before).TotalSeconds);
        }

        public Row ToRow(ScalingAxis axis, Open first, Precision precision)
        {
            double ratio = first.Synthesis.Samples / (double)Synthesis.Samples;
            var relative = new Sample(Seconds.Values.Zip(first.Seconds.Values, (own, other) => own / other * ratio));
            double processor = ProcessorSeconds.Values.Sum(), ofFirst = first.ProcessorSeconds.Values.Sum();
            return new Row(axis.Case(_point), Seconds)
            {
                Figures = new Dictionary<string, object?>
                {
                    ["axis"] = axis.Name, ["axis_title"] = axis.Title, ["size"] = _point.Size, ["channels"] = _point.Config.Channels, ["layers"] = _point.Config.Layers, ["batch"] = _point.Batch, ["clip_seconds"] = _point.Seconds,
                    ["threads"] = _device.IsCpu ? _threads : null, ["precision"] = precision.ToString().ToLowerInvariant(), ["device"] = _device.Ops.Device, ["samples"] = Synthesis.Samples,
                    ["seconds_per_sample"] = Seconds.Median / Synthesis.Samples, ["relative"] = relative.Median, ["relative_low"] = relative.Low, ["relative_high"] = relative.High,
                    ["processor_relative"] = _device.IsCpu && ofFirst > 0 ? processor / ofFirst * ratio : null,
                    ["ideal_relative"] = Synthesis.Flops / first.Synthesis.Flops * ratio * first._threads / _threads, ["flops"] = Synthesis.Flops, ["gflops"] = Synthesis.Flops / Seconds.Median / 1e9,
                },
            };
        }

        public void Dispose()
        {
            Synthesis?.Dispose(); // null when it could not be made
            _device.Dispose();
        }
    }
}
