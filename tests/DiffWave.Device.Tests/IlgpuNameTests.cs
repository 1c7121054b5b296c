using System.Reflection;

namespace DiffWave.Device.Tests;

// Kernels written for ILGPU find the same names with the same parameters here: signatures of its 1.5.3 release, written down by hand.
public class IlgpuNameTests
{
    private static readonly string[] Expected =
    [
        "Grid.IdxX: Int32", "Grid.IdxY: Int32", "Grid.IdxZ: Int32", "Grid.DimX: Int32", "Grid.DimY: Int32", "Grid.DimZ: Int32", "Grid.Index: Index3D", "Grid.Dimension: Index3D",
        "Grid.LinearIndex: Int32", "Grid.GlobalIndex: Index3D", "Grid.GlobalLinearIndex: Int64",
        "Group.IdxX: Int32", "Group.IdxY: Int32", "Group.IdxZ: Int32", "Group.DimX: Int32", "Group.DimY: Int32", "Group.DimZ: Int32", "Group.Index: Index3D", "Group.Dimension: Index3D",
        "Group.LinearIndex: Int32", "Group.IsFirstThread: Boolean", "Group.Barrier()", "Group.BarrierAnd(Boolean)", "Group.BarrierOr(Boolean)", "Group.BarrierPopCount(Boolean)",
        "Warp.WarpSize: Int32", "Warp.LaneIdx: Int32", "Warp.WarpIdx: Int32", "Warp.IsFirstLane: Boolean", "Warp.Barrier()", "Warp.Shuffle(T, Int32)", "Warp.Shuffle(T, Int32, Int32)",
        "Warp.ShuffleDown(T, Int32)", "Warp.ShuffleDown(T, Int32, Int32)", "Warp.ShuffleUp(T, Int32)", "Warp.ShuffleUp(T, Int32, Int32)", "Warp.ShuffleXor(T, Int32)",
        "Warp.ShuffleXor(T, Int32, Int32)", "Warp.Broadcast(T, Int32)",
        "SharedMemory.Allocate(Int32)", "SharedMemory.Allocate()", "SharedMemory.GetDynamic()", "LocalMemory.Allocate(Int32)",
        "MemoryFence.GroupLevel()", "MemoryFence.DeviceLevel()", "MemoryFence.SystemLevel()",
        .. Each("Atomic.Add(ref {0}, {0})", "Int32 UInt32 Int64 UInt64 Single Double"), .. Each("Atomic.Max(ref {0}, {0})", "Int32 UInt32 Int64 UInt64 Single Double"),
        .. Each("Atomic.Min(ref {0}, {0})", "Int32 UInt32 Int64 UInt64 Single Double"), .. Each("Atomic.And(ref {0}, {0})", "Int32 UInt32 Int64 UInt64"),
        .. Each("Atomic.Or(ref {0}, {0})", "Int32 UInt32 Int64 UInt64"), .. Each("Atomic.Xor(ref {0}, {0})", "Int32 UInt32 Int64 UInt64"),
        .. Each("Atomic.Exchange(ref {0}, {0})", "Int32 UInt32 Int64 UInt64 Single Double"), .. Each("Atomic.CompareExchange(ref {0}, {0}, {0})", "Int32 UInt32 Int64 UInt64 Single Double"),
        "Interop.SizeOf()", "Interop.FloatAsInt(Single)", "Interop.FloatAsInt(Double)", "Interop.FloatAsInt(Half)", "Interop.IntAsFloat(UInt32)", "Interop.IntAsFloat(UInt64)", "Interop.IntAsFloat(UInt16)",
        .. Each("IntrinsicMath.Abs({0})", "SByte Int16 Int32 Int64 Single Double"), .. Each("IntrinsicMath.Min({0}, {0})", "SByte Int16 Int32 Int64 Byte UInt16 UInt32 UInt64 Single Double"),
        .. Each("IntrinsicMath.Max({0}, {0})", "SByte Int16 Int32 Int64 Byte UInt16 UInt32 UInt64 Single Double"),
        .. Each("IntrinsicMath.Clamp({0}, {0}, {0})", "SByte Int16 Int32 Int64 Byte UInt16 UInt32 UInt64 Single Double"), .. Each("IntrinsicMath.PopCount({0})", "Int32 UInt32 Int64 UInt64"),
        .. Each("IntrinsicMath.LeadingZeroCount({0})", "Int32 UInt32 Int64 UInt64"), .. Each("IntrinsicMath.TrailingZeroCount({0})", "Int32 UInt32 Int64 UInt64"),
        .. Each("XMath.Abs({0})", "Single Double Int32"), .. Each("XMath.Min({0}, {0})", "Single Double Int32 UInt32 Int64 UInt64"), .. Each("XMath.Max({0}, {0})", "Single Double Int32 UInt32 Int64 UInt64"),
        .. Each("XMath.Clamp({0}, {0}, {0})", "Single Double Int32"), .. Each("XMath.Ceiling({0})", "Single Double"), .. Each("XMath.Floor({0})", "Single Double"),
        .. Each("XMath.Truncate({0})", "Single Double"), .. Each("XMath.Round({0})", "Single Double"), .. Each("XMath.Sign({0})", "Single Double"), .. Each("XMath.IsNaN({0})", "Single Double"),
        .. Each("XMath.IsInfinity({0})", "Single Double"), .. Each("XMath.IsFinite({0})", "Single Double"), .. Each("XMath.Sqrt({0})", "Single Double"), .. Each("XMath.Rcp({0})", "Single Double"),
        .. Each("XMath.Rsqrt({0})", "Single Double"), "XMath.Exp(Single)", "XMath.Exp2(Single)", "XMath.Log(Single)", "XMath.Log2(Single)", "XMath.Log10(Single)", "XMath.Pow(Single, Single)",
        "XMath.Sin(Single)", "XMath.Cos(Single)", "XMath.SinCos(Single, ref Single, ref Single)", "XMath.Tan(Single)", "XMath.Sinh(Single)", "XMath.Cosh(Single)", "XMath.Tanh(Single)", "XMath.PI: Single", "XMath.E: Single",
        "ArrayView`1.Item(Int32)", "ArrayView`1.Item(Int64)", "ArrayView`1.Item(Index1D)", "ArrayView`1.Item(LongIndex1D)", "ArrayView`1.Length: Int64", "ArrayView`1.IntLength: Int32",
        "ArrayView`1.LengthInBytes: Int64", "ArrayView`1.IsValid: Boolean", "ArrayView`1.SubView(Int64)", "ArrayView`1.SubView(Int32, Int32)", "ArrayView`1.SubView(Int64, Int64)", "ArrayView`1.Cast()",
        "Index1D.X: Int32", "Index1D.Size: Int32", "Index2D.X: Int32", "Index2D.Y: Int32", "Index3D.Z: Int32", "LongIndex1D.X: Int64",
    ];

    private static IEnumerable<string> Each(string signature, string types) => types.Split(' ').Select(type => string.Format(null, signature, type));

    [Fact]
    public void EveryMirroredNameHasItsSignature()
    {
        var missing = Expected.Except(typeof(Grid).Assembly.GetExportedTypes().SelectMany(Signatures));
        Assert.Empty(missing);
    }

    private static IEnumerable<string> Signatures(Type type)
    {
        const BindingFlags All = BindingFlags.Public | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;
        foreach (var method in type.GetMethods(All)) yield return $"{type.Name}.{method.Name}({List(method.GetParameters())})";
        foreach (var property in type.GetProperties(All))
            yield return property.GetIndexParameters() is { Length: > 0 } index ? $"{type.Name}.{property.Name}({List(index)})" : $"{type.Name}.{property.Name}: {property.PropertyType.Name}";
        foreach (var field in type.GetFields(All)) yield return $"{type.Name}.{field.Name}: {field.FieldType.Name}";

        static string List(ParameterInfo[] parameters) =>
            string.Join(", ", parameters.Select(p => p.ParameterType.IsByRef ? $"ref {p.ParameterType.GetElementType()!.Name}" : p.ParameterType.Name));
    }
}
