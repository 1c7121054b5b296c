namespace DiffWave.Cuda;

/// <summary>A call of the driver failed: which one, the driver's own name and text of the error, and what to do.</summary>
/// <param name="call">The failing call, e.g. <c>cuMemAlloc(1048576 bytes)</c>.</param>
/// <param name="error">The driver's name of the error, e.g. <c>CUDA_ERROR_OUT_OF_MEMORY</c>.</param>
/// <param name="text">The driver's text, a compiler's log, or what the emulator found.</param>
/// <param name="fix">What to do; empty when there is nothing to say.</param>
public class CudaException(string call, string error, string text, string fix = "") : Exception($"{call}: {error}: {text}{(fix.Length == 0 ? "" : $"; {fix}")}")
{
    /// <summary>The failing call.</summary>
    public string Call { get; } = call;

    /// <summary>The driver's name of the error.</summary>
    public string Error { get; } = error;
}
