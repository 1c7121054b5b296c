using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using DiffWave.Compiler;
using DiffWave.Device;

namespace DiffWave.Cuda;

/// <summary>Elements in device memory, as an argument of a kernel.</summary>
/// <param name="Address">First element.</param>
/// <param name="Length">Number of elements.</param>
/// <param name="ElementType">Type of an element, the same as of the kernel's view.</param>
public readonly record struct DeviceArray(ulong Address, long Length, Type ElementType);

/// <summary>Packs the arguments of a launch as the compiled kernel reads them.</summary>
public static unsafe class KernelArguments
{
    /// <summary>The packed arguments.</summary>
    /// <param name="kernel">Says where each goes.</param>
    /// <param name="arguments">Parameters in order, constants left out: a <see cref="DeviceArray"/> for a view, the parameter's own type for others.</param>
    /// <exception cref="ArgumentException">Their number or the type of one is wrong.</exception>
    public static byte[] Pack(CompiledKernel kernel, IReadOnlyList<object> arguments)
    {
        if (arguments.Count != kernel.Parameters.Count)
            throw new ArgumentException($"{kernel.EntryName} takes {kernel.Parameters.Count} arguments ({string.Join(", ", kernel.Parameters.Select(parameter => parameter.Name))}), {arguments.Count} were given");
        byte[] packed = new byte[kernel.ArgumentBytes];
        for (int i = 0; i < arguments.Count; i++)
        {
            KernelParameter parameter = kernel.Parameters[i];
            Write(kernel, parameter, arguments[i], packed.AsSpan(parameter.Offset, parameter.Size));
        }
        return packed;
    }

    private static void Write(CompiledKernel kernel, KernelParameter parameter, object argument, Span<byte> target)
    {
        if (argument is DeviceArray array && parameter.Type.IsGenericType && parameter.Type.GetGenericTypeDefinition() == typeof(ArrayView<>))
        {
            Type element = parameter.Type.GetGenericArguments()[0];
            if (array.ElementType != element) throw Mismatch(kernel, parameter, $"an array of {array.ElementType.Name}", $"one of {element.Name}");
            MemoryMarshal.Write(target, array.Address);
            MemoryMarshal.Write(target[sizeof(ulong)..], array.Length);
            return;
        }
        if (argument.GetType() != parameter.Type) throw Mismatch(kernel, parameter, argument.GetType().Name, parameter.Type.Name);
        // The value lies behind the object's header; its first bytes are the ones a kernel reads.
        fixed (byte* value = &Unsafe.As<Boxed>(argument).FirstByte) new ReadOnlySpan<byte>(value, target.Length).CopyTo(target);
    }

    private static ArgumentException Mismatch(CompiledKernel kernel, KernelParameter parameter, string given, string expected) =>
        new($"{kernel.EntryName}: argument '{parameter.Name}' is {given}, expected {expected}");

    private sealed class Boxed
    {
        public byte FirstByte;
    }
}
