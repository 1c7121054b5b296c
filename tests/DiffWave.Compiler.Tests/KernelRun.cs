using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Emulator;

namespace DiffWave.Compiler.Tests;

/// <summary>
/// Runs a kernel compiled on the emulator, all checks on, and as ordinary C#. Arguments are arrays for views, and values. With DIFFWAVE_PTX_FOLDER set, the PTX of every kernel that was
/// run is left there.
/// </summary>
internal static unsafe class KernelRun
{
    /// <summary>Compiles for sm_80, keeping every rounding unless told otherwise.</summary>
    public static CompiledKernel Compile(MethodInfo kernel, object[]? arguments = null, bool? contract = false, int sm = 80)
    {
        var constants = new Dictionary<string, object>();
        var parameters = kernel.GetParameters();
        for (int i = 0; i < parameters.Length; i++)
            if (arguments is not null && parameters[i].IsDefined(typeof(ConstAttribute))) constants[parameters[i].Name!] = arguments[i];
        var compiled = KernelCompiler.Compile(kernel, new PtxTarget(sm), constants, new CompileOptions { Contract = contract });
        if (Environment.GetEnvironmentVariable("DIFFWAVE_PTX_FOLDER") is { Length: > 0 } folder) File.WriteAllText(Path.Combine(folder, compiled.EntryName + ".ptx"), compiled.Ptx);
        return compiled;
    }

    /// <summary>Runs both ways, three blocks of 32 threads, and asserts the same bits in all arrays, one NaN being like another. The arrays given keep their contents.</summary>
    /// <returns>The arrays after the kernel, in the order of the arguments.</returns>
    public static Array[] SameAsNative(Delegate kernel, params object[] arguments) => SameAsNative(kernel.Method, arguments);

    /// <summary>The same for a method.</summary>
    public static Array[] SameAsNative(MethodInfo kernel, params object[] arguments) => SameAsNative(Compile(kernel, arguments), kernel, new Dim3(3), new Dim3(32), arguments);

    /// <summary>The same for a compiled kernel.</summary>
    public static Array[] SameAsNative(CompiledKernel compiled, MethodInfo kernel, Dim3 grid, Dim3 block, object[] arguments)
    {
        object[] native = Copy(arguments), emulated = Copy(arguments);
        Native(kernel, new Index3D(grid.X, grid.Y, grid.Z), new Index3D(block.X, block.Y, block.Z), native);
        Emulate(compiled, kernel, grid, block, 0, emulated);
        for (int i = 0; i < arguments.Length; i++)
            if (native[i] is Array expected) AssertSame(expected, (Array)emulated[i], $"{kernel.Name}: array {kernel.GetParameters()[i].Name}", compiled);
        return [.. emulated.OfType<Array>()];
    }

    /// <summary>Runs on the emulator; the arrays given are changed.</summary>
    public static CompiledKernel OnEmulator(Delegate kernel, Dim3 grid, Dim3 block, int dynamicSharedBytes, params object[] arguments)
    {
        var compiled = Compile(kernel.Method, arguments, sm: 90);
        Emulate(compiled, kernel.Method, grid, block, dynamicSharedBytes, arguments);
        return compiled;
    }

    /// <summary>Runs a compiled kernel; the arrays given are changed.</summary>
    public static void Emulate(CompiledKernel compiled, MethodInfo kernel, Dim3 grid, Dim3 block, int dynamicSharedBytes, object[] arguments)
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { Threads = 1, MemoryBytes = 1 << 28 });
        nint function = driver.GetFunction(driver.LoadModule(compiled.Ptx), compiled.EntryName);
        byte[] packed = new byte[compiled.ArgumentBytes];
        var memory = new Dictionary<Array, ulong>(ReferenceEqualityComparer.Instance);
        var parameters = kernel.GetParameters();
        for (int i = 0, next = 0; i < arguments.Length; i++)
        {
            if (parameters[i].IsDefined(typeof(ConstAttribute))) continue;
            var place = packed.AsSpan(compiled.Parameters[next++].Offset);
            if (arguments[i] is Array array)
            {
                var bytes = Bytes(array);
                ulong address = driver.Allocate(Math.Max(1, bytes.Length));
                if (bytes.Length > 0) driver.CopyToDevice(address, bytes);
                memory.TryAdd(array, address);
                MemoryMarshal.Write(place, memory[array]);
                MemoryMarshal.Write(place[8..], (long)array.Length);
            }
            else Bytes(Boxed(arguments[i])).CopyTo(place);
        }
        driver.Launch(function, grid, block, dynamicSharedBytes, 0, packed);
        foreach (var (array, address) in memory)
            if (array.Length > 0) driver.CopyToHost(Bytes(array), address);
    }

    private static void Native(MethodInfo kernel, Index3D grid, Index3D group, object[] arguments)
    {
        var pinned = new List<nint>();
        var values = arguments.Select(argument =>
        {
            if (argument is not Array array) return argument;
            var bytes = Bytes(array);
            nint address = (nint)NativeMemory.AlignedAlloc((nuint)Math.Max(1, bytes.Length), 256);
            bytes.CopyTo(new Span<byte>((void*)address, bytes.Length));
            pinned.Add(address);
            return Activator.CreateInstance(typeof(ArrayView<>).MakeGenericType(array.GetType().GetElementType()!), address, (long)array.Length)!;
        }).ToArray();
        try
        {
            SequentialLaunch.Run(grid, group, () => kernel.Invoke(null, BindingFlags.DoNotWrapExceptions, null, values, null));
            foreach (var (array, address) in arguments.OfType<Array>().Zip(pinned)) new Span<byte>((void*)address, Bytes(array).Length).CopyTo(Bytes(array));
        }
        finally
        {
            foreach (nint address in pinned) NativeMemory.AlignedFree((void*)address);
        }
    }

    private static object[] Copy(object[] arguments) => [.. arguments.Select(argument => argument is Array array ? array.Clone() : argument)];

    private static Array Boxed(object value)
    {
        var array = Array.CreateInstance(value.GetType(), 1);
        array.SetValue(value, 0);
        return array;
    }

    private static Span<byte> Bytes(Array array)
    {
        int size = (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(array.GetType().GetElementType()!).Invoke(null, null)!;
        return MemoryMarshal.CreateSpan(ref MemoryMarshal.GetArrayDataReference(array), array.Length * size);
    }

    private static void AssertSame(Array expected, Array actual, string what, CompiledKernel compiled)
    {
        Span<byte> a = Bytes(expected), b = Bytes(actual);
        if (a.SequenceEqual(b)) return;
        int size = a.Length / expected.Length;
        for (int i = 0; i < expected.Length; i++)
        {
            object x = ((IList)expected)[i]!, y = ((IList)actual)[i]!;
            if (a.Slice(i * size, size).SequenceEqual(b.Slice(i * size, size)) || IsNaN(x) && IsNaN(y)) continue;
            Assert.Fail(FormattableString.Invariant($"{what}[{i}]: {x:R} as C#, {y:R} as PTX ({Convert.ToHexString(a.Slice(i * size, size))}, {Convert.ToHexString(b.Slice(i * size, size))})\n{compiled.Ptx}"));
        }
    }

    private static bool IsNaN(object value) => value switch
    {
        float single => float.IsNaN(single),
        double real => double.IsNaN(real),
        Half half => Half.IsNaN(half),
        _ => false,
    };
}
