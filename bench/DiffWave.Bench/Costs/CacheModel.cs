namespace DiffWave.Bench.Costs;

/// <summary>
/// Which of the bytes that launches touch come from or go to device memory, with an L2 that keeps what was used last, whole buffers or their pieces at a time: one is found there when everything touched since
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
        var last = new Dictionary<(ulong, int), int>();                        // launch that touched a piece last
        var dirty = new Dictionary<(ulong, int), (int Launch, double Bytes)>(); // written and still in the cache
        for (int at = 0; at < 2 * launches.Count; at++)
        {
            bool repeats = at >= launches.Count;
            foreach (Touch touch in launches[at % launches.Count])
            {
                bool isFound = last.TryGetValue((touch.Buffer, touch.Piece), out int before) && Span(before, at) <= cacheBytes;
                if (!isFound)
                {
                    if (dirty.Remove((touch.Buffer, touch.Piece), out var old) && repeats) bytes[old.Launch] += old.Bytes;
                    if (repeats) bytes[at % launches.Count] += touch.Read;
                }
                if (touch.Written > 0) dirty[(touch.Buffer, touch.Piece)] = (at % launches.Count, Math.Max(touch.Written, dirty.GetValueOrDefault((touch.Buffer, touch.Piece)).Bytes));
            }
            foreach (Touch touch in launches[at % launches.Count]) last[(touch.Buffer, touch.Piece)] = at;
        }
        return bytes;

        // Distinct bytes touched by launches first .. end; stops when they are more than the cache holds.
        double Span(int first, int end)
        {
            var seen = new Dictionary<(ulong, int), double>();
            double sum = 0;
            for (int at = end; at >= first && sum <= cacheBytes; at--)
                foreach (Touch touch in launches[at % launches.Count])
                {
                    double more = touch.Bytes - seen.GetValueOrDefault((touch.Buffer, touch.Piece));
                    if (more <= 0) continue;
                    seen[(touch.Buffer, touch.Piece)] = touch.Bytes;
                    sum += more;
                }
            return sum;
        }
    }
}
