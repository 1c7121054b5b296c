using System.Reflection;
using System.Runtime.InteropServices;
using DiffWave.Cuda;
using DiffWave.Device;

namespace DiffWave.Bench;

/// <summary>A kernel that reaches one roof of a GPU, with its buffers, ready to be launched again and again.</summary>
internal sealed class Ceiling : IDisposable
{
    /// <summary>Factor and summand of the multiply-adds: the chains go to 1, and no value becomes large or denormal.</summary>
    public const float Factor = 0.75f, Summand = 0.25f;

    // By the layout of mma.m16n8k16: register r of lane 4 g + t holds two neighbours of A at row g + 8 (r % 2), column 2 t + 8 (r / 2); of B at rows 2 t + 8 r and the next, column g.
    private static readonly uint[] LeftWords = [.. from lane in Enumerable.Range(0, 32) from r in Enumerable.Range(0, 4)
        let row = lane / 4 + r % 2 * 8 let column = lane % 4 * 2 + r / 2 * 8 select Pair(Left(row, column), Left(row, column + 1))];

    private static readonly uint[] RightWords = [.. from lane in Enumerable.Range(0, 32) from r in Enumerable.Range(0, 2)
        let row = lane % 4 * 2 + r * 8 let column = lane / 4 select Pair(Right(row, column), Right(row + 1, column))];

    private readonly ICudaDriver driver;
    private readonly KernelRunner runner;
    private readonly LoadedKernel kernel;
    private readonly int blocks;
    private readonly List<ulong> buffers = [];
    private object[] arguments = [];

    private Ceiling(ICudaDriver driver, KernelRunner runner, string name, string method, int blocks)
    {
        (this.driver, this.runner, Name, this.blocks) = (driver, runner, name, blocks);
        MethodInfo kernelMethod = typeof(CeilingKernels).GetMethod(method)!;
        int needed = kernelMethod.GetCustomAttribute<KernelAttribute>()!.MinimumSm;
        if (needed > driver.Device.Sm) throw new UnsupportedKernelException($"ceiling/{name} needs sm_{needed}, {driver.Device.Name} is sm_{driver.Device.Sm}");
        kernel = runner.Load(kernelMethod);
    }

    /// <summary>What it is called in results.</summary>
    public string Name { get; }

    /// <summary>What a launch computes and moves, without <see cref="TensorFlops"/>.</summary>
    public Cost Cost { get; private init; }

    /// <summary>FLOP of a launch on tensor cores.</summary>
    public long TensorFlops { get; private init; }

    /// <summary>Where its results are.</summary>
    public ulong Output { get; private set; }

    /// <summary>Copies between two buffers.</summary>
    /// <param name="driver">The device.</param>
    /// <param name="runner">Its kernels.</param>
    /// <param name="bytes">Bytes of a buffer, a multiple of 16: many times the L2 cache to measure memory.</param>
    public static Ceiling Copy(ICudaDriver driver, KernelRunner runner, long bytes)
    {
        int blocks = (int)Math.Clamp(bytes / 16 / CeilingKernels.Threads, 1, 16L * driver.Device.Multiprocessors); // two times what is resident at once
        return new Ceiling(driver, runner, "copy", nameof(CeilingKernels.Copy), blocks) { Cost = new Cost(0, 2 * bytes) }.Ready(copy =>
        {
            ulong from = copy.Buffer(bytes);
            driver.FillAsync(from, BitConverter.SingleToUInt32Bits(1), bytes / 4, 0);
            return [View<float>(from, bytes / 4), View<float>(copy.Output = copy.Buffer(bytes), bytes / 4)];
        });
    }

    /// <summary>Chains of float32 multiply-adds.</summary>
    /// <param name="driver">The device.</param>
    /// <param name="runner">Its kernels.</param>
    /// <param name="blocks">Blocks.</param>
    /// <param name="rounds">Steps of a chain in units of <see cref="CeilingKernels.Unrolled"/>.</param>
    public static Ceiling Fma(ICudaDriver driver, KernelRunner runner, int blocks, int rounds)
    {
        long threads = (long)blocks * CeilingKernels.Threads;
        return new Ceiling(driver, runner, "fma", nameof(CeilingKernels.Fma), blocks)
        {
            Cost = new Cost(threads * (2L * CeilingKernels.Chains * CeilingKernels.Unrolled * rounds + CeilingKernels.Chains - 1), sizeof(float) * (CeilingKernels.Chains + threads)),
        }.Ready(fma => [fma.Starts(), View<float>(fma.Output = fma.Buffer(threads * sizeof(float)), threads), Factor, Summand, rounds]);
    }

    /// <summary>Chains of matrix products of halves with float32 sums.</summary>
    /// <param name="driver">The device.</param>
    /// <param name="runner">Its kernels.</param>
    /// <param name="blocks">Blocks.</param>
    /// <param name="rounds">Steps of a chain in units of <see cref="CeilingKernels.Unrolled"/>.</param>
    public static Ceiling Tensor(ICudaDriver driver, KernelRunner runner, int blocks, int rounds)
    {
        long threads = (long)blocks * CeilingKernels.Threads, warps = threads / 32;
        return new Ceiling(driver, runner, "tensor", nameof(CeilingKernels.Tensor), blocks)
        {
            Cost = new Cost(threads * 4 * (CeilingKernels.Chains - 1), sizeof(uint) * (LeftWords.Length + RightWords.Length) + sizeof(float) * (CeilingKernels.Chains + 4 * threads)),
            TensorFlops = 2L * CeilingKernels.M * CeilingKernels.N * CeilingKernels.K * CeilingKernels.Chains * CeilingKernels.Unrolled * rounds * warps,
        }.Ready(tensor => [tensor.Filled(LeftWords), tensor.Filled(RightWords), tensor.Starts(), View<float>(tensor.Output = tensor.Buffer(4 * threads * sizeof(float)), 4 * threads), rounds]);
    }

    /// <summary>What chain i starts with.</summary>
    public static float Start(int chain) => 1 + chain;

    /// <summary>The left factor of the matrix products. Whole numbers keep the sums exact; they switch fewer bits than random ones and draw less power, so that this is the most a device does, not the usual.</summary>
    public static int Left(int row, int column) => (3 * row + 5 * column + row * column) % 11 - 5;

    /// <summary>The right factor.</summary>
    public static int Right(int row, int column) => (4 * row + column + 2 * row * column) % 7 - 3;

    /// <summary>Queues a launch.</summary>
    public void Launch(nint stream) => runner.Launch(kernel, new Dim3(blocks), new Dim3(CeilingKernels.Threads), 0, stream, arguments);

    /// <summary>Gives the buffers back.</summary>
    public void Dispose()
    {
        foreach (ulong buffer in buffers) driver.Free(buffer);
        buffers.Clear();
    }

    private Ceiling Ready(Func<Ceiling, object[]> prepare)
    {
        try
        {
            arguments = prepare(this);
            return this;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private static uint Pair(int low, int high) => BitConverter.HalfToUInt16Bits((Half)low) | (uint)BitConverter.HalfToUInt16Bits((Half)high) << 16;

    private static DeviceArray View<T>(ulong address, long length) => new(address, length, typeof(T));

    private DeviceArray Starts() => Filled(Enumerable.Range(0, CeilingKernels.Chains).Select(Start).ToArray());

    private DeviceArray Filled<T>(T[] values) where T : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes<T>(values);
        ulong address = Buffer(bytes.Length);
        driver.CopyToDevice(address, bytes);
        return View<T>(address, values.Length);
    }

    private ulong Buffer(long bytes)
    {
        ulong address = driver.Allocate(bytes);
        buffers.Add(address);
        return address;
    }
}
