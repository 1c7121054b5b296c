using System.Collections.Concurrent;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;

namespace DiffWave.Compiler;

/// <summary>A field and where it is.</summary>
internal sealed record LayoutField(FieldInfo Info, Type Type, int Offset);

/// <summary>How a type lives in registers and in memory.</summary>
/// <param name="Type">The type; for enums the underlying one.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Register">Register class of a primitive.</param>
/// <param name="Memory">PTX type of loads and stores of a primitive, empty for a struct.</param>
/// <param name="Small">What a load of a primitive below 32 bits yields.</param>
/// <param name="Fields">Fields of a struct.</param>
internal sealed record Layout(Type Type, int Size, RegType Register, string Memory, Small Small, LayoutField[] Fields)
{
    private static readonly ConcurrentDictionary<Type, Layout?> Known = new();

    private static readonly Dictionary<Type, Layout> Primitives = new()
    {
        [typeof(bool)] = Primitive(typeof(bool), 1, RegType.B32, "u8", Small.Bool),
        [typeof(sbyte)] = Primitive(typeof(sbyte), 1, RegType.B32, "s8", Small.S8),
        [typeof(byte)] = Primitive(typeof(byte), 1, RegType.B32, "u8", Small.U8),
        [typeof(short)] = Primitive(typeof(short), 2, RegType.B32, "s16", Small.S16),
        [typeof(ushort)] = Primitive(typeof(ushort), 2, RegType.B32, "u16", Small.U16),
        [typeof(char)] = Primitive(typeof(char), 2, RegType.B32, "u16", Small.U16),
        [typeof(int)] = Primitive(typeof(int), 4, RegType.B32, "s32", Small.None),
        [typeof(uint)] = Primitive(typeof(uint), 4, RegType.B32, "u32", Small.None),
        [typeof(long)] = Primitive(typeof(long), 8, RegType.B64, "s64", Small.None),
        [typeof(ulong)] = Primitive(typeof(ulong), 8, RegType.B64, "u64", Small.None),
        [typeof(nint)] = Primitive(typeof(nint), 8, RegType.B64, "s64", Small.None),
        [typeof(nuint)] = Primitive(typeof(nuint), 8, RegType.B64, "u64", Small.None),
        [typeof(float)] = Primitive(typeof(float), 4, RegType.F32, "f32", Small.None),
        [typeof(double)] = Primitive(typeof(double), 8, RegType.F64, "f64", Small.None),
        [typeof(Half)] = Primitive(typeof(Half), 2, RegType.B16, "b16", Small.None),
    };

    public bool IsPrimitive => Memory.Length > 0;

    public bool IsPointer => Type.IsPointer || Type.IsByRef;

    /// <summary>Largest power of two that every address of the type is a multiple of: that of its widest field.</summary>
    public int Alignment => IsPrimitive || Fields.Length == 0 ? Math.Max(1, Size) : Fields.Max(part => Of(part.Type)!.Alignment);

    /// <summary>Number of a field.</summary>
    public int IndexOf(FieldInfo field)
    {
        for (int i = 0; i < Fields.Length; i++)
        {
            if (Fields[i].Info.Name == field.Name) return i;
        }
        return -1;
    }

    /// <summary>The layout, or null for a type that holds references.</summary>
    public static Layout? Of(Type type) => Known.GetOrAdd(type, Compute);

    private static Layout Primitive(Type type, int size, RegType register, string memory, Small small) => new(type, size, register, memory, small, []);

    private static Layout? Compute(Type type)
    {
        if (type.IsEnum) type = Enum.GetUnderlyingType(type);
        if (Primitives.TryGetValue(type, out var primitive)) return primitive;
        if (type.IsPointer || type.IsByRef) return new Layout(type, 8, RegType.B64, "u64", Small.None, []);
        if (!type.IsValueType || type.IsByRefLike || type.ContainsGenericParameters || type == typeof(void)) return null;
        var fields = type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);
        var offsets = new List<LayoutField>();
        foreach (var field in fields)
        {
            if (Of(field.FieldType) == null || field.IsDefined(typeof(FixedBufferAttribute))) return null;
            offsets.Add(new LayoutField(field, field.FieldType, OffsetOf(type, field)));
        }
        if (type.IsDefined(typeof(InlineArrayAttribute))) return null;
        offsets.Sort((a, b) => a.Offset.CompareTo(b.Offset));
        for (int i = 1; i < offsets.Count; i++)
        {
            if (offsets[i].Offset < offsets[i - 1].Offset + Of(offsets[i - 1].Type)!.Size) return null; // fields on top of each other have no registers of their own
        }
        return new Layout(type, SizeOf(type), default, "", Small.None, [.. offsets]);
    }

    // Asked of the runtime itself: address of the field minus address of the struct.
    private static int OffsetOf(Type type, FieldInfo field)
    {
        var method = new DynamicMethod("offset", typeof(long), [type.MakeByRefType()], typeof(Layout).Module, skipVisibility: true);
        var il = method.GetILGenerator();
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Ldflda, field);
        il.Emit(OpCodes.Conv_U);
        il.Emit(OpCodes.Ldarg_0);
        il.Emit(OpCodes.Conv_U);
        il.Emit(OpCodes.Sub);
        il.Emit(OpCodes.Conv_I8);
        il.Emit(OpCodes.Ret);
        return (int)(long)method.Invoke(null, [RuntimeHelpers.GetUninitializedObject(type)])!;
    }

    private static int SizeOf(Type type) => (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;
}
