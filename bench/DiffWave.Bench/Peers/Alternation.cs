namespace DiffWave.Bench;

/// <summary>Our program and the peer in turn, round by round, so that both see the same machine.</summary>
internal sealed class Alternation
{
    private readonly Sample _ours = new(), _theirs = new(), _ratio = new(), _peak = new(), _share = new();
    private readonly double _flops;
    private readonly string _peakName;
    private long _peerMemory;

    /// <param name="rounds">How often each runs.</param>
    /// <param name="device">Gives the peak, asked before every round.</param>
    /// <param name="flops">Work of one run by definition.</param>
    /// <param name="ours">Runs ours; its seconds.</param>
    /// <param name="theirs">Runs the peer's; its seconds and peak memory. Null without a peer.</param>
    public Alternation(int rounds, BenchDevice device, double flops, Func<double> ours, Func<(double Seconds, long PeakMemory)>? theirs)
    {
        (_flops, _peakName) = (flops, device.PeakName);
        for (int round = 0; round < rounds; round++)
        {
            double? peak = device.Peak();
            double own = ours();
            _ours.Add(own);
            if (peak is { } most)
            {
                _peak.Add(most);
                _share.Add(flops / own / most);
            }
            if (theirs is null) continue;
            var (other, memory) = theirs();
            _theirs.Add(other);
            _ratio.Add(other / own);
            _peerMemory = Math.Max(_peerMemory, memory);
        }
    }

    /// <summary>Prints a line for each program and one for their ratio.</summary>
    /// <param name="speed">The benchmark's own figure for a median in seconds.</param>
    public void Print(Func<double, string> speed)
    {
        void Line(string name, Sample time, long memory) => Console.WriteLine(
            $"{name,-10} median {time.Median,7:f3} s  [{time.Low:f3} .. {time.High:f3}]  {speed(time.Median)}  {_flops / time.Median / 1e9,6:f0} GFLOP/s  peak memory {memory / 1048576.0,6:f0} MiB");
        Line("diffwave", _ours, Machine.PeakMemory());
        if (_theirs.Count > 0)
        {
            Line("pytorch", _theirs, _peerMemory);
            Console.WriteLine($"pytorch / diffwave, round by round: median {_ratio.Median:f2}  [{_ratio.Low:f2} .. {_ratio.High:f2}]");
        }
        string limit = _peak.Count == 0 ? "" : $"; {_peakName} {_peak.Median / 1e9:f0} GFLOP/s, diffwave at {_share.Median:p0} of it";
        Console.WriteLine($"GFLOP/s count {_flops / 1e9:f0} GFLOP by definition (every step computing everything){limit}");
    }

    /// <summary>Adds the measurements to a result.</summary>
    /// <param name="result">What was measured.</param>
    /// <param name="peer">What the peer was; it gets its own measurements. Null without a peer.</param>
    public void AddTo(Dictionary<string, object> result, Dictionary<string, object>? peer)
    {
        (result["rounds"], result["flops"]) = (_ours.Count, _flops);
        if (_peak.Count > 0) (result["fma_peak_gflops"], result["share_of_peak"]) = (_peak.Median / 1e9, _share.Median);
        (result["median_seconds"], result["low_seconds"], result["high_seconds"]) = (_ours.Median, _ours.Low, _ours.High);
        (result["gflops"], result["peak_memory_bytes"]) = (_flops / _ours.Median / 1e9, Machine.PeakMemory());
        if (peer is null) return;
        (peer["median_seconds"], peer["low_seconds"], peer["high_seconds"]) = (_theirs.Median, _theirs.Low, _theirs.High);
        (peer["gflops"], peer["peak_memory_bytes"]) = (_flops / _theirs.Median / 1e9, _peerMemory);
        (peer["ratio_median"], peer["ratio_low"], peer["ratio_high"]) = (_ratio.Median, _ratio.Low, _ratio.High);
        result["peer"] = peer;
    }

    /// <summary>The median of our runs in seconds.</summary>
    public double Seconds => _ours.Median;
}
