using DiffWave.Cuda;

namespace DiffWave.Emulator.Syntax;

/// <summary>PTX text that ptxas would refuse, or that the emulator does not know.</summary>
/// <param name="line">Line of the text, from 1.</param>
/// <param name="reason">What is wrong.</param>
/// <param name="supported">False when the text may be right but is beyond the emulator.</param>
public sealed class PtxException(int line, string reason, bool supported = true)
    : CudaException("load PTX", supported ? "CUDA_ERROR_INVALID_PTX" : "not supported by the emulator", $"line {line}: {reason}")
{
    /// <summary>Line of the text, from 1.</summary>
    public int Line { get; } = line;

    /// <summary>What is wrong.</summary>
    public string Reason { get; } = reason;

    /// <summary>False when the text may be right but is beyond the emulator.</summary>
    public bool IsSupported { get; } = supported;
}
