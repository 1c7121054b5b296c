using System.Reflection;
using System.Text.RegularExpressions;
using DiffWave.Device;

namespace DiffWave.Kernels.Tests;

public partial class CatalogueTests
{
    public static TheoryData<string> Names => [.. KernelCatalog.All.Select(version => version.Name)];

    [Fact]
    public void NamesAreUniqueAndFindTheirKernel()
    {
        Assert.Equal(KernelCatalog.All.Count, KernelCatalog.All.Select(version => version.Name).Distinct().Count());
        Assert.All(KernelCatalog.All, version => Assert.Same(version, KernelCatalog.Find(version.Name)));
        Assert.Null(KernelCatalog.Find("no_such_kernel"));
    }

    [Fact]
    public void EveryKernelOfTheAssemblyIsListed()
    {
        IEnumerable<MethodInfo> kernels = typeof(KernelCatalog).Assembly.GetTypes().SelectMany(type => type.GetMethods()).Where(method => method.IsDefined(typeof(KernelAttribute)));
        IEnumerable<string> Sorted(IEnumerable<MethodInfo> methods) => methods.Select(method => $"{method.DeclaringType!.Name}.{method.Name}").Distinct().Order(StringComparer.Ordinal);
        Assert.Equal(Sorted(kernels), Sorted(KernelCatalog.All.Select(version => version.Method)));
    }

    [Theory, MemberData(nameof(Names))]
    public void TheNameBeginsWithTheEntryAndTheIdeaStandsInTheHeader(string name)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        string entry = version.Method.GetCustomAttribute<KernelAttribute>()!.Name;
        Assert.StartsWith(entry, name);
        Match number = VersionNumber().Match(entry);
        Assert.True(number.Success, $"{entry} does not end in its version");
        string source = File.ReadAllText(Path.Combine(Repository.Root, "kernels", "DiffWave.Kernels", $"{version.Op}.cs"));
        Assert.Contains($"\n// {(entry.Contains("backward", StringComparison.Ordinal) ? "b" : "v")}{number.Groups[1].Value}  {version.Idea}\n", source);
    }

    [Theory, MemberData(nameof(Names))]
    public void EveryShapeFitsAndItsTrialIsTheSameEveryTime(string name)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        Assert.All(version.Shapes, shape =>
        {
            Assert.Null(version.Problem(shape));
            KernelTrial trial = version.Trial(shape), again = version.Trial(shape);
            // What must come out may be worked out after the launches, and comes from nothing that they write.
            Array?[] ours = ArraysOf(trial), others = ArraysOf(again);
            foreach (KernelOutput output in trial.Outputs) Array.Clear(others[Array.IndexOf(ours, output.Array)]!);
            Assert.All(trial.Outputs.Zip(again.Outputs), pair => Assert.Equal(pair.First.Expected, pair.Second.Expected));
            Assert.All(trial.Outputs, output => Assert.True(double.IsFinite(output.Bound) && output.Bound >= 0));
            Assert.True(trial.Cost.Bytes > 0);
        });
    }

    private static Array?[] ArraysOf(KernelTrial trial) => [.. trial.Launches.SelectMany(launch => launch.Arguments).Select(argument => argument switch
    {
        RowsOf<float> rows => rows.Array,
        RowsOf<Half> rows => rows.Array,
        RowsOf<BFloat16> rows => rows.Array,
        PartOf part => part.Array,
        _ => argument as Array,
    })];

    [Fact]
    public void AShapeIsReadFromText()
    {
        KernelShape shape = KernelCatalog.Find("gated_activation_v1")!.Shapes[0];
        Assert.Equal("rows=7,channels=64,gateFirst=0", shape.With("rows=7").ToString());
        Assert.Equal("rows=7,channels=3,gateFirst=0", shape.With("channels=3, rows=7").ToString());
        Assert.Contains("'row=7' is no size", Assert.Throws<FormatException>(() => shape.With("row=7")).Message);
        Assert.Contains("rows is 'x'", Assert.Throws<FormatException>(() => shape.With("rows=x")).Message);
    }

    [Fact]
    public void ACheckFailsOnWhatIsNotWrittenAndOnWhatIsTooFar()
    {
        var output = new KernelOutput("y", new float[3], [1, 2, 3], 0.25, "");
        Assert.True(output.Check(new float[] { 1, 2.25f, 3 }).Ok);
        KernelCheck far = output.Check(new float[] { 1, 2.5f, 3 });
        Assert.Equal((false, 1, 0.5), (far.Ok, far.Worst, far.MaxError));
        Assert.False(output.Check(new float[] { 1, 2, float.NaN }).Ok);
    }

    [Fact]
    public void AnExactResultIsTheSameNumberOrTheSameNonNumber()
    {
        KernelOutput output = KernelOutput.Exact("y", new double[3], [1, double.NaN, double.PositiveInfinity]);
        Assert.True(output.Check(new double[] { 1, double.NaN, double.PositiveInfinity }).Ok);
        Assert.True(output.Check(new float[] { 1, float.NaN, float.PositiveInfinity }).Ok);
        Assert.False(output.Check(new double[] { Math.BitIncrement(1), double.NaN, double.PositiveInfinity }).Ok);
        Assert.False(output.Check(new double[] { 1, 0, double.PositiveInfinity }).Ok);
        Assert.False(output.Check(new double[] { 1, double.NaN, double.NegativeInfinity }).Ok);
        Assert.True(KernelOutput.Exact("n", new int[2], [3, -4]).Check(new int[] { 3, -4 }).Ok);
        Assert.Contains("arrays of System.Int64", Assert.Throws<NotSupportedException>(() => output.Check(new long[3])).Message);
    }

    [GeneratedRegex(@"_v(\d+)$")]
    private static partial Regex VersionNumber();
}

/// <summary>The checkout the tests run in.</summary>
internal static class Repository
{
    public static string Root
    {
        get
        {
            for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
                if (File.Exists(Path.Combine(folder.FullName, "DiffWaveKernels.sln"))) return folder.FullName;
            Assert.Skip("the tests run outside the repository: no DiffWaveKernels.sln above " + AppContext.BaseDirectory);
            return "";
        }
    }
}
