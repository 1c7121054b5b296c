using DiffWave.Compiler;

namespace DiffWave.Cuda;

/// <summary>A kernel on a device, to be kept by whoever launches it. Like the driver not for several threads at once.</summary>
public sealed class LoadedKernel
{
    private const int SharedWithoutAsking = 48 << 10;

    // The launch that is being prepared: one buffer for all launches of the kernel, because the driver copies it before a launch returns.
    internal readonly byte[] Packed;
    internal readonly KernelParameter[] Parameters;
    internal int Filled;

    private int sharedAllowed;

    internal LoadedKernel(CompiledKernel compiled, nint function)
    {
        (Compiled, Function) = (compiled, function);
        Packed = new byte[compiled.ArgumentBytes];
        Parameters = [.. compiled.Parameters];
        Block = compiled.BlockX == 0 ? null : new Dim3(compiled.BlockX, Math.Max(1, compiled.BlockY), Math.Max(1, compiled.BlockZ));
        sharedAllowed = SharedWithoutAsking - compiled.StaticSharedBytes;
    }

    /// <summary>Its PTX and its parameters.</summary>
    public CompiledKernel Compiled { get; }

    /// <summary>The driver's handle.</summary>
    public nint Function { get; }

    /// <summary>Threads of a block where the kernel fixes them; null: the launch chooses.</summary>
    public Dim3? Block { get; }

    /// <summary>Begins the arguments of the next launch.</summary>
    public KernelArguments Arguments
    {
        get
        {
            Filled = 0;
            return new KernelArguments(this, 0);
        }
    }

    // Asked for once, not at every launch.
    internal void AllowShared(ICudaDriver driver, int bytes)
    {
        if (bytes <= sharedAllowed) return;
        driver.SetMaxDynamicShared(Function, bytes);
        sharedAllowed = bytes;
    }
}
