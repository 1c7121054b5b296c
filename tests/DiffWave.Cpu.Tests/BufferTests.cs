using System.Globalization;
using Xunit;

namespace DiffWave.Cpu.Tests;

/// <summary>Memory of the CPU backend.</summary>
public sealed unsafe class BufferTests
{
    [Theory]
    [InlineData(1, 7, 3)]
    [InlineData(2, 40_000, 33)] // large
    public void RowsAreZeroAndAligned(int batch, int rows, int channels)
    {
        using var buffer = new CpuBuffer(batch, rows, channels);
        for (int item = 0; item < batch; item++)
        {
            Assert.Equal(0u, (nuint)buffer.Row(item, 0) % 64);
            Assert.Equal(-1, new ReadOnlySpan<float>(buffer.Row(item, 0), rows * buffer.Stride).IndexOfAnyExcept(0));
        }
    }

    [Fact]
    public void LinuxIsAskedForHugePagesOfALargeBuffer()
    {
        Assert.SkipUnless(File.Exists("/sys/kernel/mm/transparent_hugepage/enabled"), "no Linux with pages of several sizes");
        using var buffer = new CpuBuffer(1, 1 << 15, 64);
        Assert.Contains("hg", FlagsOf((nuint)buffer.Row(0, 1 << 14))); // "huge page advise flag" (proc(5), smaps)
    }

    // Of the mapping that holds an address.
    private static string[] FlagsOf(nuint address)
    {
        bool found = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words[0].Split('-') is [string first, string end] && nuint.TryParse(first, NumberStyles.HexNumber, null, out nuint low)) found = low <= address && address < nuint.Parse(end, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            else if (found && words[0] == "VmFlags:") return words[1..];
        }
        throw new InvalidOperationException("no mapping holds the buffer");
    }
}
