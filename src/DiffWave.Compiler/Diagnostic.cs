namespace DiffWave.Compiler;

/// <summary>What the compiler has to say about a place in a kernel.</summary>
/// <param name="Id">Stable id, DWK001 and up.</param>
/// <param name="File">C# source file; empty when the assembly has no PDB.</param>
/// <param name="Line">Line in it, from 1; 0 when unknown.</param>
/// <param name="Reason">What was found.</param>
/// <param name="Fix">What to do.</param>
public sealed record Diagnostic(string Id, string File, int Line, string Reason, string Fix)
{
    /// <inheritdoc/>
    public override string ToString() => $"{(File.Length == 0 ? "" : $"{File}({Line}): ")}{Id}: {Reason}. {Fix}";
}

/// <summary>A kernel could not be compiled.</summary>
/// <param name="diagnostic">Where and why.</param>
/// <param name="inner">What the compiler itself met, for DWK099.</param>
public sealed class KernelCompileException(Diagnostic diagnostic, Exception? inner = null) : Exception(diagnostic.ToString(), inner)
{
    /// <summary>Where and why.</summary>
    public Diagnostic Diagnostic { get; } = diagnostic;
}
