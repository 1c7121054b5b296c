namespace DiffWave.Device;

/// <summary>Simple mathematics of all number types, and bits of integers.</summary>
public static class IntrinsicMath
{
    /// <summary>The value without its sign. The most negative value stays.</summary>
    public static sbyte Abs(sbyte value) => (sbyte)(value < 0 ? -value : value);

    /// <summary>The value without its sign. The most negative value stays.</summary>
    public static short Abs(short value) => (short)(value < 0 ? -value : value);

    /// <summary>The value without its sign. The most negative value stays.</summary>
    public static int Abs(int value) => value < 0 ? unchecked(-value) : value;

    /// <summary>The value without its sign. The most negative value stays.</summary>
    public static long Abs(long value) => value < 0 ? unchecked(-value) : value;

    /// <summary>The value without its sign.</summary>
    public static float Abs(float value) => MathF.Abs(value);

    /// <summary>The value without its sign.</summary>
    public static double Abs(double value) => Math.Abs(value);

    /// <summary>The smaller of both.</summary>
    public static sbyte Min(sbyte first, sbyte second) => first < second ? first : second;

    /// <summary>The smaller of both.</summary>
    public static byte Min(byte first, byte second) => first < second ? first : second;

    /// <summary>The smaller of both.</summary>
    public static short Min(short first, short second) => first < second ? first : second;

    /// <summary>The smaller of both.</summary>
    public static ushort Min(ushort first, ushort second) => first < second ? first : second;

    /// <summary>The smaller of both.</summary>
    public static int Min(int first, int second) => first < second ? first : second;

    /// <summary>The smaller of both.</summary>
    public static uint Min(uint first, uint second) => first < second ? first : second;

    /// <summary>The smaller of both.</summary>
    public static long Min(long first, long second) => first < second ? first : second;

    /// <summary>The smaller of both.</summary>
    public static ulong Min(ulong first, ulong second) => first < second ? first : second;

    /// <summary>The smaller of both; NaN if one is NaN.</summary>
    public static float Min(float first, float second) => MathF.Min(first, second);

    /// <summary>The smaller of both; NaN if one is NaN.</summary>
    public static double Min(double first, double second) => Math.Min(first, second);

    /// <summary>The greater of both.</summary>
    public static sbyte Max(sbyte first, sbyte second) => first > second ? first : second;

    /// <summary>The greater of both.</summary>
    public static byte Max(byte first, byte second) => first > second ? first : second;

    /// <summary>The greater of both.</summary>
    public static short Max(short first, short second) => first > second ? first : second;

    /// <summary>The greater of both.</summary>
    public static ushort Max(ushort first, ushort second) => first > second ? first : second;

    /// <summary>The greater of both.</summary>
    public static int Max(int first, int second) => first > second ? first : second;

    /// <summary>The greater of both.</summary>
    public static uint Max(uint first, uint second) => first > second ? first : second;

    /// <summary>The greater of both.</summary>
    public static long Max(long first, long second) => first > second ? first : second;

    /// <summary>The greater of both.</summary>
    public static ulong Max(ulong first, ulong second) => first > second ? first : second;

    /// <summary>The greater of both; NaN if one is NaN.</summary>
    public static float Max(float first, float second) => MathF.Max(first, second);

    /// <summary>The greater of both; NaN if one is NaN.</summary>
    public static double Max(double first, double second) => Math.Max(first, second);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static sbyte Clamp(sbyte value, sbyte min, sbyte max) => Max(Min(value, max), min);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static byte Clamp(byte value, byte min, byte max) => Max(Min(value, max), min);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static short Clamp(short value, short min, short max) => Max(Min(value, max), min);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static ushort Clamp(ushort value, ushort min, ushort max) => Max(Min(value, max), min);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static int Clamp(int value, int min, int max) => Max(Min(value, max), min);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static uint Clamp(uint value, uint min, uint max) => Max(Min(value, max), min);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static long Clamp(long value, long min, long max) => Max(Min(value, max), min);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static ulong Clamp(ulong value, ulong min, ulong max) => Max(Min(value, max), min);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static float Clamp(float value, float min, float max) => Max(Min(value, max), min);

    /// <summary>The value, or the bound it exceeds.</summary>
    public static double Clamp(double value, double min, double max) => Max(Min(value, max), min);

    /// <summary>How many bits are set.</summary>
    public static int PopCount(int value) => Ptx.Popc((uint)value);

    /// <summary>How many bits lie above the highest that is set; 32 for zero.</summary>
    public static int LeadingZeroCount(int value) => Ptx.Clz((uint)value);

    /// <summary>How many bits lie below the lowest that is set; 32 for zero.</summary>
    public static int TrailingZeroCount(int value) => Ptx.Clz(Ptx.Brev((uint)value));

    /// <summary>How many bits are set.</summary>
    public static int PopCount(uint value) => Ptx.Popc(value);

    /// <summary>How many bits lie above the highest that is set; 32 for zero.</summary>
    public static int LeadingZeroCount(uint value) => Ptx.Clz(value);

    /// <summary>How many bits lie below the lowest that is set; 32 for zero.</summary>
    public static int TrailingZeroCount(uint value) => Ptx.Clz(Ptx.Brev(value));

    /// <summary>How many bits are set.</summary>
    public static int PopCount(long value) => Ptx.Popc((ulong)value);

    /// <summary>How many bits lie above the highest that is set; 64 for zero.</summary>
    public static int LeadingZeroCount(long value) => Ptx.Clz((ulong)value);

    /// <summary>How many bits lie below the lowest that is set; 64 for zero.</summary>
    public static int TrailingZeroCount(long value) => Ptx.Clz(Ptx.Brev((ulong)value));

    /// <summary>How many bits are set.</summary>
    public static int PopCount(ulong value) => Ptx.Popc(value);

    /// <summary>How many bits lie above the highest that is set; 64 for zero.</summary>
    public static int LeadingZeroCount(ulong value) => Ptx.Clz(value);

    /// <summary>How many bits lie below the lowest that is set; 64 for zero.</summary>
    public static int TrailingZeroCount(ulong value) => Ptx.Clz(Ptx.Brev(value));
}
