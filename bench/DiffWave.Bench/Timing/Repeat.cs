using System.Diagnostics;

namespace DiffWave.Bench;

/// <summary>
/// How often something is measured: until the spread of the median settles, within bounds. The clock starts with the first measurement; warming up is the caller's.
/// </summary>
/// <param name="Least">Measurements that are always taken.</param>
/// <param name="Most">Measurements that are never exceeded.</param>
/// <param name="Seconds">Once so much time is gone no other is begun.</param>
/// <param name="Spread">The <see cref="Sample.Spread"/> that is small enough.</param>
internal sealed record Repeat(int Least = 9, int Most = 250, double Seconds = 10, double Spread = 0.01)
{
    /// <summary>One of several parts that together come to this.</summary>
    public Repeat Part(int of) => this with { Least = (Least + of - 1) / of, Most = (Most + of - 1) / of, Seconds = Seconds / of };

    /// <summary>Takes measurements until they settle.</summary>
    /// <param name="once">Takes one.</param>
    public Sample Run(Func<double> once)
    {
        var sample = new Sample();
        long start = Stopwatch.GetTimestamp();
        while (!IsEnough(sample, Stopwatch.GetElapsedTime(start).TotalSeconds)) sample.Add(once());
        return sample;
    }

    /// <summary>Whether a sample that took some seconds needs no more measurements.</summary>
    public bool IsEnough(Sample sample, double seconds) =>
        sample.Count >= Most || (sample.Count >= Least && (seconds >= Seconds || sample.Spread <= Spread)) || (sample.Count > 0 && seconds >= 4 * Seconds);
}
