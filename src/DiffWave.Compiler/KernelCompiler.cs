using System.Reflection;

namespace DiffWave.Compiler;

/// <summary>Choices of a compilation.</summary>
public sealed record CompileOptions
{
    /// <summary>Whether a * b + c may become one fused operation; null: as the kernel says.</summary>
    public bool? Contract { get; init; }

    /// <summary>Whether <c>.file</c> and <c>.loc</c> lines point to the C# source.</summary>
    public bool LineInfo { get; init; } = true;
}

/// <summary>Compiles a kernel's IL to PTX.</summary>
public static class KernelCompiler
{
    /// <summary>Compiles one kernel.</summary>
    /// <param name="kernel">A static void method marked <see cref="Device.KernelAttribute"/>, its type arguments given.</param>
    /// <param name="target">Architecture.</param>
    /// <param name="constants">Values of the parameters marked <see cref="Device.ConstAttribute"/>, by name; null when there are none.</param>
    /// <param name="options">Choices; null: the defaults.</param>
    /// <exception cref="KernelCompileException">The kernel cannot be compiled: DWK id, file, line, reason and what to do.</exception>
    public static CompiledKernel Compile(MethodInfo kernel, PtxTarget target, IReadOnlyDictionary<string, object>? constants = null, CompileOptions? options = null) =>
        throw new NotImplementedException();
}
