using DiffWave.Cpu.Tests;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

/// <summary>The whole network and the reverse chain by <see cref="CudaOps"/> on the emulator.</summary>
public class CudaNetworkTests
{
    private const Conditioner Both = Conditioner.Mel | Conditioner.Label;

    // Channels that are multiples of four take the faster kernels, others version 1.
    private static NetworkCase[] Cases =>
    [
        new(Setup.Config(16), 1, 1), new(Setup.Config(5, Conditioner.Mel), 3, 3), new(Setup.Config(24, Conditioner.Label), 131, 1), new(Setup.Config(37, Both, 33, [5, 3], philsyn: true), 67, 3),
        new(Setup.Config(16, Conditioner.Mel, 80, [16, 4]), 200, 2), new(Setup.Config(8, Conditioner.Mel, 8, [15, 2], philsyn: true), 250, 1), new(Setup.Config(64, Both), 33, 1),
    ];

    [Fact]
    public void AsAccurateAsPlainFloat32()
    {
        using var device = new OpsUnderTest();
        foreach (NetworkCase c in Cases) c.AssertAsAccurateAsPlainFloat32(device.Ops);
    }
}
