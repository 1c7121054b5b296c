namespace DiffWave.Compiler;

/// <summary>A parameter of a compiled kernel, in the packed argument buffer of a launch.</summary>
/// <param name="Name">Name of the C# parameter.</param>
/// <param name="Type">C# type: a view, a primitive or a struct.</param>
/// <param name="Offset">Bytes from the start of the buffer.</param>
/// <param name="Size">Bytes; a view is 16, its address and its length.</param>
public sealed record KernelParameter(string Name, Type Type, int Offset, int Size);

/// <summary>A kernel as PTX text and what a launch needs to know of it.</summary>
/// <param name="EntryName">Name of the entry: the kernel's name, then each type argument and each constant.</param>
/// <param name="Ptx">The whole module.</param>
/// <param name="Parameters">Parameters in order, constants left out.</param>
/// <param name="StaticSharedBytes">Bytes of static shared memory.</param>
/// <param name="UsesDynamicShared">Whether a launch may give dynamic shared bytes.</param>
/// <param name="BlockX">Fixed threads along x, 0 when the launch chooses.</param>
/// <param name="BlockY">Fixed threads along y.</param>
/// <param name="BlockZ">Fixed threads along z.</param>
/// <param name="Warnings">Diagnostics that did not stop the compilation.</param>
public sealed record CompiledKernel(string EntryName, string Ptx, IReadOnlyList<KernelParameter> Parameters, int StaticSharedBytes, bool UsesDynamicShared, int BlockX, int BlockY, int BlockZ,
    IReadOnlyList<Diagnostic> Warnings)
{
    /// <summary>Bytes of the packed argument buffer.</summary>
    public int ArgumentBytes => Parameters.Count == 0 ? 0 : Parameters[^1].Offset + Parameters[^1].Size;
}
