namespace DiffWave.Device;

public static partial class Atomic
{
    /// <summary>Leaves the bitwise and of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.and.b32 {r}, [{0}], {1}", Volatile = true)]
    public static int And(ref int target, int value)
    {
        int before = target;
        target = before & value;
        return before;
    }

    /// <summary>Leaves the bitwise and of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.and.b32 {r}, [{0}], {1}", Volatile = true)]
    public static uint And(ref uint target, uint value)
    {
        uint before = target;
        target = before & value;
        return before;
    }

    /// <summary>Leaves the bitwise and of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.and.b64 {r}, [{0}], {1}", Volatile = true)]
    public static long And(ref long target, long value)
    {
        long before = target;
        target = before & value;
        return before;
    }

    /// <summary>Leaves the bitwise and of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.and.b64 {r}, [{0}], {1}", Volatile = true)]
    public static ulong And(ref ulong target, ulong value)
    {
        ulong before = target;
        target = before & value;
        return before;
    }

    /// <summary>Leaves the bitwise or of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.or.b32 {r}, [{0}], {1}", Volatile = true)]
    public static int Or(ref int target, int value)
    {
        int before = target;
        target = before | value;
        return before;
    }

    /// <summary>Leaves the bitwise or of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.or.b32 {r}, [{0}], {1}", Volatile = true)]
    public static uint Or(ref uint target, uint value)
    {
        uint before = target;
        target = before | value;
        return before;
    }

    /// <summary>Leaves the bitwise or of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.or.b64 {r}, [{0}], {1}", Volatile = true)]
    public static long Or(ref long target, long value)
    {
        long before = target;
        target = before | value;
        return before;
    }

    /// <summary>Leaves the bitwise or of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.or.b64 {r}, [{0}], {1}", Volatile = true)]
    public static ulong Or(ref ulong target, ulong value)
    {
        ulong before = target;
        target = before | value;
        return before;
    }

    /// <summary>Leaves the bitwise xor of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.xor.b32 {r}, [{0}], {1}", Volatile = true)]
    public static int Xor(ref int target, int value)
    {
        int before = target;
        target = before ^ value;
        return before;
    }

    /// <summary>Leaves the bitwise xor of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.xor.b32 {r}, [{0}], {1}", Volatile = true)]
    public static uint Xor(ref uint target, uint value)
    {
        uint before = target;
        target = before ^ value;
        return before;
    }

    /// <summary>Leaves the bitwise xor of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.xor.b64 {r}, [{0}], {1}", Volatile = true)]
    public static long Xor(ref long target, long value)
    {
        long before = target;
        target = before ^ value;
        return before;
    }

    /// <summary>Leaves the bitwise xor of both.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The other value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.xor.b64 {r}, [{0}], {1}", Volatile = true)]
    public static ulong Xor(ref ulong target, ulong value)
    {
        ulong before = target;
        target = before ^ value;
        return before;
    }

    /// <summary>Replaces the value.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.exch.b32 {r}, [{0}], {1}", Volatile = true)]
    public static int Exchange(ref int target, int value)
    {
        int before = target;
        target = value;
        return before;
    }

    /// <summary>Replaces the value.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.exch.b32 {r}, [{0}], {1}", Volatile = true)]
    public static uint Exchange(ref uint target, uint value)
    {
        uint before = target;
        target = value;
        return before;
    }

    /// <summary>Replaces the value.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.exch.b64 {r}, [{0}], {1}", Volatile = true)]
    public static long Exchange(ref long target, long value)
    {
        long before = target;
        target = value;
        return before;
    }

    /// <summary>Replaces the value.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.exch.b64 {r}, [{0}], {1}", Volatile = true)]
    public static ulong Exchange(ref ulong target, ulong value)
    {
        ulong before = target;
        target = value;
        return before;
    }

    /// <summary>Replaces the value.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.exch.b32 {r}, [{0}], {1}", Volatile = true)]
    public static float Exchange(ref float target, float value)
    {
        float before = target;
        target = value;
        return before;
    }

    /// <summary>Replaces the value.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.exch.b64 {r}, [{0}], {1}", Volatile = true)]
    public static double Exchange(ref double target, double value)
    {
        double before = target;
        target = value;
        return before;
    }

    /// <summary>Replaces the value if it equals <paramref name="compare"/>.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="compare">What must be there.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.cas.b32 {r}, [{0}], {1}, {2}", Volatile = true)]
    public static int CompareExchange(ref int target, int compare, int value)
    {
        int before = target;
        if (before == compare) target = value;
        return before;
    }

    /// <summary>Replaces the value if it equals <paramref name="compare"/>.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="compare">What must be there.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.cas.b32 {r}, [{0}], {1}, {2}", Volatile = true)]
    public static uint CompareExchange(ref uint target, uint compare, uint value)
    {
        uint before = target;
        if (before == compare) target = value;
        return before;
    }

    /// <summary>Replaces the value if it equals <paramref name="compare"/>.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="compare">What must be there.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.cas.b64 {r}, [{0}], {1}, {2}", Volatile = true)]
    public static long CompareExchange(ref long target, long compare, long value)
    {
        long before = target;
        if (before == compare) target = value;
        return before;
    }

    /// <summary>Replaces the value if it equals <paramref name="compare"/>.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="compare">What must be there.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.cas.b64 {r}, [{0}], {1}, {2}", Volatile = true)]
    public static ulong CompareExchange(ref ulong target, ulong compare, ulong value)
    {
        ulong before = target;
        if (before == compare) target = value;
        return before;
    }

    /// <summary>Replaces the value if it has the same bits as <paramref name="compare"/>.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="compare">What must be there.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.cas.b32 {r}, [{0}], {1}, {2}", Volatile = true)]
    public static float CompareExchange(ref float target, float compare, float value)
    {
        float before = target;
        if (BitConverter.SingleToUInt32Bits(before) == BitConverter.SingleToUInt32Bits(compare)) target = value;
        return before;
    }

    /// <summary>Replaces the value if it has the same bits as <paramref name="compare"/>.</summary>
    /// <param name="target">Global or shared memory.</param>
    /// <param name="compare">What must be there.</param>
    /// <param name="value">The new value.</param>
    /// <returns>The value before.</returns>
    [PtxInstruction("atom{space}.cas.b64 {r}, [{0}], {1}, {2}", Volatile = true)]
    public static double CompareExchange(ref double target, double compare, double value)
    {
        double before = target;
        if (BitConverter.DoubleToUInt64Bits(before) == BitConverter.DoubleToUInt64Bits(compare)) target = value;
        return before;
    }
}
