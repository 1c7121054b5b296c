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

/// <summary>
/// The arguments of one launch, added in the order of the parameters and packed as the compiled kernel reads them: <c>runner.Launch(kernel.Arguments.Add(x).Add(y).Add(channels), grid, stream)</c>.
/// Nothing is allocated. Between <see cref="LoadedKernel.Arguments"/> and the launch no other launch of the same kernel may be prepared.
/// </summary>
public readonly unsafe ref struct KernelArguments
{
    private readonly int count;

    internal KernelArguments(LoadedKernel kernel, int count) => (Kernel, this.count) = (kernel, count);

    /// <summary>The kernel they are for.</summary>
    public LoadedKernel Kernel { get; }

    /// <summary>These arguments and one more; what was given before is used up.</summary>
    /// <typeparam name="T">The parameter's type, exactly: a view, a struct or a primitive.</typeparam>
    /// <param name="value">A view holds a device address.</param>
    /// <exception cref="ArgumentException">The kernel has no more parameters, or the next one has another type.</exception>
    /// <exception cref="InvalidOperationException">Another launch of the kernel was begun meanwhile, or an earlier result of this method was left unused.</exception>
    public KernelArguments Add<T>(T value) where T : unmanaged
    {
        LoadedKernel kernel = Kernel;
        if (kernel.Filled != count) throw OutOfStep();
        if (count == kernel.Parameters.Length) throw WrongCount(kernel.Compiled, "more");
        KernelParameter parameter = kernel.Parameters[count];
        if (parameter.Type != typeof(T)) throw Mismatch(kernel.Compiled, parameter, TypeText(typeof(T)), TypeText(parameter.Type));
        Unsafe.WriteUnaligned(ref kernel.Packed[parameter.Offset], value);
        kernel.Filled = count + 1;
        return new KernelArguments(kernel, count + 1);
    }

    /// <summary>The packed arguments, all there.</summary>
    internal ReadOnlySpan<byte> Packed
    {
        get
        {
            if (Kernel.Filled != count) throw OutOfStep();
            return count == Kernel.Parameters.Length ? Kernel.Packed : throw WrongCount(Kernel.Compiled, $"{count}");
        }
    }

    /// <summary>Packs boxed arguments, for trials whose kernels are known only at run time.</summary>
    /// <param name="kernel">Says where each goes.</param>
    /// <param name="arguments">Parameters in order, constants left out: a <see cref="DeviceArray"/> for a view, the parameter's own type for others.</param>
    /// <exception cref="ArgumentException">Their number or the type of one is wrong.</exception>
    public static byte[] Pack(CompiledKernel kernel, IReadOnlyList<object> arguments)
    {
        if (arguments.Count != kernel.Parameters.Count) throw WrongCount(kernel, $"{arguments.Count}");
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
        if (argument.GetType() != parameter.Type) throw Mismatch(kernel, parameter, TypeText(argument.GetType()), TypeText(parameter.Type));
        // The value lies behind the object's header; its first bytes are the ones a kernel reads.
        fixed (byte* value = &Unsafe.As<Boxed>(argument).FirstByte) new ReadOnlySpan<byte>(value, target.Length).CopyTo(target);
    }

    private InvalidOperationException OutOfStep() =>
        new($"{Kernel.Compiled.EntryName}: the arguments of two launches are mixed, or the result of Add was not used: write kernel.Arguments.Add(a).Add(b) in one expression");

    private static ArgumentException WrongCount(CompiledKernel kernel, string given) =>
        new($"{kernel.EntryName} takes {kernel.Parameters.Count} arguments ({string.Join(", ", kernel.Parameters.Select(parameter => parameter.Name))}), {given} were given");

    private static string TypeText(Type type) =>
        type.IsGenericType ? $"{type.Name.Split('`')[0]}<{string.Join(", ", type.GetGenericArguments().Select(TypeText))}>" : type.Name;

    private static ArgumentException Mismatch(CompiledKernel kernel, KernelParameter parameter, string given, string expected) =>
        new($"{kernel.EntryName}: argument '{parameter.Name}' is {given}, expected {expected}");

    private sealed class Boxed
    {
        public byte FirstByte;
    }
}
