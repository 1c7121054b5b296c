using DiffWave.Cuda;

namespace DiffWave.Emulator;

/// <summary>What the emulator says of its device: the limits of the architecture it stands for.</summary>
internal static class DeviceTable
{
    /// <summary>Device information.</summary>
    /// <param name="options">Architecture and memory.</param>
    public static CudaDeviceInfo Describe(EmulatorOptions options)
    {
        // CUDA C++ programming guide, technical specifications per compute capability: shared KiB of a block and of a multiprocessor, resident threads.
        (int block, int multiprocessor, int threads) = options.Sm switch
        {
            70 or 72 => (96, 96, 2048),
            75 => (64, 64, 1024),
            80 or 87 => (163, 164, options.Sm == 80 ? 2048 : 1536),
            86 or 89 or 120 => (99, 100, 1536),
            >= 90 and < 120 => (227, 228, 2048),
            _ => throw new ArgumentException($"the emulator does not know sm_{options.Sm}"),
        };
        return new CudaDeviceInfo
        {
            Name = $"emulated sm_{options.Sm}",
            Sm = options.Sm,
            Multiprocessors = 1,
            MemoryBytes = options.MemoryBytes,
            SharedBytesPerBlock = block << 10,
            SharedBytesPerMultiprocessor = multiprocessor << 10,
            RegistersPerMultiprocessor = 65536,
            ThreadsPerMultiprocessor = threads,
        };
    }
}
