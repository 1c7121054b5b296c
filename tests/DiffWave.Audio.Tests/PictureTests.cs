using System.Buffers.Binary;
using System.IO.Compression;

namespace DiffWave.Audio.Tests;

public class PictureTests
{
    private const int Left = 104, PlotWidth = 1020, Top = 56, PlotHeight = 440;

    // A strict reader of the one kind of PNG that is written: every chunk's checksum, one byte of filter a row.
    private static (int Width, int Height, byte[] Rgb) Decode(byte[] png)
    {
        Assert.Equal([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], png[..8]);
        Assert.Equal([0, 0, 0, 0, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82], png[^12..]); // IEND, the same in every PNG
        var (width, height) = (0, 0);
        var packed = new MemoryStream();
        for (int at = 8; at < png.Length;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(at));
            ReadOnlySpan<byte> typeAndData = png.AsSpan(at + 4, 4 + length);
            uint crc = uint.MaxValue;
            foreach (byte b in typeAndData)
            {
                crc ^= b;
                for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320 & (0u - (crc & 1)));
            }
            Assert.Equal(~crc, BinaryPrimitives.ReadUInt32BigEndian(png.AsSpan(at + 8 + length)));
            if (typeAndData.StartsWith("IHDR"u8))
            {
                (width, height) = (BinaryPrimitives.ReadInt32BigEndian(typeAndData[4..]), BinaryPrimitives.ReadInt32BigEndian(typeAndData[8..]));
                Assert.Equal([8, 2, 0, 0, 0], typeAndData[12..].ToArray());
            }
            if (typeAndData.StartsWith("IDAT"u8)) packed.Write(typeAndData[4..]);
            at += 12 + length;
        }
        packed.Position = 0;
        var rows = new MemoryStream();
        using (var inflate = new ZLibStream(packed, CompressionMode.Decompress)) inflate.CopyTo(rows);
        Assert.Equal(height * (1 + 3 * width), rows.Length);
        byte[] rgb = [.. Enumerable.Range(0, height).SelectMany(y =>
        {
            byte[] row = rows.GetBuffer()[(y * (1 + 3 * width))..((y + 1) * (1 + 3 * width))];
            Assert.Equal(0, row[0]);
            return row[1..];
        })];
        return (width, height, rgb);
    }

    private static (int Width, int Height, byte[] Rgb) Draw(Action<string> write)
    {
        using var folder = new TemporaryFolder();
        string path = folder.At("a.png");
        write(path);
        Assert.Equal(["a.png"], folder.Files);
        return Decode(File.ReadAllBytes(path));
    }

    [Fact]
    public void PngHoldsThePixels()
    {
        var random = new Random(1);
        foreach ((int width, int height) in new[] { (1, 1), (3, 2), (257, 19) })
        {
            var rgb = new byte[3 * width * height];
            random.NextBytes(rgb);
            var stream = new MemoryStream();
            Png.WriteRgb(stream, width, height, rgb);
            var decoded = Decode(stream.ToArray());
            Assert.Equal((width, height), (decoded.Width, decoded.Height));
            Assert.Equal(rgb, decoded.Rgb);
        }
        Assert.Throws<ArgumentException>(() => Png.WriteRgb(new MemoryStream(), 2, 2, new byte[11]));
    }

    [Theory] // from the published table
    [InlineData(0.0, 68, 1, 84)]
    [InlineData(0.25, 59, 82, 139)]
    [InlineData(0.5, 33, 145, 140)]
    [InlineData(0.75, 94, 201, 98)]
    [InlineData(1.0, 253, 231, 37)]
    public void ViridisFollowsThePublishedColours(double t, int r, int g, int b)
    {
        Rgb color = Rgb.Viridis(t);
        Assert.InRange(color.R, r - 5, r + 5);
        Assert.InRange(color.G, g - 5, g + 5);
        Assert.InRange(color.B, b - 5, b + 5);
    }

    [Theory]
    [InlineData(22050, 2.0)]
    [InlineData(48000, 0.3)]
    [InlineData(8000, 40.0)]
    public void AToneIsALineAtItsFrequency(int rate, double seconds)
    {
        double hz = rate / 8.0; // a quarter of the height
        float[] tone = [.. Enumerable.Range(0, (int)(rate * seconds)).Select(n => (float)Math.Sin(2 * Math.PI * hz * n / rate))];
        var (width, height, rgb) = Draw(path => SpectrogramPicture.Write(path, tone, rate, "tone"));
        Assert.Equal((1220, 566), (width, height));
        foreach (int x in new[] { Left + 100, Left + 500, Left + 900 })
        {
            int brightest = Enumerable.Range(Top, PlotHeight).MaxBy(y => rgb[3 * (y * width + x) + 1]); // viridis' green grows throughout
            Assert.InRange(brightest, Top + PlotHeight * 3 / 4 - 2, Top + PlotHeight * 3 / 4 + 2);
            Assert.Equal(Rgb.Viridis(0).G, rgb[3 * ((Top + 5) * width + x) + 1]); // nothing near Nyquist
        }
    }

    [Fact]
    public void TwoPanelsShareTheirAxes()
    {
        var random = new Random(2);
        float[] noise = [.. Enumerable.Range(0, 22050).Select(_ => random.NextSingle() - 0.5f)];
        var (width, height, rgb) = Draw(path => SpectrogramPicture.Write(path, noise, noise.AsSpan(0, 11025), 22050, "pair"));
        Assert.Equal((1220, 56 + 2 * 360 + 70), (width, height));
        byte[] Pixel(int x, int y) => rgb[(3 * (y * width + x))..(3 * (y * width + x) + 3)];
        foreach (int y in Enumerable.Range(0, 320))
        {
            Assert.Equal(Pixel(Left + 100, 96 + y), Pixel(Left + 100, 456 + y)); // the same sound, the same colours
            Assert.NotEqual([236, 236, 236], Pixel(Left + 1019, 96 + y));
            Assert.Equal([236, 236, 236], Pixel(Left + 511, 456 + y)); // behind the end of the shorter one
        }
    }

    [Fact]
    public void AnyNumberOfPanelsStandsInTheGivenOrder()
    {
        float[] Tone(double hz) => [.. Enumerable.Range(0, 22050).Select(n => (float)Math.Sin(2 * Math.PI * hz * n / 22050))];
        double[] hz = [2000, 8000, 5000];
        var (width, height, rgb) = Draw(path => SpectrogramPicture.WriteStack(path, [.. hz.Select(f => ($"{f} Hz", Tone(f)))], 22050, "three"));
        Assert.Equal((1220, 56 + 3 * 360 + 70), (width, height));
        for (int panel = 0; panel < 3; panel++)
        {
            int top = 96 + 360 * panel, expected = top + 319 - (int)(hz[panel] / 11025 * 319);
            int brightest = Enumerable.Range(top, 320).MaxBy(y => rgb[3 * (y * width + Left + 500) + 1]);
            Assert.InRange(brightest, expected - 2, expected + 2);
        }
        using var folder = new TemporaryFolder();
        Assert.Throws<ArgumentException>(() => SpectrogramPicture.WriteStack(folder.At("a.png"), [], 22050, "none"));
        Assert.Empty(folder.Files);
    }

    [Fact]
    public void OddInputIsDrawnOrRefused()
    {
        Draw(path => SpectrogramPicture.Write(path, [0.5f], 22050, ""));
        Draw(path => SpectrogramPicture.Write(path, new float[5000], 16000, new string('W', 5000) + "\u4F60\n"));
        Draw(path => SpectrogramPicture.Write(path, new float[10], 1000, "ten"));
        using var folder = new TemporaryFolder();
        Assert.Throws<ArgumentException>(() => SpectrogramPicture.Write(folder.At("a.png"), [], 22050, "empty"));
        Assert.Throws<ArgumentException>(() => SpectrogramPicture.Write(folder.At("a.png"), new float[] { 0, float.NaN }, 22050, "nan"));
        Assert.Empty(folder.Files);
    }

    [Fact]
    public void EveryPrintableCharacterHasADistinctShape()
    {
        string characters = new([.. Enumerable.Range(33, 94).Select(i => (char)i)]);
        string[] shapes = [.. characters.Select(c =>
        {
            var canvas = new Canvas(12, 20, new Rgb(0, 0, 0));
            canvas.Text(0, 0, c.ToString(), new Rgb(255, 255, 255));
            return Convert.ToHexString(canvas.Pixels);
        })];
        Assert.Equal(characters.Length, shapes.Distinct().Count());
        var turned = new Canvas(20, 12, new Rgb(0, 0, 0));
        turned.Text(0, 11, "F", new Rgb(255, 255, 255), upwards: true);
        var upright = new Canvas(12, 20, new Rgb(0, 0, 0));
        upright.Text(0, 0, "F", new Rgb(255, 255, 255));
        for (int y = 0; y < 20; y++)
            for (int x = 0; x < 12; x++) Assert.Equal(upright.Pixels[3 * (y * 12 + x)], turned.Pixels[3 * ((11 - x) * 20 + y)]);
    }
}
