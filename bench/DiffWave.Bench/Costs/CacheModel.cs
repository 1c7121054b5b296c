namespace DiffWave.Bench.Costs;

/// <summary>
/// Which of the bytes that launches touch come from or go to device memory, with an L2 that keeps what was used last, whole buffers at a time: a buffer is found there when everything touched since
/// it was touched last, both launches included, fits. What is written goes to device memory when it is not found there the next time. The launches repeat, so the first finds what the last ones left.
/// </summary>
internal static class CacheModel
{
    /// <summary>Bytes of device memory read and written, by launch.</summary>
    /// <param name="launches">What each touches, in order.</param>
    /// <param name="cacheBytes">Bytes of L2.</param>
    public static double[] DramBytes(IReadOnlyList<IReadOnlyList<Touch>> launches, double cacheBytes)
    {
        var bytes = new double[launches.Count];
        var last = new Dictionary<ulong, int>();                        // launch that touched a buffer last
        var dirty = new Dictionary<ulong, (int Launch, double Bytes)>(); // written and still in the cache
        for (int at = 0; at < 2 * launches.Count; at++)
        {
            bool repeats = at >= launches.Count;
            foreach (Touch touch in launches[at % launches.Count])
            {
                bool isFound = last.TryGetValue(touch.Buffer, out int before) && Span(before, at) <= cacheBytes;
                if (!isFound)
                {
                    if (dirty.Remove(touch.Buffer, out var old) && repeats) bytes[old.Launch] += old.Bytes;
                    if (repeats) bytes[at % launches.Count] += touch.Read;
                }
                if (touch.Written > 0) dirty[touch.Buffer] = (at % launches.Count, Math.Max(touch.Written, dirty.GetValueOrDefault(touch.Buffer).Bytes));
            }
            foreach (Touch touch in launches[at % launches.Count]) last[touch.Buffer] = at;
        }
        return bytes;

        // Distinct bytes touched by launches first .. end; stops when they are more than the cache holds.
        double Span(int first, int end)
        {
            var seen = new Dictionary<ulong, double>();
            double sum = 0;
            for (int at = end; at >= first && sum <= cacheBytes; at--)
                foreach (Touch touch in launches[at % launches.Count])
                {
                    double more = touch.Bytes - seen.GetValueOrDefault(touch.Buffer);
                    if (more <= 0) continue;
                    seen[touch.Buffer] = touch.Bytes;
                    sum += more;
                }
            return sum;
        }
    }
}
