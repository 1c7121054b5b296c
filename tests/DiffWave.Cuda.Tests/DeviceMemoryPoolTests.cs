using DiffWave.Emulator;

namespace DiffWave.Cuda.Tests;

public class DeviceMemoryPoolTests
{
    private const int MiB = 1 << 20;

    private static CudaException Refused(DeviceMemoryPool pool, long bytes)
    {
        var refusal = Assert.ThrowsAny<CudaException>(() => pool.Allocate(bytes));
        Assert.Equal("CUDA_ERROR_OUT_OF_MEMORY", refusal.Error);
        return refusal;
    }

    [Fact]
    public void Size_classes_waste_at_most_an_eighth_and_never_shrink()
    {
        var random = new Random(1);
        for (int i = 0; i < 10_000; i++)
        {
            long bytes = 1 + (long)Math.Exp(random.NextDouble() * Math.Log(1L << 40)), size = DeviceMemoryPool.SizeClass(bytes);
            Assert.True(size >= bytes && size % 512 == 0, $"{bytes} -> {size}");
            Assert.True(size - bytes < Math.Max(512, bytes / 8 + 1), $"{bytes} -> {size}");
            Assert.Equal(size, DeviceMemoryPool.SizeClass(size));
            Assert.True(DeviceMemoryPool.SizeClass(bytes + 1) >= size);
        }
        Assert.Equal((512, 512, 1024, 4096, 4608, 1L << 30), (DeviceMemoryPool.SizeClass(1), DeviceMemoryPool.SizeClass(512), DeviceMemoryPool.SizeClass(513), DeviceMemoryPool.SizeClass(4096),
            DeviceMemoryPool.SizeClass(4097), DeviceMemoryPool.SizeClass(1L << 30)));
    }

    [Fact]
    public void A_block_given_back_serves_the_next_request_of_its_class()
    {
        using var driver = new EmulatedDriver();
        using var pool = new DeviceMemoryPool(driver, driver.CreateStream());
        ulong first = pool.Allocate(1_000_000), other = pool.Allocate(1_000_000);
        Assert.NotEqual(first, other);
        pool.Free(first);
        Assert.Equal(first, pool.Allocate(1_010_000));
        pool.Free(first);
        Assert.NotEqual(first, pool.Allocate(2_000_000));
        Assert.Equal(3, pool.DriverAllocations);
        long one = DeviceMemoryPool.SizeClass(1_000_000), two = DeviceMemoryPool.SizeClass(2_000_000);
        Assert.Equal((one + two, one, one + two), (pool.BytesInUse, pool.BytesCached, pool.PeakBytesInUse));
        pool.Trim();
        Assert.Equal((one + two, 0), (pool.BytesInUse, pool.BytesCached));
        Assert.Equal(driver.Device.MemoryBytes - one - two, driver.MemoryInfo().Free);
    }

    [Fact]
    public void Everything_goes_back_at_the_end()
    {
        using var driver = new EmulatedDriver();
        var pool = new DeviceMemoryPool(driver, driver.CreateStream());
        pool.Free(pool.Allocate(5));
        pool.Allocate(5000);
        pool.Dispose();
        Assert.Equal(driver.MemoryInfo().Total, driver.MemoryInfo().Free);
        pool.Dispose();
    }

    [Fact]
    public void An_address_that_is_not_in_use_is_refused()
    {
        using var driver = new EmulatedDriver();
        using var pool = new DeviceMemoryPool(driver, driver.CreateStream());
        ulong place = pool.Allocate(10);
        pool.Free(place);
        Assert.Throws<ArgumentException>(() => pool.Free(place));
        Assert.Throws<ArgumentException>(() => pool.Free(place + 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => pool.Allocate(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new DeviceMemoryPool(driver, 0, -1));
    }

    [Fact]
    public void Within_the_budget_cached_blocks_make_room_and_beyond_it_every_number_is_told()
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { MemoryBytes = 64 * MiB });
        using var pool = new DeviceMemoryPool(driver, driver.CreateStream(), 8 * MiB);
        ulong kept = pool.Allocate(2 * MiB);
        foreach (ulong block in (ulong[])[pool.Allocate(MiB), pool.Allocate(MiB), pool.Allocate(2 * MiB)]) pool.Free(block);
        Assert.Equal(4 * MiB, pool.BytesCached);
        ulong large = pool.Allocate(4 * MiB); // 2 in use + 4 cached + 4: two must go, and the largest block is enough
        Assert.Equal((6 * MiB, 2 * MiB), (pool.BytesInUse, pool.BytesCached));
        Assert.Equal(
            "allocate 3145728 bytes of device memory: CUDA_ERROR_OUT_OF_MEMORY: the budget of 8388608 bytes is too small: 6291456 in use, 2097152 cached, a budget of 8388608, " +
            "58720256 of 67108864 free on the device; raise the budget, or use a smaller batch or length", Refused(pool, 3 * MiB).Message);
        pool.Free(large);
        pool.Free(kept);
        pool.Allocate(8 * MiB);
        Refused(pool, 1);
    }

    [Fact]
    public void When_the_device_has_no_more_cached_blocks_go_back_and_it_is_asked_again()
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { MemoryBytes = 8 * MiB });
        using var pool = new DeviceMemoryPool(driver, driver.CreateStream());
        ulong a = pool.Allocate(3 * MiB), b = pool.Allocate(3 * MiB);
        pool.Free(a);
        pool.Free(b);
        ulong c = pool.Allocate(6 * MiB);
        Assert.Equal((6 * MiB, 0), (pool.BytesInUse, pool.BytesCached));
        string text = Refused(pool, 3 * MiB).Message;
        Assert.Contains("the device has no more: 6291456 in use, 0 cached, no budget", text);
        Assert.Contains("2097152 of 8388608 free on the device; use a smaller batch or length", text);
        pool.Free(c);
        pool.Allocate(8 * MiB);
    }

    [Fact]
    public void The_emulator_still_finds_what_lies_past_the_end_was_written_by_an_earlier_user_or_is_used_after_it()
    {
        using var driver = new EmulatedDriver();
        using var pool = new DeviceMemoryPool(driver, driver.CreateStream());
        ulong place = pool.Allocate(600);
        Assert.Contains("1 bytes past the end of the allocation of 600 bytes", Assert.ThrowsAny<CudaException>(() => driver.CopyToDevice(place, new byte[601])).Message);
        driver.CopyToDevice(place, new byte[600]);
        driver.CopyToHost(new byte[600], place);
        pool.Free(place);
        Assert.Contains("given back to its pool", Assert.ThrowsAny<CudaException>(() => driver.CopyToHost(new byte[1], place)).Message);
        Assert.Equal(place, pool.Allocate(700));
        Assert.Contains("has never been written", Assert.ThrowsAny<CudaException>(() => driver.CopyToHost(new byte[1], place)).Message);
    }

    [Fact]
    public void A_capture_gets_cached_blocks_only()
    {
        using var driver = new EmulatedDriver();
        nint stream = driver.CreateStream();
        using var pool = new DeviceMemoryPool(driver, stream);
        ulong place = pool.Allocate(1000);
        pool.Free(place);
        driver.BeginCapture(stream);
        Assert.Equal(place, pool.Allocate(1000));
        Assert.Contains("run the work once before it is captured", Assert.Throws<InvalidOperationException>(() => pool.Allocate(1000)).Message);
        driver.FillAsync(place, 7, 250, stream);
        nint graph = driver.EndCapture(stream);
        driver.LaunchGraph(graph, stream);
        byte[] values = new byte[1000];
        driver.CopyToHost(values, place);
        Assert.Equal(7, values[^4]);
    }

    [Fact]
    public void Blocks_go_back_to_the_driver_only_when_the_stream_is_through_with_them()
    {
        using var driver = new EmulatedDriver(new EmulatorOptions { Lazy = true });
        nint stream = driver.CreateStream();
        using var pool = new DeviceMemoryPool(driver, stream);
        ulong place = pool.Allocate(1000);
        driver.FillAsync(place, 7, 250, stream);
        pool.Free(place);
        pool.Trim();
        driver.SynchronizeStream(stream);
    }
}
