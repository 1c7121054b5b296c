using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using DiffWave.Engine;

namespace DiffWave.Cpu;

/// <summary>Vector instructions the CPU backend can be written in.</summary>
public enum SimdLevel
{
    /// <summary>The widest the machine runs fast.</summary>
    Auto,
    /// <summary>512-bit vectors (AVX-512).</summary>
    Avx512,
    /// <summary>256-bit vectors (AVX2 with FMA).</summary>
    Avx2,
    /// <summary>Whatever <see cref="Vector{T}"/> is on this machine: NEON on Arm, scalar code in the worst case.</summary>
    Portable,
}

/// <summary>Makes the CPU backend.</summary>
public static class CpuDevice
{
    /// <summary>The level <see cref="SimdLevel.Auto"/> stands for on this machine.</summary>
    public static SimdLevel BestLevel =>
        Has512 ? SimdLevel.Avx512 : Vector256.IsHardwareAccelerated ? SimdLevel.Avx2 : SimdLevel.Portable;

    // Vector512.IsHardwareAccelerated is false on Intel's first AVX-512 processors, where .NET prefers narrower vectors for code in general; for arithmetic as dense as ours the wide ones win there too.
    private static bool Has512 => Vector512.IsHardwareAccelerated || Avx512F.IsSupported;

    /// <summary>A CPU backend.</summary>
    /// <param name="threads">Threads to use, 1 to 1024; 0 means one for each processor.</param>
    /// <param name="level">Vector instructions; results do not depend on them.</param>
    /// <exception cref="ArgumentOutOfRangeException">Threads out of range.</exception>
    /// <exception cref="PlatformNotSupportedException">The machine lacks the instructions asked for.</exception>
    public static IOps Create(int threads = 0, SimdLevel level = SimdLevel.Auto)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, 1024);
        if (threads == 0) threads = Environment.ProcessorCount;
        if (level == SimdLevel.Auto) level = BestLevel;
        return level switch
        {
            SimdLevel.Avx512 when Has512 => new CpuOps<Simd512, Vector512<float>>(threads, "AVX-512"),
            SimdLevel.Avx2 when Vector256.IsHardwareAccelerated => new CpuOps<Simd256, Vector256<float>>(threads, "AVX2"),
            SimdLevel.Portable => new CpuOps<SimdPortable, Vector<float>>(threads, $"portable, {Vector<float>.Count} lanes"),
            _ => throw new PlatformNotSupportedException($"this machine has no {level} instructions; use {BestLevel}"),
        };
    }
}
