namespace DiffWave.Bench.Tests;

/// <summary>The pieces that micro measures.</summary>
public class MicroTests
{
    public static TheoryData<string> Names => [.. MicroCase.All.Select(one => one.Name)];

    [Fact]
    public void NamesAreUnique() => Assert.Equal(MicroCase.All.Count, MicroCase.All.Select(one => one.Name).Distinct().Count());

    [Theory, MemberData(nameof(Names))]
    public void EveryPieceCanBeCalledAgainAndAgain(string name)
    {
        MicroCase one = MicroCase.All.Single(one => one.Name == name);
        using MicroCall call = one.Prepare();
        call.Call();
        call.Call();
        Assert.True(one.Elements > 0 && one.Flops is null or > 0);
    }

    // A published copy has none. What these tests do, measuring apart, is done without it.
    [Fact]
    public void NamesArePrintedWithoutBenchmarkDotNet()
    {
        var (code, names, _) = Run("--filter", "gate/", "--list");
        Assert.Equal(0, code);
        Assert.Contains("micro/gate/64\nmicro/gate/256\n", names);
        Assert.DoesNotContain("micro/fft", names);
        Assert.Contains("no case holds 'nothing' in its name", Run("--filter", "nothing").Error);
        Assert.DoesNotContain(AppDomain.CurrentDomain.GetAssemblies(), assembly => assembly.GetName().Name!.StartsWith("BenchmarkDotNet", StringComparison.Ordinal));
    }

    private static (int Code, string Output, string Error) Run(params string[] args)
    {
        var (output, error) = (Console.Out, Console.Error);
        StringWriter said = new(), complained = new(); // tests beside this one may write there, too
        Console.SetOut(said);
        Console.SetError(complained);
        try { return (MicroVerb.Create().Parse(args).Invoke(), said.ToString().ReplaceLineEndings("\n"), complained.ToString()); }
        finally
        {
            Console.SetOut(output);
            Console.SetError(error);
        }
    }
}
