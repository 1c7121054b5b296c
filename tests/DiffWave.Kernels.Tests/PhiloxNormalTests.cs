using DiffWave.Cuda;
using DiffWave.Device;
using DiffWave.Engine;

namespace DiffWave.Kernels.Tests;

/// <summary>The noise kernels draw the engine's bits.</summary>
public class PhiloxNormalTests
{
    public static TheoryData<ulong, uint, uint, uint, long, long, int, int> Draws
    {
        get
        {
            var draws = new TheoryData<ulong, uint, uint, uint, long, long, int, int>();
            for (int length = 1; length <= 9; length++) draws.Add(0, 0, 1, 0, length % 5, 0, 2, length);
            draws.Add(1, 2, 1, 3, 0, 0, 3, 1000);                                               // a sampler: item b is stream b
            draws.Add(7, 0x2000_0001, 0, 0, 3 * 1001, 1001, 4, 1001);                           // training: one stream, item after item
            draws.Add(0xFEDCBA9876543210, 0xFFFFFFFF, 1, 0x80000001, 12345, 0, 2, 1000);        // the stream of the second item is 0
            draws.Add(1UL << 32, 5, 0, 6, 17_179_869_181, 11, 2, 11);                           // the block number passes 2^32 within the draw
            return draws;
        }
    }

    [Theory, MemberData(nameof(Draws))]
    public void OnTheEmulatorBothVersionsDrawTheEnginesBits(ulong seed, uint stream, uint streamStride, uint step, long first, long firstStride, int items, int rows)
    {
        foreach (int before in (int[])[0, 1, 2, 3]) // whichever way items of the buffer are aligned
        {
            float[] expected = new float[items * (before + rows)];
            for (int item = 0; item < items; item++)
                PhiloxNoise.Fill(seed, stream + (uint)item * streamStride, step, first + item * firstStride, expected.AsSpan(item * (before + rows) + before, rows));
            foreach (string name in (string[])["philox_normal_v1", "philox_normal_v2"])
            {
                float[] normals = new float[expected.Length];
                long origin = first / 3; // a part of it lies in device memory
                OnEmulator.Launch(KernelCatalog.Find(name)!.Method, new Dim3(((rows + 6) / 4 + 255) / 256, items), null,
                    new RowsOf<float>(normals, before + rows, before, 1), rows, new[] { seed, (ulong)origin }, stream, streamStride, step, first - origin, firstStride);
                Assert.Equal(expected.Select(BitConverter.SingleToUInt32Bits), normals.Select(BitConverter.SingleToUInt32Bits));
            }
        }
    }

    [Fact]
    public unsafe void AsOrdinaryCodeToo()
    {
        const int length = 4099;
        const long first = 3;
        float[] expected = new float[length], actual = new float[length];
        PhiloxNoise.Fill(42, 1, 2, first, expected);
        ulong* seed = stackalloc ulong[] { 42, 2 };
        fixed (float* p = actual)
        {
            var (normals, key) = (new Rows<float>(new ArrayView<float>((nint)p, length), length, 0, 1), new ArrayView<ulong>((nint)seed, 2));
            SequentialLaunch.Run(new(5, 1, 1), new(256, 1, 1), () => PhiloxNormal.FillV1(normals, length, key, 1, 1, 2, first - 2, 0));
        }
        Assert.Equal(expected, actual);
    }

    [Fact]
    public void TheReferenceIsTheEnginesTransformInExactMathematics()
    {
        const int length = 100_000;
        float[] engine = new float[length];
        double[] exact = new double[length];
        PhiloxNoise.Fill(9, 8, 7, 5, engine);
        PhiloxNormal.Reference(9, 8, 7, 5, exact);
        Assert.True(engine.Zip(exact, (a, b) => Math.Abs(a - b)).Max() <= 6.6e-7); // what the engine states of its transform
    }
}
