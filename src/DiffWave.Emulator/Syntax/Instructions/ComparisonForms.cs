namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Comparisons and selections.</summary>
internal static class ComparisonForms
{
    private const string Half = "; ptx42 sm53", HalfToInteger = "; ptx65 sm53", BrainHalf = "; ptx78 sm90";

    /// <summary>Opcodes and their forms; <see cref="InstructionForm.Read"/> has the notation.</summary>
    public static readonly (string Opcodes, string[] Forms)[] Rows =
    [
        ("setp", [
            .. Compared("", "=p|p, T, T", ""),
            .. Combined("<floatcompare>", "ftz? f16", "=p, T, T", Half),
            .. Combined("<floatcompare>", "bf16", "=p, T, T", BrainHalf),
            .. Combined("<floatcompare>", "ftz? f16x2", "=p|p, T, T", Half),
            .. Combined("<floatcompare>", "bf16x2", "=p|p, T, T", BrainHalf)]),
        ("set", [
            .. Compared("u32|s32|f32", "=T, U, U", ""),
            .. Compared("f16", "=T, U, U", Half),
            .. Compared("bf16", "=T, U, U", BrainHalf),
            .. Combined("<floatcompare>", "ftz? f16 f16", "=T, U, U", Half),
            .. Combined("<floatcompare>", "ftz? u16|s16|u32|s32 f16", "=T, U, U", HalfToInteger),
            .. Combined("<floatcompare>", "bf16|u16|s16|u32|s32 bf16", "=T, U, U", BrainHalf),
            .. Combined("<floatcompare>", "ftz? f16x2 f16x2", "=T, U, U", Half),
            .. Combined("<floatcompare>", "ftz? u32|s32 f16x2", "=T, U, U", HalfToInteger),
            .. Combined("<floatcompare>", "bf16x2|u32|s32 bf16x2", "=T, U, U", BrainHalf)]),
        ("selp", ["<bits>|<int>|f32|f64 : =T, T, T, !p"]),
        ("slct", [
            "<bits>|<int>|f32|f64 s32 : =T, T, T, U",
            "ftz? <bits>|<int>|f32|f64 f32 : =T, T, T, U"]),
    ];

    // The comparisons each source type knows.
    private static IEnumerable<string> Compared(string target, string operands, string since) =>
    [
        .. Combined("<equal>", $"{target} <bits>", operands, since),
        .. Combined("<unsignedcompare>", $"{target} u16|u32|u64", operands, since),
        .. Combined("<signedcompare>", $"{target} <signed>", operands, since),
        // No denormals are flushed on the way to bf16.
        .. Combined("<floatcompare>", $"{(target == "bf16" ? "" : "ftz?")} {target} f32", operands, since),
        .. Combined("<floatcompare>", $"{target} f64", operands, since),
    ];

    // A comparison alone, and its result combined with a predicate.
    private static string[] Combined(string comparison, string rest, string operands, string since) => [$"{comparison} {rest} : {operands}{since}", $"{comparison} <bool> {rest} : {operands}, !p{since}"];
}
