namespace DiffWave.Compiler;

/// <summary>Every id the compiler uses, with what to do about it.</summary>
internal static class DiagnosticTable
{
    public const string Signature = "DWK001", Parameter = "DWK002", Constants = "DWK003", Instruction = "DWK004", Call = "DWK005", Recursion = "DWK006", Heap = "DWK007", Exceptions = "DWK008",
        Checked = "DWK009", TypeKind = "DWK010", RegisterIndex = "DWK011", Length = "DWK012", SharedSize = "DWK013", PathValue = "DWK014", Template = "DWK015", Architecture = "DWK016",
        StateSpace = "DWK017", Irreducible = "DWK018", Size = "DWK019", StaticField = "DWK020", Reference = "DWK021", Arithmetic = "DWK022", Internal = "DWK099";

    private static readonly Dictionary<string, (string Meaning, string Fix)> Table = new()
    {
        [Signature] = ("the method is no kernel", "A kernel is a static void method with [Kernel(name)], its type arguments given, its name made of letters, digits and underscores"),
        [Parameter] = ("a kernel parameter's type cannot be passed", "Pass ArrayView<T>, primitive numbers, bool, or structs of those"),
        [Constants] = ("the values of [Const] parameters do not fit the kernel", "Give exactly one value of the parameter's type for each [Const] parameter"),
        [Instruction] = ("the C# construct has no counterpart in a kernel", "Write it with numbers, structs, views, loops and static methods"),
        [Call] = ("the method cannot be called from a kernel", "Call static methods, struct methods or device words; calls must be decided when the kernel is compiled"),
        [Recursion] = ("methods call each other without end, or too deeply", "Every call is inlined: write the recursion as a loop"),
        [Heap] = ("objects, arrays, strings and delegates do not exist in kernels", "Use structs, views, LocalMemory or SharedMemory"),
        [Exceptions] = ("exceptions do not exist in kernels", "Remove throw and try; check arguments before the launch"),
        [Checked] = ("checked arithmetic does not exist in kernels", "Write unchecked(..) or compile without overflow checks"),
        [TypeKind] = ("the type cannot live in a kernel", "Use unmanaged types: numbers and structs of them"),
        [RegisterIndex] = ("the index into a register array is not a compile-time constant", "Unroll the loop (constant bounds, no Loop.Rolled), or set AllowLocalMemory on the kernel"),
        [Length] = ("the length of a shared or local array is not a positive compile-time constant", "Use a literal, a const, a [Const] parameter or a static abstract constant"),
        [SharedSize] = ("static shared memory exceeds 48 KiB", "Use SharedMemory.GetDynamic and let the launch give the bytes"),
        [PathValue] = ("the value depends on the path control took, and cannot be held in a register", "Choose between numbers rather than between references, or give the variable a value on every path"),
        [Template] = ("the device word cannot be written here", "Give the constants it asks for, in the range it states"),
        [Architecture] = ("the device word does not exist on the target", "Compile for a later architecture, or choose another version of the kernel"),
        [StateSpace] = ("the address is in another state space than the device word needs", "Pass a view of the memory the word's documentation names"),
        [Irreducible] = ("a loop is entered at two places", "Remove the goto into the loop"),
        [Size] = ("the kernel becomes too large", "Keep a loop with Loop.Rolled, or make the tile smaller"),
        [StaticField] = ("the static field is not a compile-time constant", "Make it const or static readonly of a primitive type, or pass it as a parameter"),
        [Reference] = ("the reference cannot be used like this", "Index register arrays with their own element type and within their length; do not store references in memory"),
        [Arithmetic] = ("the arithmetic has no exact counterpart in PTX", "Use the operations that XMath and MathF offer in kernels"),
        [Internal] = ("the compiler met something it did not expect", "Simplify the statement, and report the kernel as a defect of the compiler"),
    };

    public static IReadOnlyCollection<string> Ids => Table.Keys;

    public static Diagnostic Create(string id, SourcePoint at, string reason) => new(id, at.File ?? "", at.Line, reason, Table[id].Fix);

    /// <summary>What the id stands for, in general.</summary>
    public static string Meaning(string id) => Table[id].Meaning;
}
