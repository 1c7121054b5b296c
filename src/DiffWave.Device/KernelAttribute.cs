namespace DiffWave.Device;

/// <summary>
/// Marks a static void method as a kernel. Its parameters are <see cref="ArrayView{T}"/>, primitive numbers, or structs of those; parameters marked <see cref="ConstAttribute"/>
/// and generic type arguments are known when it is compiled.
/// </summary>
/// <param name="name">Entry name in the PTX, the same in benchmarks and profiles: op, direction and version, e.g. <c>gated_activation_v1</c>.</param>
[AttributeUsage(AttributeTargets.Method)]
public sealed class KernelAttribute(string name) : Attribute
{
    /// <summary>Entry name: letters, digits and underscores.</summary>
    public string Name { get; } = name;

    /// <summary>Threads of a block along x; 0 leaves the block to the launch. When given, y and z count as 1 unless given too, the block is fixed (<c>.reqntid</c>) and Group.DimX is a constant.</summary>
    public int BlockX { get; init; }

    /// <summary>Threads of a block along y.</summary>
    public int BlockY { get; init; }

    /// <summary>Threads of a block along z.</summary>
    public int BlockZ { get; init; }

    /// <summary>Largest number of threads of a block when it is not fixed (<c>.maxntid</c>); 0: not stated.</summary>
    public int MaxThreads { get; init; }

    /// <summary>Blocks that shall fit on one multiprocessor at once (<c>.minnctapersm</c>); 0: not stated.</summary>
    public int MinBlocks { get; init; }

    /// <summary>Registers a thread may use (<c>.maxnreg</c>); 0: not stated.</summary>
    public int MaxRegisters { get; init; }

    /// <summary>Whether a * b + c may become one fused operation. False keeps every rounding of the C# source.</summary>
    public bool Contract { get; init; } = true;

    /// <summary>Whether a LocalMemory array with an index that is not constant may live in memory (<c>.local</c>). False makes it an error.</summary>
    public bool AllowLocalMemory { get; init; }

    /// <summary>Earliest architecture the kernel runs on, e.g. 80 for sm_80.</summary>
    public int MinimumSm { get; init; } = 70;
}

/// <summary>Marks a kernel parameter whose value is fixed when the kernel is compiled: it is no parameter of the PTX, branches on it are decided and loops over it unrolled.</summary>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class ConstAttribute : Attribute;

/// <summary>Keeps a * b + c in two rounded operations in this method wherever it is inlined.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class NoContractionAttribute : Attribute;

/// <summary>
/// Says what a device word compiles to. In the template <c>{r}</c> is the result and <c>{0}</c>, <c>{1}</c>.. are the arguments: a primitive is one register or immediate,
/// a struct of one field is that field, a struct of several fields a vector <c>{a, b}</c>, a <c>ref</c> or view an address to stand in brackets as <c>[{0}]</c>; <c>{space}</c> is the state space of the first address
/// with its dot, empty when generic; <c>{type}</c> is the PTX type of the first generic argument or, without one, of the result. Several instructions are separated by <c>;</c>.
/// An argument that follows <c>#</c>, as in <c>{#1}</c>, must be a compile-time constant and is written as a number.
/// </summary>
/// <param name="template">PTX text without the last semicolon.</param>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PtxInstructionAttribute(string template) : Attribute
{
    /// <summary>PTX text.</summary>
    public string Template { get; } = template;

    /// <summary>Reads or changes memory, or depends on other threads or on time: never removed, merged or moved across another such instruction.</summary>
    public bool Volatile { get; init; }

    /// <summary>Earliest architecture that has it, e.g. 80.</summary>
    public int MinimumSm { get; init; } = 70;

    /// <summary>State space that address arguments must have, e.g. "shared"; several in order of the address arguments separated by commas; empty: any.</summary>
    public string Spaces { get; init; } = "";
}

/// <summary>Says that memory of this struct is aligned to its size, so that a kernel loads and stores it by one vector instruction. Shared and device allocations are aligned enough.</summary>
[AttributeUsage(AttributeTargets.Struct)]
public sealed class VectorAlignedAttribute : Attribute;

/// <summary>Loop control for the compiler.</summary>
public static class Loop
{
    /// <summary>The bound of a loop that shall stay a loop although its trip count is known: <c>for (int k = 0; k &lt; Loop.Rolled(n); k++)</c>.</summary>
    /// <param name="bound">Any value; it is returned.</param>
    public static int Rolled(int bound) => bound;
}
