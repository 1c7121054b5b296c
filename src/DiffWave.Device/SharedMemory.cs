namespace DiffWave.Device;

/// <summary>Memory that the threads of a block share. Allocations are found when the kernel is compiled: each call site is one allocation, however often it runs.</summary>
public static class SharedMemory
{
    /// <summary>A static array, 16-byte aligned; all static arrays of a kernel together hold at most 48 KiB.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="length">Number of elements, a compile-time constant.</param>
    public static ArrayView<T> Allocate<T>(int length) where T : unmanaged => SequentialLaunch.Current.Shared<T>(length);

    /// <summary>One static element.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    public static ref T Allocate<T>() where T : unmanaged => ref SequentialLaunch.Current.Shared<T>(1)[0];

    /// <summary>
    /// The block's dynamic array: as many bytes as the launch gives, which may exceed 48 KiB; 128-byte aligned; every call returns the same memory. Carve it with SubView and Cast.
    /// Its length in a kernel is that of the launch.
    /// </summary>
    /// <typeparam name="T">Element type.</typeparam>
    public static ArrayView<T> GetDynamic<T>() where T : unmanaged => SequentialLaunch.Current.Dynamic.Cast<T>();
}

/// <summary>Arrays of one thread.</summary>
public static class LocalMemory
{
    /// <summary>
    /// An array of registers: after unrolling every index must be a constant, otherwise the compiler refuses, or puts the array into slow memory where
    /// <see cref="KernelAttribute.AllowLocalMemory"/> says so. Elements start at zero.
    /// </summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="length">Number of elements, a compile-time constant.</param>
    public static ArrayView<T> Allocate<T>(int length) where T : unmanaged => SequentialLaunch.Current.Local<T>(length);
}

/// <summary>Orders a thread's memory accesses as others see them.</summary>
public static class MemoryFence
{
    /// <summary>For the threads of the block.</summary>
    [PtxInstruction("membar.cta", Volatile = true)]
    public static void GroupLevel() { }

    /// <summary>For all threads of the device.</summary>
    [PtxInstruction("membar.gl", Volatile = true)]
    public static void DeviceLevel() { }

    /// <summary>For the host and other devices too.</summary>
    [PtxInstruction("membar.sys", Volatile = true)]
    public static void SystemLevel() { }
}
