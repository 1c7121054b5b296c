namespace DiffWave.Kernels;

/// <summary>Sums over the eight lanes of a warp that hold the same columns of a tensor core's results, lanes 4 i + j of one j, in a fixed order.</summary>
internal static class EightLanes
{
    /// <summary>Eight sums of each lane become one, of all eight lanes: lane 4 v + j gets that of value v. Each step halves what a lane holds, so that there are seven shuffles instead of 24.</summary>
    /// <param name="values">Eight values; on return the first is the sum.</param>
    /// <param name="lane">0 to 31.</param>
    public static void Sum(ArrayView<float> values, int lane)
    {
        for (int half = 4, lanes = 16; half > 0; half /= 2, lanes /= 2)
            for (int i = 0; i < half; i++)
            {
                bool upper = (lane & lanes) != 0;
                float kept = upper ? values[half + i] : values[i], given = upper ? values[i] : values[half + i];
                values[i] = kept + Warp.ShuffleXor(given, lanes);
            }
    }
}
