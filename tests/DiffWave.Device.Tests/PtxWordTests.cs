using System.Numerics;

namespace DiffWave.Device.Tests;

public class PtxWordTests
{
    private static readonly Random Random = new(5);

    private static uint Word() => (uint)Random.NextInt64();

    [Fact]
    public void UpperHalvesAreThoseOfTheExactProduct()
    {
        for (int i = 0; i < 1000; i++)
        {
            ulong a = (ulong)Word() << 32 | Word(), b = (ulong)Word() << 32 | Word();
            Assert.Equal((ulong)((BigInteger)a * b >> 64), Ptx.MulHi(a, b));
            Assert.Equal((long)((BigInteger)(long)a * (long)b >> 64), Ptx.MulHi((long)a, (long)b));
            Assert.Equal((uint)((BigInteger)(uint)a * (uint)b >> 32), Ptx.MulHi((uint)a, (uint)b));
            Assert.Equal((int)((BigInteger)(int)a * (int)b >> 32), Ptx.MulHi((int)a, (int)b));
        }
    }

    [Fact]
    public void BytesArePermutedBySelectors()
    {
        Assert.Equal(0x33221100u, Ptx.Prmt(0x33221100, 0x77665544, 0x3210));
        Assert.Equal(0x44556677u, Ptx.Prmt(0x33221100, 0x77665544, 0x4567));
        Assert.Equal(0xFF550080u, Ptx.Prmt(0x00008000, 0x00005500, 0x9521)); // 9: the sign of byte 1, repeated
    }

    [Fact]
    public void EveryFunctionOfThreeBitsIsItsTable()
    {
        for (int table = 0; table < 256; table++)
            Assert.Equal((uint)table, Ptx.Lop3(0xF0, 0xCC, 0xAA, table) & 0xFF);
        uint a = Word(), b = Word(), c = Word();
        Assert.Equal((a & b) ^ c, Ptx.Lop3(a, b, c, (0xF0 & 0xCC) ^ 0xAA));
    }

    [Fact]
    public void FieldsAreTakenAndPut()
    {
        for (int i = 0; i < 2000; i++)
        {
            uint value = Word(), field = Word();
            int start = Random.Next(40), length = Random.Next(40);
            uint taken = 0, put = value;
            for (int bit = 0; bit < length && start + bit < 32; bit++)
            {
                taken |= (value >> (start + bit) & 1) << bit;
                put = put & ~(1u << (start + bit)) | (field >> bit & 1) << (start + bit);
            }
            Assert.Equal(taken, Ptx.Bfe(value, start, length));
            Assert.Equal(put, Ptx.Bfi(field, value, start, length));
        }
    }

    [Fact]
    public void ShiftsAndReversalsAgreeWithTheLibrary()
    {
        for (int i = 0; i < 200; i++)
        {
            uint a = Word(), b = Word();
            int shift = Random.Next(64);
            Assert.Equal(BitOperations.RotateLeft(a, shift), Ptx.FunnelShiftLeft(a, a, shift));
            Assert.Equal(BitOperations.RotateRight(a, shift), Ptx.FunnelShiftRight(a, a, shift));
            Assert.Equal(shift % 32 == 0 ? b : b << shift % 32 | a >> 32 - shift % 32, Ptx.FunnelShiftLeft(a, b, shift));
            Assert.Equal(shift % 32 == 0 ? a : a >> shift % 32 | b << 32 - shift % 32, Ptx.FunnelShiftRight(a, b, shift));
            Assert.Equal(new string([.. Convert.ToString(a, 2).PadLeft(32, '0').Reverse()]), Convert.ToString(Ptx.Brev(a), 2).PadLeft(32, '0'));
            Assert.Equal((ulong)Ptx.Brev(a), Ptx.Brev((ulong)a << 32));
        }
    }

    [Fact]
    public void ByteProductsAreSummed()
    {
        Assert.Equal(1000 + 127 * 2 - 128 * 3 + 5 * -1 + 0, Ptx.Dp4a(0x0005807F, 0x09FF0302, 1000));
        Assert.Equal(1u + 255 * 255 * 4, Ptx.Dp4a(uint.MaxValue, uint.MaxValue, 1u));
    }

    [Fact]
    public void Tf32IsTheNearestOfTenBitsWithTiesAway()
    {
        for (uint bits = 0; bits < 0x7F000000; bits += 7919)
        {
            float x = BitConverter.UInt32BitsToSingle(bits);
            double unit = Math.ScaleB(1, Math.Max(-126, bits < 0x800000 ? -126 : Math.ILogB(x)) - 10);
            float expected = (float)(Math.Round(x / unit, MidpointRounding.AwayFromZero) * unit);
            Assert.Equal(expected, BitConverter.UInt32BitsToSingle(Ptx.CvtRnaTf32(x)));
            Assert.Equal(-expected, BitConverter.UInt32BitsToSingle(Ptx.CvtRnaTf32(-x)));
        }
        Assert.Equal(0x7F800000u, Ptx.CvtRnaTf32(float.MaxValue));
        Assert.Equal(0xFF800000u, Ptx.CvtRnaTf32(float.NegativeInfinity));
        Assert.True(float.IsNaN(BitConverter.UInt32BitsToSingle(Ptx.CvtRnaTf32(float.NaN))));
    }

    [Fact]
    public void CopiesAndHintsMoveMemoryOnTheCpu()
    {
        float[] source = [1, 2, 3, 4], target = [9, 9, 9, 9, 9];
        Ptx.CpAsync16(ref target[0], ref source[0]);
        Ptx.CpAsyncCommit();
        Ptx.CpAsyncWaitGroup(0);
        Assert.Equal([1, 2, 3, 4, 9], target);
        Ptx.CpAsync16Ca(ref target[0], ref source[1], 8);
        Assert.Equal([2, 3, 0, 0, 9], target);
        Ptx.CpAsync8(ref target[3], ref source[0], 0);
        Ptx.CpAsync4(ref target[2], ref source[3]);
        Ptx.CpAsyncWaitAll();
        Assert.Equal([2, 3, 4, 0, 0], target);
        Ptx.StGlobalCs(ref target[0], 7);
        Assert.Equal(7, Ptx.LdGlobalNc(ref target[0]));
        Assert.Equal(3, Ptx.LdGlobalCg(ref target[1]));
    }

    [Fact]
    public void WordsOfAWarpNeedADevice()
    {
        uint word = 0;
        Assert.Throws<NotSupportedException>(() => Ptx.LdMatrixX4(ref word));
        Assert.Throws<NotSupportedException>(() => Ptx.MmaM16N8K16F16(default, default, default));
        Assert.Throws<NotSupportedException>(() => Ptx.ReduxAdd(1));
        Assert.Throws<NotSupportedException>(() => Warp.ShuffleXor(1f, 16));
    }
}
