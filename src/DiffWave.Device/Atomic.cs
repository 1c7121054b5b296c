namespace DiffWave.Device;

/// <summary>
/// Indivisible read-modify-write on global and shared memory; every one returns the value before. The order between threads is not defined, so floating-point sums vary from run to
/// run on a GPU. As ordinary C# the threads run one after the other and plain memory accesses do.
/// </summary>
public static partial class Atomic
{
    /// <summary>Adds.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">What to add.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.add.s32 {r}, [{0}], {1}", Volatile = true)]
    public static int Add(ref int target, int value)
    {
        int before = target;
        target = unchecked(before + value);
        return before;
    }

    /// <summary>Adds.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">What to add.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.add.u32 {r}, [{0}], {1}", Volatile = true)]
    public static uint Add(ref uint target, uint value)
    {
        uint before = target;
        target = unchecked(before + value);
        return before;
    }

    /// <summary>Adds.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">What to add.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.add.u64 {r}, [{0}], {1}", Volatile = true)]
    public static long Add(ref long target, long value)
    {
        long before = target;
        target = unchecked(before + value);
        return before;
    }

    /// <summary>Adds.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">What to add.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.add.u64 {r}, [{0}], {1}", Volatile = true)]
    public static ulong Add(ref ulong target, ulong value)
    {
        ulong before = target;
        target = unchecked(before + value);
        return before;
    }

    /// <summary>Adds. In global memory subnormal inputs and results count as zero on a GPU.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">What to add.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.add.f32 {r}, [{0}], {1}", Volatile = true)]
    public static float Add(ref float target, float value)
    {
        float before = target;
        target = before + value;
        return before;
    }

    /// <summary>Adds.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">What to add.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.add.f64 {r}, [{0}], {1}", Volatile = true)]
    public static double Add(ref double target, double value)
    {
        double before = target;
        target = before + value;
        return before;
    }

    /// <summary>Leaves the greater of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.max.s32 {r}, [{0}], {1}", Volatile = true)]
    public static int Max(ref int target, int value)
    {
        int before = target;
        target = Math.Max(before, value);
        return before;
    }

    /// <summary>Leaves the greater of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.max.u32 {r}, [{0}], {1}", Volatile = true)]
    public static uint Max(ref uint target, uint value)
    {
        uint before = target;
        target = Math.Max(before, value);
        return before;
    }

    /// <summary>Leaves the greater of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.max.s64 {r}, [{0}], {1}", Volatile = true)]
    public static long Max(ref long target, long value)
    {
        long before = target;
        target = Math.Max(before, value);
        return before;
    }

    /// <summary>Leaves the greater of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.max.u64 {r}, [{0}], {1}", Volatile = true)]
    public static ulong Max(ref ulong target, ulong value)
    {
        ulong before = target;
        target = Math.Max(before, value);
        return before;
    }

    /// <summary>Leaves the greater of both, by repeated <see cref="CompareExchange(ref float, float, float)"/>; a NaN on either side leaves the target as it is.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    public static float Max(ref float target, float value)
    {
        float seen = target;
        while (value > seen)
        {
            float before = CompareExchange(ref target, seen, value);
            if (BitConverter.SingleToUInt32Bits(before) == BitConverter.SingleToUInt32Bits(seen)) break;
            seen = before;
        }
        return seen;
    }

    /// <summary>Leaves the greater of both, by repeated <see cref="CompareExchange(ref double, double, double)"/>; a NaN on either side leaves the target as it is.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    public static double Max(ref double target, double value)
    {
        double seen = target;
        while (value > seen)
        {
            double before = CompareExchange(ref target, seen, value);
            if (BitConverter.DoubleToUInt64Bits(before) == BitConverter.DoubleToUInt64Bits(seen)) break;
            seen = before;
        }
        return seen;
    }

    /// <summary>Leaves the smaller of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.min.s32 {r}, [{0}], {1}", Volatile = true)]
    public static int Min(ref int target, int value)
    {
        int before = target;
        target = Math.Min(before, value);
        return before;
    }

    /// <summary>Leaves the smaller of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.min.u32 {r}, [{0}], {1}", Volatile = true)]
    public static uint Min(ref uint target, uint value)
    {
        uint before = target;
        target = Math.Min(before, value);
        return before;
    }

    /// <summary>Leaves the smaller of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.min.s64 {r}, [{0}], {1}", Volatile = true)]
    public static long Min(ref long target, long value)
    {
        long before = target;
        target = Math.Min(before, value);
        return before;
    }

    /// <summary>Leaves the smaller of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.min.u64 {r}, [{0}], {1}", Volatile = true)]
    public static ulong Min(ref ulong target, ulong value)
    {
        ulong before = target;
        target = Math.Min(before, value);
        return before;
    }

    /// <summary>Leaves the smaller of both, by repeated <see cref="CompareExchange(ref float, float, float)"/>; a NaN on either side leaves the target as it is.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    public static float Min(ref float target, float value)
    {
        float seen = target;
        while (value < seen)
        {
            float before = CompareExchange(ref target, seen, value);
            if (BitConverter.SingleToUInt32Bits(before) == BitConverter.SingleToUInt32Bits(seen)) break;
            seen = before;
        }
        return seen;
    }

    /// <summary>Leaves the smaller of both, by repeated <see cref="CompareExchange(ref double, double, double)"/>; a NaN on either side leaves the target as it is.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    public static double Min(ref double target, double value)
    {
        double seen = target;
        while (value < seen)
        {
            double before = CompareExchange(ref target, seen, value);
            if (BitConverter.DoubleToUInt64Bits(before) == BitConverter.DoubleToUInt64Bits(seen)) break;
            seen = before;
        }
        return seen;
    }
}
