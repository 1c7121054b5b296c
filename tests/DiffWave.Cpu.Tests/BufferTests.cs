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
        using var memory = new BufferMemory();
        using var buffer = new CpuBuffer(memory, batch, rows, channels);
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
        using var memory = new BufferMemory();
        using var buffer = new CpuBuffer(memory, 1, 1 << 15, 64);
        Assert.Contains("hg", FlagsOf((nuint)buffer.Row(0, 1 << 14))); // "huge page advise flag" (proc(5), smaps)
    }

    [Fact]
    public void WhatABufferGivesBackServesTheNextOfItsSizeAndIsZeroAgain()
    {
        using var memory = new BufferMemory();
        var first = new CpuBuffer(memory, 2, 100, 40);
        float* place = first.Row(0, 0);
        new Span<float>(place, 200 * first.Stride).Fill(1);
        var other = new CpuBuffer(memory, 2, 50, 40);
        other.Dispose();
        first.Dispose();
        using (var again = new CpuBuffer(memory, 2, 50, 40)) Assert.True(again.Row(0, 0) != place);
        using var second = new CpuBuffer(memory, 2, 100, 40);
        Assert.True(second.Row(0, 0) == place);
        Assert.Equal(-1, new ReadOnlySpan<float>(place, 200 * second.Stride).IndexOfAnyExcept(0));
    }

    [Fact]
    public void NoMoreIsHeldThanWasInUseAtOnce()
    {
        using var memory = new BufferMemory();
        float*[] blocks = [memory.Take(100), memory.Take(200), memory.Take(300)];
        for (int i = 0; i < blocks.Length; i++) memory.Give(blocks[i], 100 * (i + 1));
        Assert.Equal(4 * 600, memory.IdleBytes);
        float* large = memory.Take(350); // with 600 idle that would be 950: the largest go first
        Assert.Equal(4 * 100, memory.IdleBytes);
        float* small = memory.Take(100);
        Assert.Equal(0, memory.IdleBytes);
        memory.Give(large, 350);
        memory.Give(small, 100);
        Assert.Equal(4 * 450, memory.IdleBytes);
        float* most = memory.Take(1000); // more than ever: nothing may stay beside it
        Assert.Equal(0, memory.IdleBytes);
        memory.Give(most, 1000);
    }

    [Fact]
    public void WhatIsGivenBackAfterTheEndIsFreed()
    {
        var memory = new BufferMemory();
        float* waits = memory.Take(100), inUse = memory.Take(200);
        memory.Give(waits, 100);
        memory.Dispose();
        Assert.Equal(0, memory.IdleBytes);
        memory.Give(inUse, 200);
        Assert.Equal(0, memory.IdleBytes);
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
