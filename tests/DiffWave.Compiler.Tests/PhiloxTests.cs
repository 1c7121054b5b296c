using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

// The known answers published with Random123: Philox 4 x 32, 10 rounds.
public class PhiloxTests
{
    [Kernel("philox")]
    internal static void Philox(ArrayView<UInt4> counters, ArrayView<UInt2> keys, ArrayView<UInt4> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        UInt4 c = counters[i];
        UInt2 k = keys[i];
        for (int round = 0; round < 10; round++)
        {
            ulong p = (ulong)c.X * 0xD2511F53, q = (ulong)c.Z * 0xCD9E8D57;
            c = new UInt4((uint)(q >> 32) ^ c.Y ^ k.X, (uint)q, (uint)(p >> 32) ^ c.W ^ k.Y, (uint)p);
            k.X += 0x9E3779B9;
            k.Y += 0xBB67AE85;
        }
        y[i] = c;
    }

    [Fact]
    public void KnownAnswersComeOut()
    {
        UInt4[] counters = [default, new(~0u, ~0u, ~0u, ~0u), new(0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)];
        UInt2[] keys = [default, new(~0u, ~0u), new(0xA4093822, 0x299F31D0)];
        var y = (UInt4[])KernelRun.SameAsNative(Philox, counters, keys, new UInt4[3])[2];
        Assert.Equal(new UInt4(0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8), y[0]);
        Assert.Equal(new UInt4(0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD), y[1]);
        Assert.Equal(new UInt4(0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1), y[2]);
    }
}
