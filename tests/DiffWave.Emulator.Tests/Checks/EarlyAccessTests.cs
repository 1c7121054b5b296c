using DiffWave.Cuda;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Tests.Execution;

namespace DiffWave.Emulator.Tests.Checks;

/// <summary>Kernels launched early: what they may do before they have waited for the launch before them.</summary>
public sealed class EarlyAccessTests
{
    private const string Read = "ld.global.u32 %r0, [%rd0];", Copy = "cp.async.ca.shared.global [s], [%rd0], 4;", ReadOther = "ld.global.u32 %r0, [%rd0+128];", Write = "st.global.u32 [%rd0+128], 1;", Wait = "griddepcontrol.wait;";

    // What a launch of the body finds behind one that writes the first element, with something between them or nothing.
    private static Finding? Found(string body, Action<EmulatedDriver, ulong, nint>? between = null, bool early = true, bool recorded = false, bool asked = true)
    {
        using var writer = new Kernel("ld.param.u64 %rd0, [p0];\n.loc 1 7 1\nst.global.u32 [%rd0], 7;\nret;", ["u64"], options: new EmulatorOptions { MemoryBytes = 1 << 26, BlockRaces = asked });
        EmulatedDriver driver = writer.Driver;
        string ptx = writer.Ptx.Replace("sm_80", "sm_90", StringComparison.Ordinal).Replace(".entry k(", ".entry early(", StringComparison.Ordinal)
            .Replace("st.global.u32 [%rd0], 7;", $".shared .align 16 .b8 s[16];\n{body}\ncp.async.wait_all;", StringComparison.Ordinal);
        nint function = driver.GetFunction(driver.LoadModule(ptx), "early"), stream = driver.CreateStream();
        ulong place = writer.Upload(new int[64]);
        void Launch()
        {
            driver.Launch(writer.Function, new Dim3(1), new Dim3(1), 0, stream, Kernel.Pack(place));
            between?.Invoke(driver, place, stream);
            driver.Launch(function, new Dim3(1), new Dim3(1), 0, stream, Kernel.Pack(place), early);
        }
        try
        {
            if (recorded) driver.LaunchGraph(driver.Record(stream, Launch), stream);
            else Launch();
            return null;
        }
        catch (EmulatorException e)
        {
            return e.Finding;
        }
    }

    [Theory]
    [InlineData(Read), InlineData(Copy)]
    public void WhatTheLaunchBeforeWritesIsReadAfterTheWait(string read)
    {
        foreach (bool recorded in new[] { false, true })
        {
            Finding finding = Found(read + Wait, recorded: recorded)!;
            Assert.Equal(FindingKind.EarlyAccess, finding.Kind);
            Assert.Contains("which k at Kernel.cs", finding.Detail, StringComparison.Ordinal);
            Assert.Contains("st.global.u32 [%rd0], 7", finding.Detail, StringComparison.Ordinal);
            Assert.Null(Found(Wait + read, recorded: recorded));
        }
        Assert.Null(Found(read + Wait, early: false));
        Assert.Null(Found(read + Wait, asked: false));
    }

    [Fact]
    public void WhatItDoesNotWriteMayBeReadAtOnce() => Assert.Null(Found(ReadOther + Wait + Read));

    [Theory]
    [InlineData(Write), InlineData("atom.global.add.u32 %r0, [%rd0+128], 1;")]
    public void NothingIsWrittenBeforeTheWait(string write)
    {
        Assert.Equal(FindingKind.EarlyAccess, Found(write + Wait)!.Kind);
        Assert.Null(Found(Wait + write));
    }

    [Fact]
    public void BehindAFillOfTheSameStreamNothingIsEarly()
    {
        foreach (bool recorded in new[] { false, true })
        {
            Assert.Null(Found(Read + Wait, (driver, place, stream) => driver.FillAsync(place + 64, 0, 1, stream), recorded: recorded));
            Assert.Null(Found(Read + Wait, (driver, place, stream) => driver.CopyOnDeviceAsync(place + 64, place, 4, stream), recorded: recorded));
        }
        Assert.NotNull(Found(Read + Wait, (driver, place, _) => driver.FillAsync(place + 64, 0, 1, driver.CreateStream())));
    }
}
