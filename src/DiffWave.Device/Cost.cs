namespace DiffWave.Device;

/// <summary>Arithmetic and memory traffic of one launch by the definition of its operation: what every report divides by time. A multiply-add is two FLOPs; every tensor is counted once for each time it must be read or written.</summary>
/// <param name="Flops">Floating-point operations.</param>
/// <param name="Bytes">Bytes of global memory read and written.</param>
public readonly record struct Cost(long Flops, long Bytes)
{
    /// <summary>FLOPs a byte; 0 when nothing is moved.</summary>
    public double Intensity => Bytes == 0 ? 0 : (double)Flops / Bytes;
}
