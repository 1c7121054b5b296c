using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

/// <summary>What cannot be compiled is refused by id, at the line that is to blame. The comment at the end of a line names the id expected there.</summary>
public sealed unsafe class DiagnosticTests
{
    private static int changing;

    [StructLayout(LayoutKind.Explicit)]
    private struct Union
    {
        [FieldOffset(0)] public int Whole;
        [FieldOffset(0)] public float Real;
    }

    private sealed class Item
    {
        public int Value;
    }

    private static void NoKernel(ArrayView<int> x) => x[0] = 1; // DWK001

    [Kernel("text")]
    private static void Text(ArrayView<int> x, string text) => x[0] = text.Length; // DWK002

    [Kernel("constant")]
    private static void Constant(ArrayView<int> x, [Const] int n) => x[0] = n; // DWK003

    [Kernel("static_data")]
    private static void StaticData(ArrayView<int> x)
    {
        ReadOnlySpan<int> values = [3, 1, 4, 1]; // DWK004
        x[0] = values[x[1]];
    }

    [DllImport("nowhere")]
    private static extern int Elsewhere();

    [Kernel("extern_call")]
    private static void External(ArrayView<int> x) => x[0] = Elsewhere(); // DWK005

    private static int Fibonacci(int n) => n < 2 ? n : Fibonacci(n - 1) + Fibonacci(n - 2); // DWK006

    [Kernel("recursion")]
    private static void Recursive(ArrayView<int> x) => x[0] = Fibonacci(x[1]);

    [Kernel("array")]
    private static void NewArray(ArrayView<int> x)
    {
        var values = new int[x[0]]; // DWK007
        x[1] = values[0];
    }

    [Kernel("object")]
    private static void NewItem(ArrayView<int> x) => x[0] = new Item { Value = 3 }.Value; // DWK007

    [Kernel("exception")]
    private static void Throws(ArrayView<int> x)
    {
        if (x[0] < 0) throw new InvalidOperationException("negative"); // DWK008
        x[0] = 1;
    }

    [Kernel("handler")]
    private static void Catches(ArrayView<int> x)
    {
        try { x[0] = 1; } // DWK008
        finally { x[1] = 2; }
    }

    [Kernel("overflow")]
    private static void Overflow(ArrayView<int> x) => x[0] = checked(x[1] + x[2]); // DWK009

    [Kernel("union")]
    private static void OnTop(ArrayView<int> x)
    {
        Union both = default; // DWK010
        both.Whole = x[0];
        x[1] = (int)both.Real;
    }

    [Kernel("register_index")]
    private static void RegisterIndex(ArrayView<int> x)
    {
        var values = LocalMemory.Allocate<int>(4);
        values[0] = 1;
        x[0] = values[x[1]]; // DWK011
    }

    [Kernel("length")]
    private static void UnknownLength(ArrayView<int> x)
    {
        var values = SharedMemory.Allocate<int>(x[0]); // DWK012
        values[0] = 1;
    }

    [Kernel("large")]
    private static void TooMuchShared(ArrayView<int> x)
    {
        var values = SharedMemory.Allocate<int>(20000); // DWK013
        values[0] = 1;
    }

    [Kernel("choice")]
    private static void ChosenReference(ArrayView<int> x)
    {
        int a = x[0], b = x[1];
        ref int chosen = ref a;
        if (x[2] > 0) chosen = ref b;
        chosen = 4; // DWK014
        x[3] = a + b;
    }

    [Kernel("table")]
    private static void Table(ArrayView<uint> x) => x[0] = Ptx.Lop3(x[1], x[2], x[3], (int)x[4]); // DWK015

    [Kernel("later")]
    private static void Later(ArrayView<int> x) => x[0] = Ptx.ReduxAdd(x[1]); // DWK016

    [Kernel("space")]
    private static void WrongSpace(ArrayView<int> x) => Ptx.CpAsync16(ref x[0], ref x[4]); // DWK017

    [Kernel("irreducible")]
    private static void TwoEntries(ArrayView<int> x)
    {
        int i = 0;
        if (x[0] > 0) goto inside;
    again: // DWK018
        x[i] = 5;
    inside:
        i++; // DWK018
        if (x[i] < i) goto again;
    }

    private static void Two(ArrayView<int> x, int a)
    {
        x[a] = 1;
        x[a + 1] = a; // DWK019
    }

    private static void Eight(ArrayView<int> x, int a)
    {
        for (int i = 0; i < 40; i++) Two(x, a + i);
    }

    private static void Many(ArrayView<int> x, int a)
    {
        for (int i = 0; i < 40; i++) Eight(x, x[a] + i);
    }

    [Kernel("huge")]
    private static void Huge(ArrayView<int> x)
    {
        for (int i = 0; i < 10; i++) Many(x, x[i]);
        for (int i = 0; i < 10; i++) Many(x, x[i]);
        for (int i = 0; i < 10; i++) Many(x, x[i]);
        for (int i = 0; i < 10; i++) Many(x, x[i]);
        for (int i = 0; i < 10; i++) Many(x, x[i]);
    }

    [Kernel("changing")]
    private static void Changing(ArrayView<int> x) => x[0] = changing; // DWK020

    [Kernel("beyond")]
    private static void Beyond(ArrayView<int> x)
    {
        var values = LocalMemory.Allocate<int>(4);
        x[0] = values[4]; // DWK021
    }

    [Kernel("remainder")]
    private static void Remainder(ArrayView<float> x) => x[0] = x[1] % x[2]; // DWK022

    [Kernel("sine")]
    private static void Sine(ArrayView<float> x) => x[0] = MathF.Sin(x[1]); // DWK022

    public static TheoryData<string> Names()
    {
        var names = new TheoryData<string>();
        foreach (var method in typeof(DiagnosticTests).GetMethods(BindingFlags.Static | BindingFlags.NonPublic))
        {
            if (method.IsDefined(typeof(KernelAttribute)) || method.Name == nameof(NoKernel)) names.Add(method.Name);
        }
        return names;
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void RefusedWhereTheCommentSays(string name)
    {
        changing++;
        var method = typeof(DiagnosticTests).GetMethod(name, BindingFlags.Static | BindingFlags.NonPublic)!;
        var diagnostic = Assert.Throws<KernelCompileException>(() => KernelCompiler.Compile(method, new PtxTarget(name == nameof(Later) ? 75 : 80))).Diagnostic;
        Assert.EndsWith("DiagnosticTests.cs", diagnostic.File, StringComparison.Ordinal);
        Assert.EndsWith("// " + diagnostic.Id, File.ReadAllLines(ThisFile())[diagnostic.Line - 1], StringComparison.Ordinal);
        Assert.NotEmpty(diagnostic.Reason);
        Assert.NotEmpty(diagnostic.Fix);
    }

    [Fact]
    public void EveryIdIsTested()
    {
        string source = File.ReadAllText(ThisFile());
        foreach (string id in DiagnosticTable.Ids)
        {
            Assert.NotEmpty(DiagnosticTable.Meaning(id));
            if (id != DiagnosticTable.Internal) Assert.Contains($" // {id}\n", source, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void ValuesOfUnknownConstantsAreRefused()
    {
        var method = typeof(DiagnosticTests).GetMethod(nameof(Constant), BindingFlags.Static | BindingFlags.NonPublic)!;
        var constants = new Dictionary<string, object> { ["n"] = 3, ["m"] = 4 };
        Assert.Equal(DiagnosticTable.Constants, Assert.Throws<KernelCompileException>(() => KernelCompiler.Compile(method, new PtxTarget(75), constants)).Diagnostic.Id);
        constants = new Dictionary<string, object> { ["n"] = 3L };
        Assert.Equal(DiagnosticTable.Constants, Assert.Throws<KernelCompileException>(() => KernelCompiler.Compile(method, new PtxTarget(75), constants)).Diagnostic.Id);
        Assert.Equal("constant_n3", KernelCompiler.Compile(method, new PtxTarget(75), new Dictionary<string, object> { ["n"] = 3 }).EntryName);
    }

    private static string ThisFile([CallerFilePath] string path = "") => path;
}
