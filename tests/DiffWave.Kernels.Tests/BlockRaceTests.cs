namespace DiffWave.Kernels.Tests;

/// <summary>No kernel relies on the order of its blocks, but where fences and counters make one: what one block writes no other of the launch touches.</summary>
public class BlockRaceTests
{
    public static TheoryData<string> Names => [.. KernelCatalog.All.Select(version => version.Name)];

    // At an awkward shape of several blocks, where there is one: they are small.
    [Theory, MemberData(nameof(Names))]
    public void BlocksKeepOutOfEachOthersWay(string name)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        bool HasBlocks(KernelShape shape) => version.Trial(shape).Launches.Any(launch => launch.Grid.Size > 1);
        KernelShape shape = version.Shapes.Skip(1).FirstOrDefault(HasBlocks) ?? version.Shapes[0];
        Assert.All(OnEmulator.CheckBlocks(version, shape), check => Assert.True(check.Ok, $"{name}: {check}"));
    }
}
