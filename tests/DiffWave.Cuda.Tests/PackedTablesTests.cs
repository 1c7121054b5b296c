using DiffWave.Device;
using DiffWave.Emulator;
using DiffWave.Engine;

namespace DiffWave.Cuda.Tests;

public class PackedTablesTests
{
    [Fact]
    public void ATableIsMadeOnceAndAllAreForgottenWhenThereAreVeryMany()
    {
        using var driver = new EmulatedDriver(new EmulatorOptions());
        using var pool = new DeviceMemoryPool(driver, 0);
        bool capturing = false;
        int made = 0, uploads = 0;
        var tables = new PackedTables(pool, () => capturing);
        var signals = new Segments([3, 4]);
        ArrayView<int> Take(int first) => tables.Take(new PackedTable(signals, first, 1, 8, 1, 128), () =>
        {
            made++;
            return [first, 2, 3, 4];
        }, (values, _) => uploads += values.Length / 4);

        ArrayView<int> one = Take(0);
        Assert.Equal(4, one.Length);
        capturing = true;
        Assert.Equal(one.Address, Take(0).Address);
        Assert.Contains("must do the same every time", Assert.Throws<InvalidOperationException>(() => Take(1)).Message, StringComparison.Ordinal);
        Assert.Equal((1, 1, 0), (made, uploads, tables.Version));
        capturing = false;
        for (int i = 1; i < 1000; i++) Take(i);
        Assert.Equal((1000, 0), (made, tables.Version));
        long used = pool.BytesInUse;
        Take(1000);
        Assert.Equal((1001, 1), (made, tables.Version));
        Assert.InRange(pool.BytesInUse, 1, used / 100);
        Take(0);
        Assert.Equal(1002, made);
    }
}
