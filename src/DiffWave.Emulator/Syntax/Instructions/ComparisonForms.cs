namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Comparisons and selections.</summary>
internal static class ComparisonForms
{
    /// <summary>Opcodes and their forms; <see cref="InstructionForm.Read"/> has the notation.</summary>
    public static readonly (string Opcodes, string[] Forms)[] Rows =
    [
        ("setp", [.. Compared("", "=p|p, T, T")]),
        ("set", [.. Compared("u32|s32|f32", "=T, U, U"), .. Half()]),
        ("selp", ["<bits>|<int>|f32|f64 : =T, T, T, !p"]),
        ("slct", [
            "<bits>|<int>|f32|f64 s32 : =T, T, T, U",
            "ftz? <bits>|<int>|f32|f64 f32 : =T, T, T, U"]),
    ];

    // The comparisons each source type knows, plain and combined with a predicate.
    private static IEnumerable<string> Compared(string target, string operands)
    {
        foreach (string row in (string[])["<equal> {0} {1} <bits>", "<unsignedcompare> {0} {1} u16|u32|u64", "<signedcompare> {0} {1} <signed>", "<floatcompare> {0} ftz? {1} f32",
            "<floatcompare> {0} {1} f64"])
        {
            yield return $"{string.Format(row, "", target)} : {operands}";
            yield return $"{string.Format(row, "<bool>", target)} : {operands}, !p";
        }
        if (target.Length > 0) yield break;
        foreach (string row in (string[])["<floatcompare> {0} ftz? f16|f16x2", "<floatcompare> {0} bf16|bf16x2"])
        {
            string since = row.EndsWith("bf16x2", StringComparison.Ordinal) ? "ptx78 sm90" : "ptx42 sm53";
            yield return $"{string.Format(row, "")} : {operands}; {since}";
            yield return $"{string.Format(row, "<bool>")} : {operands}, !p; {since}";
        }
    }

    private static IEnumerable<string> Half()
    {
        foreach (string row in (string[])["ftz? f16 <bits>|<int>|f16|f32|f64; ptx42 sm53", "bf16 <bits>|<int>|bf16|f32|f64; ptx78 sm90", "ftz? u16|s16|u32|s32|f32 f16; ptx42 sm53",
            "u16|s16|u32|s32|f32 bf16; ptx78 sm90", "ftz? f16x2 f16x2; ptx42 sm53", "bf16x2 bf16x2; ptx78 sm90", "ftz? u32|s32 f16x2; ptx42 sm53", "u32|s32 bf16x2; ptx78 sm90"])
        {
            string[] parts = row.Split(';');
            yield return $"<floatcompare> {parts[0]} : =T, U, U;{parts[1]}";
            yield return $"<floatcompare> <bool> {parts[0]} : =T, U, U, !p;{parts[1]}";
        }
    }
}
