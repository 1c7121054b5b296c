using DiffWave.Device;
using DiffWave.Engine;

namespace DiffWave.Kernels.Tests;

/// <summary>The noise kernels draw the engine's bits.</summary>
public class PhiloxNormalTests
{
    public static TheoryData<ulong, uint, uint, long, int> Draws
    {
        get
        {
            var draws = new TheoryData<ulong, uint, uint, long, int>();
            for (int length = 1; length <= 9; length++) draws.Add(0, 0, 0, length % 5, length);
            draws.Add(1, 2, 3, 0, 1000);
            draws.Add(0xFEDCBA9876543210, 0xFFFFFFFF, 0x80000001, 12345, 1000);
            draws.Add(1UL << 32, 5, 6, 17_179_869_181, 11); // the block number passes 2^32 within the draw
            return draws;
        }
    }

    [Theory, MemberData(nameof(Draws))]
    public void OnTheEmulatorBothVersionsDrawTheEnginesBits(ulong seed, uint stream, uint step, long first, int length)
    {
        float[] expected = new float[length];
        PhiloxNoise.Fill(seed, stream, step, first, expected);
        foreach (string name in (string[])["philox_normal_v1", "philox_normal_v2"])
        {
            float[] actual = OnEmulator.Launch(KernelCatalog.Find(name)!.Method, (length + 6) / 4, normals => [normals, seed, stream, step, first], length);
            Assert.Equal(expected.Select(BitConverter.SingleToUInt32Bits), actual.Select(BitConverter.SingleToUInt32Bits));
        }
    }

    [Fact]
    public unsafe void AsOrdinaryCodeToo()
    {
        const int length = 4099;
        const long first = 3;
        float[] expected = new float[length], actual = new float[length];
        PhiloxNoise.Fill(42, 1, 2, first, expected);
        fixed (float* p = actual)
        {
            var normals = new ArrayView<float>((nint)p, length);
            SequentialLaunch.Run(new(5, 1, 1), new(256, 1, 1), () => PhiloxNormal.FillV1(normals, 42, 1, 2, first));
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
