using DiffWave.Emulator;

namespace DiffWave.Cuda.Tests;

/// <summary>On a device that does its work as late as it may, so that a segment used again too early or values read too soon are seen.</summary>
public sealed class StagingRingTests : IDisposable
{
    private readonly EmulatedDriver driver = new(new EmulatorOptions { Lazy = true });
    private readonly nint stream;

    public StagingRingTests() => stream = driver.CreateStream();

    public void Dispose() => driver.Dispose();

    private static byte[] Values(int count, int seed)
    {
        byte[] values = new byte[count];
        new Random(seed).NextBytes(values);
        return values;
    }

    [Theory]
    [InlineData(1), InlineData(255), InlineData(1024), InlineData(1025), InlineData(2048), InlineData(2049), InlineData(3 * 1024 * 7 + 13)]
    public void What_goes_up_comes_down(int bytes)
    {
        using var ring = new StagingRing(driver, stream, 1024, 2);
        ulong place = driver.Allocate(bytes);
        for (int round = 0; round < 5; round++)
        {
            byte[] values = Values(bytes, round), sent = [.. values], back = new byte[bytes];
            ring.Upload<byte>(sent, place);
            sent.AsSpan().Clear(); // it has been read
            ring.Download<byte>(place, back);
            Assert.Equal(values, back);
        }
    }

    [Fact]
    public void Many_uploads_of_all_sizes_between_downloads_stay_in_order()
    {
        using var ring = new StagingRing(driver, stream, 512, 3);
        const int Places = 40, Longest = 2000;
        ulong start = driver.Allocate(Places * Longest);
        driver.FillAsync(start, 0, Places * Longest / 4, stream);
        byte[] expected = new byte[Places * Longest];
        var random = new Random(3);
        for (int i = 0; i < 400; i++)
        {
            byte[] values = Values(random.Next(0, random.Next(2) == 0 ? 40 : Longest), i);
            int at = random.Next(Places * Longest - values.Length);
            values.CopyTo(expected, at);
            ring.Upload<byte>(values, start + (ulong)at);
            if (i % 7 != 0) continue;
            byte[] part = new byte[random.Next(3000)];
            int from = random.Next(expected.Length - part.Length);
            ring.Download<byte>(start + (ulong)from, part);
            Assert.Equal(expected[from..(from + part.Length)], part);
        }
        byte[] all = new byte[expected.Length];
        ring.Download<byte>(start, all);
        Assert.Equal(expected, all);
    }

    [Fact]
    public void Numbers_of_any_type_are_copied_bit_by_bit()
    {
        using var ring = new StagingRing(driver, stream);
        ulong place = driver.Allocate(24);
        double[] values = [Math.PI, double.NaN, -0.0], back = new double[3];
        ring.Upload<double>(values, place);
        ring.Download<double>(place, back);
        Assert.Equal(values.Select(BitConverter.DoubleToInt64Bits), back.Select(BitConverter.DoubleToInt64Bits));
        ring.Upload<float>([], 0);
        ring.Download<float>(0, []);
    }

    [Fact]
    public void Nothing_is_recorded()
    {
        using var ring = new StagingRing(driver, stream);
        ulong place = driver.Allocate(4);
        driver.BeginCapture(stream);
        Assert.Contains("upload before the capture begins", Assert.Throws<InvalidOperationException>(() => ring.Upload<byte>([1], place)).Message);
        Assert.Throws<InvalidOperationException>(() => ring.Download<byte>(place, new byte[1]));
        driver.EndCapture(stream);
        ring.Upload<byte>([1], place);
    }

    [Fact]
    public void A_ring_needs_two_segments_of_whole_lines()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new StagingRing(driver, stream, 256, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new StagingRing(driver, stream, 300, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => new StagingRing(driver, stream, 0, 2));
    }

    [Fact]
    public void The_last_uploads_arrive_although_the_ring_is_disposed()
    {
        ulong place = driver.Allocate(4);
        byte[] back = new byte[4];
        var ring = new StagingRing(driver, stream);
        ring.Upload<byte>([1, 2, 3, 4], place);
        ring.Dispose();
        ring.Dispose();
        driver.CopyToHost(back, place);
        Assert.Equal([1, 2, 3, 4], back);
    }
}
