using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace DiffWave.Audio.Tests;

public class NpyTests
{
    private static NpyArray FromBytes(byte[] bytes)
    {
        using var reader = new NpyReader(new MemoryStream(bytes), "test.npy");
        return reader.ReadAll();
    }

    private static byte[] ToBytes(float[] data, params int[] shape)
    {
        var stream = new MemoryStream();
        Npy.Write(stream, data, shape);
        return stream.ToArray();
    }

    [Theory]
    [InlineData("f2")]
    [InlineData("f4")]
    [InlineData("f8")]
    [InlineData("f2_big")]
    [InlineData("f4_big")]
    [InlineData("f8_big")]
    [InlineData("fortran")]
    [InlineData("version2")]
    [InlineData("version3")]
    public void ReadsFloatsAsNumpyWritesThem(string name)
    {
        NpyArray array = Npy.Read(Fixture.At($"npy/{name}.npy"));
        Assert.Equal(new[] { 3, 5 }, array.Shape);
        Assert.Equal(Enumerable.Range(0, 15).Select(i => i - 7.5f), array.Data);
        using var reader = new NpyReader(Fixture.At($"npy/{name}.npy"));
        var frames = new float[6];
        reader.ReadFrames(2, 2, frames); // columns 2 and 3, transposed
        Assert.Equal([-5.5f, -0.5f, 4.5f, -4.5f, 0.5f, 5.5f], frames);
    }

    [Theory]
    [InlineData("i1")]
    [InlineData("i2")]
    [InlineData("i4")]
    [InlineData("i8")]
    [InlineData("u1")]
    [InlineData("u2")]
    [InlineData("u4")]
    [InlineData("u8")]
    public void ReadsIntegers(string name) =>
        Assert.Equal(Enumerable.Range(0, 15).Select(i => 2f * i + (name[0] == 'u' ? 100 : -7)), Npy.Read(Fixture.At($"npy/{name}.npy")).Data);

    [Fact]
    public void ReadsOtherShapes()
    {
        NpyArray cube = Npy.Read(Fixture.At("npy/fortran_3d.npy"));
        Assert.Equal(new[] { 2, 3, 4 }, cube.Shape);
        Assert.Equal(Enumerable.Range(0, 24).Select(i => (float)i), cube.Data);
        NpyArray scalar = Npy.Read(Fixture.At("npy/scalar.npy"));
        Assert.Empty(scalar.Shape);
        Assert.Equal([2.5f], scalar.Data);
        Assert.Equal(new[] { 4 }, Npy.Read(Fixture.At("npy/vector.npy")).Shape);
        NpyArray empty = Npy.Read(Fixture.At("npy/empty.npy"));
        Assert.Equal(new[] { 80, 0 }, empty.Shape);
        Assert.Empty(empty.Data);
    }

    [Fact]
    public void WritesTheBytesNumpyWrites()
    {
        float[] data = [.. Enumerable.Range(0, 15).Select(i => i - 7.5f)];
        Assert.Equal(File.ReadAllBytes(Fixture.At("npy/f4.npy")), ToBytes(data, 3, 5));
        Assert.Equal(File.ReadAllBytes(Fixture.At("npy/vector.npy")), ToBytes([0, 1, 2, 3], 4));
        Assert.Equal(File.ReadAllBytes(Fixture.At("npy/scalar.npy")), ToBytes([2.5f]));
        Assert.Equal(File.ReadAllBytes(Fixture.At("npy/empty.npy")), ToBytes([], 80, 0));
    }

    [Fact]
    public void WritingThenReadingIsExact()
    {
        var cases = Gen.Choose(0, 6).ListOf(3).SelectMany(shape => Gen.Choose(int.MinValue, int.MaxValue).ArrayOf(shape.Aggregate(1, (a, b) => a * b)).Select(bits => (shape, bits)));
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(300), Prop.ForAll(cases.ToArbitrary(), c =>
        {
            float[] data = [.. c.bits.Select(BitConverter.Int32BitsToSingle)]; // any bits, NaNs too
            NpyArray back = FromBytes(ToBytes(data, [.. c.shape]));
            Assert.Equal(c.shape, back.Shape);
            Assert.Equal(data.Select(BitConverter.SingleToInt32Bits), back.Data.Select(BitConverter.SingleToInt32Bits));
        }));
    }

    [Fact]
    public void BlocksOfFramesEqualTheWhole()
    {
        var random = new Random(3);
        float[] data = [.. Enumerable.Range(0, 80 * 50000 / 80 * 8).Select(_ => random.NextSingle())];
        const int rows = 8, columns = 50000;
        using var reader = new NpyReader(new MemoryStream(ToBytes(data, 1, rows, columns)), "test.npy");
        Assert.Equal((rows, columns), (reader.Rows, reader.Columns));
        var block = new float[20000 * rows];
        foreach ((int first, int count) in new[] { (0, 1), (49999, 1), (12345, 20000), (50000, 0) })
        {
            reader.ReadFrames(first, count, block);
            for (int f = 0; f < count; f++)
                for (int row = 0; row < rows; row++) Assert.Equal(data[row * columns + first + f], block[f * rows + row]);
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => reader.ReadFrames(49999, 2, block));
        Assert.Throws<ArgumentOutOfRangeException>(() => reader.ReadFrames(-1, 1, block));
        Assert.Throws<ArgumentOutOfRangeException>(() => reader.ReadFrames(0, 20001, block));
    }

    [Fact]
    public void OtherFilesAreRefusedWithTheReason()
    {
        Fixture.Refused(() => Npy.Read(Fixture.At("npy/object.npy")), "object.npy", "Python objects, which are never loaded");
        Fixture.Refused(() => Npy.Read(Fixture.At("npy/record.npy")), "named fields");
        Fixture.Refused(() => Npy.Read(Fixture.At("npy/complex.npy")), "'<c8'", "astype");
        Fixture.Refused(() => Npy.Read(Fixture.At("npy/bool.npy")), "'|b1'");
        Fixture.Refused(() => Npy.Read(Fixture.At("speech.wav")), "not a .npy file");
        Fixture.Refused(() => FromBytes([]), "not a .npy file");

        byte[] good = ToBytes([1, 2, 3, 4], 2, 2);
        Fixture.Refused(() => FromBytes(good[..^1]), "15 bytes", "expected 16", "truncated");
        Fixture.Refused(() => FromBytes([.. good, 0]), "17 bytes", "more than one array");
        Fixture.Refused(() => FromBytes(good[..60]), "header is truncated");

        static byte[] Header(string literal, int version = 1)
        {
            byte[] text = Encoding.ASCII.GetBytes(literal);
            byte[] length = version == 1 ? BitConverter.GetBytes((ushort)text.Length) : BitConverter.GetBytes(text.Length);
            return [0x93, .. "NUMPY"u8, (byte)version, 0, .. length, .. text];
        }
        string Literal(string shape) => $"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}";
        Assert.Empty(FromBytes(Header(Literal("(0, 4294967, 4294967)"))).Data);
        Fixture.Refused(() => FromBytes(Header(Literal("(4194305, 4194305, 2111061979)"))), "more than");
        Fixture.Refused(() => FromBytes(Header(Literal("(99999999999999999999,)"))), "99999999999999999999");
        Fixture.Refused(() => FromBytes(Header(Literal("(-1,)"))), "a size");
        Fixture.Refused(() => FromBytes(Header(Literal("(2,"))), "a size");
        Fixture.Refused(() => FromBytes(Header(Literal("(" + string.Concat(Enumerable.Repeat("1,", 33)) + ")"))), "more than 32 sizes");
        Fixture.Refused(() => FromBytes(Header("{'descr': '<f4', 'descr': '<f4'}")), "once each");
        Fixture.Refused(() => FromBytes(Header("{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': ()}")), "a string");
        Fixture.Refused(() => FromBytes(Header("{'descr': '<f4', 'fortran_order': Maybe, 'shape': ()}")), "True or False");
        Fixture.Refused(() => FromBytes(Header("{}")), "lacks");
        Fixture.Refused(() => FromBytes(Header(new string(' ', 70000), 2)), "70000 bytes");
        Fixture.Refused(() => FromBytes(Header("{}", 4)), "version 4.0");
        using var folder = new TemporaryFolder();
        Assert.Throws<ArgumentException>(() => Npy.Write(folder.At("x.npy"), [1, 2], [3]));
        Assert.Empty(folder.Files);
    }
}
