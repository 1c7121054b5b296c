namespace DiffWave.Engine;

/// <summary>
/// What the network computes with. Sums are float32 in all of them, and so are signals, losses, the embedding of the step, the weights that are optimised, their gradients, and the upsampling of the
/// mel up to its last rounding.
/// </summary>
public enum Precision
{
    /// <summary>float32 throughout.</summary>
    Fp32,
    /// <summary>Activations in float32; what the residual blocks multiply is rounded to 11 bits, on tensor cores.</summary>
    Tf32,
    /// <summary>Activations and what is multiplied in IEEE half precision: 11 bits, up to 65504. On tensor cores.</summary>
    Fp16,
    /// <summary>Activations and what is multiplied in bfloat16: 8 bits, the range of float32. On tensor cores.</summary>
    Bf16,
}

/// <summary>A precision that a device or a model has no kernels for, or that an operation does not compute in. The message says what to do.</summary>
public sealed class UnsupportedPrecisionException(string message) : NotSupportedException(message);
