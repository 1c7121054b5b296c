using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>The engine on an emulated device, both disposed of together.</summary>
internal sealed class EmulatedOps : IDisposable
{
    public EmulatedOps(bool checks = true, int threads = 0, CudaOptions? options = null)
    {
        Driver = new EmulatedDriver(new EmulatorOptions { Checks = checks, Threads = threads });
        Ops = new CudaOps(Driver, options);
    }

    public EmulatedDriver Driver { get; }

    public CudaOps Ops { get; }

    public void Dispose()
    {
        Ops.Dispose();
        Driver.Dispose();
    }
}
