using System.Runtime.InteropServices;

namespace DiffWave.Device;

/// <summary>
/// Runs a kernel as ordinary C#, one thread after the other, so that it can be stepped in a debugger. Kernels whose threads wait for each other (barriers, shuffles) need blocks of
/// one thread here, or the emulator.
/// </summary>
public sealed unsafe class SequentialLaunch
{
    private const int Alignment = 128;

    [ThreadStatic] private static SequentialLaunch? current;

    private readonly List<nint> local = [], shared = [];
    private int nextShared;

    private SequentialLaunch(Index3D grid, Index3D group) => (Grid, Group) = (grid, group);

    internal static SequentialLaunch Current => current ?? throw new InvalidOperationException("a device word was used outside a kernel: run the kernel with SequentialLaunch.Run or on a device");

    internal Index3D Grid { get; }

    internal Index3D Group { get; }

    internal Index3D Block { get; private set; }

    internal Index3D Thread { get; private set; }

    internal ArrayView<byte> Dynamic { get; private set; }

    /// <summary>Runs <paramref name="kernel"/> for every thread of the grid.</summary>
    /// <param name="grid">Blocks along each axis, at least 1.</param>
    /// <param name="group">Threads of a block along each axis, at least 1.</param>
    /// <param name="kernel">Calls the kernel method with its arguments.</param>
    /// <param name="dynamicSharedBytes">Bytes of the dynamic shared array of each block.</param>
    /// <exception cref="ArgumentOutOfRangeException">A dimension is below 1, or the shared bytes are negative.</exception>
    /// <exception cref="NotSupportedException">The kernel waits for other threads of its block.</exception>
    public static void Run(Index3D grid, Index3D group, Action kernel, int dynamicSharedBytes = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Math.Min(grid.X, Math.Min(grid.Y, grid.Z)), 1, nameof(grid));
        ArgumentOutOfRangeException.ThrowIfLessThan(Math.Min(group.X, Math.Min(group.Y, group.Z)), 1, nameof(group));
        ArgumentOutOfRangeException.ThrowIfNegative(dynamicSharedBytes);
        var before = current;
        var launch = current = new SequentialLaunch(grid, group);
        nint dynamic = (nint)NativeMemory.AlignedAlloc((nuint)Math.Max(1, dynamicSharedBytes), Alignment);
        try
        {
            launch.Dynamic = new ArrayView<byte>(dynamic, dynamicSharedBytes);
            for (int block = 0; block < grid.Size; block++)
            {
                launch.Block = Unflatten(block, grid);
                for (int thread = 0; thread < group.Size; thread++)
                {
                    launch.Thread = Unflatten(thread, group);
                    launch.nextShared = 0;
                    kernel();
                    Free(launch.local);
                }
                Free(launch.shared);
            }
        }
        finally
        {
            Free(launch.local);
            Free(launch.shared);
            NativeMemory.AlignedFree((void*)dynamic);
            current = before;
        }
    }

    internal static void RequireOneThread(string word)
    {
        if (Current.Group.Size > 1)
            throw new NotSupportedException($"{word} needs the other threads of the block, and as ordinary C# they run one after the other: use blocks of one thread, or the emulator");
    }

    internal static NotSupportedException NeedsDevice(string word) => new($"{word} works on a whole warp or on the device's own memory: run the kernel on the emulator or on a GPU");

    // The threads of a block reach the same call sites in the same order, so the n-th allocation of each is the same memory.
    internal ArrayView<T> Shared<T>(int length) where T : unmanaged
    {
        if (nextShared == shared.Count) shared.Add(Zeroed<T>(length));
        return new ArrayView<T>(shared[nextShared++], length);
    }

    internal ArrayView<T> Local<T>(int length) where T : unmanaged
    {
        local.Add(Zeroed<T>(length));
        return new ArrayView<T>(local[^1], length);
    }

    private static nint Zeroed<T>(int length) where T : unmanaged
    {
        nuint bytes = (nuint)Math.Max(1, checked(length * sizeof(T)));
        void* memory = NativeMemory.AlignedAlloc(bytes, Alignment);
        NativeMemory.Clear(memory, bytes);
        return (nint)memory;
    }

    private static void Free(List<nint> blocks)
    {
        foreach (nint block in blocks) NativeMemory.AlignedFree((void*)block);
        blocks.Clear();
    }

    private static Index3D Unflatten(int index, Index3D size) => new(index % size.X, index / size.X % size.Y, index / size.X / size.Y);
}
