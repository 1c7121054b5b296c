using System.Runtime.InteropServices;

namespace DiffWave.Engine;

/// <summary>Element types of tensors in model files. All are stored little-endian.</summary>
public enum TensorType
{
    /// <summary>IEEE 754 double.</summary>
    F64,
    /// <summary>IEEE 754 single.</summary>
    F32,
    /// <summary>IEEE 754 half.</summary>
    F16,
    /// <summary>The upper 16 bits of a single.</summary>
    BF16,
    /// <summary>Signed 64-bit integer.</summary>
    I64,
    /// <summary>Signed 32-bit integer.</summary>
    I32,
    /// <summary>Signed 16-bit integer.</summary>
    I16,
    /// <summary>Signed byte.</summary>
    I8,
    /// <summary>Unsigned 64-bit integer.</summary>
    U64,
    /// <summary>Unsigned 32-bit integer.</summary>
    U32,
    /// <summary>Unsigned 16-bit integer.</summary>
    U16,
    /// <summary>Unsigned byte.</summary>
    U8,
    /// <summary>One byte, 0 or 1.</summary>
    Bool,
}

/// <summary>Sizes and conversions of <see cref="TensorType"/>.</summary>
internal static class TensorTypes
{
    /// <summary>Bytes per element.</summary>
    public static int Size(TensorType type) => type switch
    {
        TensorType.F64 or TensorType.I64 or TensorType.U64 => 8,
        TensorType.F32 or TensorType.I32 or TensorType.U32 => 4,
        TensorType.F16 or TensorType.BF16 or TensorType.I16 or TensorType.U16 => 2,
        _ => 1,
    };

    public static bool IsFloat(TensorType type) => type is TensorType.F64 or TensorType.F32 or TensorType.F16 or TensorType.BF16;

    /// <summary>Product of the dimensions (0 if one is 0), or null when one is negative or the product exceeds 2^63 - 1.</summary>
    public static long? ElementCount(ReadOnlySpan<long> shape)
    {
        UInt128 product = 1;
        bool empty = false;
        foreach (long n in shape)
        {
            if (n < 0) return null;
            empty |= n == 0;
            // Saturate instead of stopping, so that a later 0 or negative dimension is still seen.
            if (n > 0) product = product > long.MaxValue ? product : product * (UInt128)n;
        }
        return empty ? 0 : product > long.MaxValue ? null : (long)product;
    }

    public static string ShapeText(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";

    /// <summary>Converts float elements; F64 is rounded once. The type must be a float type.</summary>
    public static void ToFloats(TensorType type, ReadOnlySpan<byte> source, Span<float> target)
    {
        switch (type)
        {
            case TensorType.F32: MemoryMarshal.Cast<byte, float>(source).CopyTo(target); break;
            case TensorType.F64: Convert<double, float>(source, target, value => (float)value); break;
            case TensorType.F16: Convert<Half, float>(source, target, value => (float)value); break;
            default: Convert<ushort, float>(source, target, value => BitConverter.UInt32BitsToSingle((uint)value << 16)); break;
        }
    }

    /// <summary>Converts float elements without rounding. The type must be a float type.</summary>
    public static void ToDoubles(TensorType type, ReadOnlySpan<byte> source, Span<double> target)
    {
        switch (type)
        {
            case TensorType.F32: Convert<float, double>(source, target, value => value); break;
            case TensorType.F64: MemoryMarshal.Cast<byte, double>(source).CopyTo(target); break;
            case TensorType.F16: Convert<Half, double>(source, target, value => (double)value); break;
            default: Convert<ushort, double>(source, target, value => BitConverter.UInt32BitsToSingle((uint)value << 16)); break;
        }
    }

    /// <summary>Converts integer and boolean elements. The type must be one of those, and not U64.</summary>
    public static void ToInts(TensorType type, ReadOnlySpan<byte> source, Span<long> target)
    {
        switch (type)
        {
            case TensorType.I64: MemoryMarshal.Cast<byte, long>(source).CopyTo(target); break;
            case TensorType.I32: Convert<int, long>(source, target, value => value); break;
            case TensorType.I16: Convert<short, long>(source, target, value => value); break;
            case TensorType.I8: Convert<sbyte, long>(source, target, value => value); break;
            case TensorType.U32: Convert<uint, long>(source, target, value => value); break;
            case TensorType.U16: Convert<ushort, long>(source, target, value => value); break;
            default: Convert<byte, long>(source, target, value => value); break;
        }
    }

    private static void Convert<TFrom, TTo>(ReadOnlySpan<byte> source, Span<TTo> target, Func<TFrom, TTo> convert) where TFrom : unmanaged
    {
        ReadOnlySpan<TFrom> values = MemoryMarshal.Cast<byte, TFrom>(source);
        for (int i = 0; i < values.Length; i++) target[i] = convert(values[i]);
    }
}
