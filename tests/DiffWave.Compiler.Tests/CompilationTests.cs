using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using DiffWave.Device;
using Group = DiffWave.Device.Group;

namespace DiffWave.Compiler.Tests;

// What the PTX looks like: unrolling, contraction, lines of the source, launch bounds, constants.
public class CompilationTests
{
    [Kernel("unrolled")]
    internal static void Unrolled(ArrayView<float> a, ArrayView<float> y, [Const] int taps)
    {
        int i = Grid.GlobalIndex.X;
        float sum = 0;
        for (int k = 0; k < taps; k++) sum += a[i + k] * k;
        y[i] = sum;
    }

    [Kernel("rolled")]
    internal static void Rolled(ArrayView<float> a, ArrayView<float> y, [Const] int taps)
    {
        int i = Grid.GlobalIndex.X;
        float sum = 0;
        for (int k = 0; k < Device.Loop.Rolled(taps); k++) sum += a[i + k] * k;
        y[i] = sum;
    }

    [Kernel("contracted")]
    internal static void Contracted(ArrayView<float> a, ArrayView<float> b, ArrayView<float> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        y[i] = a[i] * b[i] + a[i];
    }

    [Kernel("kept_apart")]
    internal static void KeptApart(ArrayView<float> a, ArrayView<float> b, ArrayView<float> y)
    {
        int i = Grid.GlobalIndex.X;
        if (i >= y.Length) return;
        y[i] = Apart(a[i], b[i]);
    }

    [NoContraction]
    private static float Apart(float a, float b) => a * b + a;

    [Kernel("bounded", BlockX = 128, BlockY = 2, MinBlocks = 3)]
    internal static void Bounded(ArrayView<int> y) => y[Group.LinearIndex] = Group.DimX * 10 + Group.DimY;

    [Kernel("limited", MaxThreads = 256, MaxRegisters = 64)]
    internal static void Limited(ArrayView<int> y, [Const] bool twice, [Const] float factor) => y[Group.IdxX] = twice ? (int)(factor * 2) : Group.DimX;

    private static string Ptx(Delegate kernel, params object[] arguments) => KernelRun.Compile(kernel.Method, arguments).Ptx;

    private static readonly object[] NoArrays = [Array.Empty<float>(), Array.Empty<float>(), 6];

    [Fact]
    public void LoopsOfKnownLengthAreUnrolled()
    {
        string ptx = Ptx(Unrolled, NoArrays);
        Assert.DoesNotContain("bra", ptx);
        Assert.Equal(6, Regex.Count(ptx, @"\bld\.global"));
        KernelRun.SameAsNative(Unrolled, Data.Floats(1, 102), new float[96], 6);
    }

    [Fact]
    public void RolledLoopsStayLoops()
    {
        string ptx = Ptx(Rolled, NoArrays);
        Assert.Contains("bra", ptx);
        Assert.Equal(1, Regex.Count(ptx, @"\bld\.global"));
        KernelRun.SameAsNative(Rolled, Data.Floats(1, 102), new float[96], 6);
    }

    [Fact]
    public void ProductsAndSumsBecomeOneOperationWhereTheKernelAllows()
    {
        float[] a = [.. Data.Range(2, -9999, 9999).Select(x => x * 0.0137f)], b = [.. Data.Range(3, -9999, 9999).Select(x => x * 0.0271f)];
        foreach (bool contract in new[] { true, false })
        {
            var method = ((Action<ArrayView<float>, ArrayView<float>, ArrayView<float>>)Contracted).Method;
            var compiled = KernelRun.Compile(method, contract: contract ? null : false);
            float[] y = new float[Data.Length];
            KernelRun.Emulate(compiled, method, new Cuda.Dim3(3), new Cuda.Dim3(32), 0, [a, b, y]);
            Assert.Equal(a.Select((x, i) => contract ? MathF.FusedMultiplyAdd(x, b[i], x) : (float)(x * b[i]) + x), y);
            Assert.Equal(contract, compiled.Ptx.Contains("fma.rn.f32"));
        }
        Assert.DoesNotContain("fma", KernelRun.Compile(((Action<ArrayView<float>, ArrayView<float>, ArrayView<float>>)KeptApart).Method, contract: null).Ptx);
    }

    [Fact]
    public void LinesOfThePtxAreThoseOfTheSource()
    {
        var method = ((Action<ArrayView<float>, ArrayView<float>, ArrayView<float>>)KeptApart).Method;
        string ptx = KernelCompiler.Compile(method, new PtxTarget(80)).Ptx;
        Assert.Matches(@"\.file\s+1\s+""[^""]*CompilationTests\.cs""", ptx);
        string[] source = File.ReadAllLines(ThisFile());
        // The product stands after the line of the inlined method.
        var location = Regex.Matches(ptx[..ptx.IndexOf("mul.rn.f32", StringComparison.Ordinal)], @"\.loc\s+1\s+(\d+)").Last();
        Assert.Contains("float Apart(float a, float b) => a * b + a", source[int.Parse(location.Groups[1].Value, CultureInfo.InvariantCulture) - 1]);
        Assert.DoesNotContain(".loc", KernelCompiler.Compile(method, new PtxTarget(80), null, new CompileOptions { LineInfo = false }).Ptx);
    }

    private static string ThisFile([CallerFilePath] string path = "") => path;

    [Fact]
    public void LaunchBoundsStandInTheEntry()
    {
        var compiled = KernelRun.Compile(((Action<ArrayView<int>>)Bounded).Method);
        Assert.Equal((128, 2, 1), (compiled.BlockX, compiled.BlockY, compiled.BlockZ));
        Assert.Contains(".reqntid 128, 2", compiled.Ptx);
        Assert.Contains(".minnctapersm 3", compiled.Ptx);
        Assert.DoesNotContain("%ntid", compiled.Ptx);
        string limited = Ptx(Limited, new int[1], false, 1f);
        Assert.Contains(".maxntid 256", limited);
        Assert.Contains(".maxnreg 64", limited);
        Assert.Contains("%ntid.x", limited);
    }

    [Fact]
    public void ConstantsAreNoParametersAndDistinguishTheName()
    {
        var method = ((Action<ArrayView<int>, bool, float>)Limited).Method;
        var one = KernelRun.Compile(method, [new int[1], true, 1.5f]);
        var other = KernelRun.Compile(method, [new int[1], true, 2.5f]);
        Assert.Equal(("y", 0, 16, 16), (one.Parameters.Single().Name, one.Parameters[0].Offset, one.Parameters[0].Size, one.ArgumentBytes));
        Assert.NotEqual(one.EntryName, other.EntryName);
        Assert.StartsWith("limited", one.EntryName);
        Assert.Contains($".entry {one.EntryName}(", one.Ptx);
        Assert.DoesNotContain("bra", one.Ptx);
    }

    [Fact]
    public void TheTextIsTheSameEveryTime()
    {
        var method = ((Action<ArrayView<int>, ArrayView<int>>)LoopTests.NestedLoops).Method;
        Assert.Equal(KernelRun.Compile(method).Ptx, KernelRun.Compile(method).Ptx);
    }
}
