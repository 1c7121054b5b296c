namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Moves and conversions.</summary>
internal static class ConversionForms
{
    /// <summary>Opcodes and their forms; <see cref="InstructionForm.Read"/> has the notation.</summary>
    public static readonly (string Opcodes, string[] Forms)[] Rows =
    [
        ("mov", [
            "<bits>|<int>|f32|f64 : mov, mov",
            "pred : =p, !p"]),
        ("cvta", [
            "global|local|const|<shared> u64 : =T, mov",
            "to global|local|const|<shared> u64 : =T, T!",
            "param u64 : =T, mov; ptx77 sm70",
            "to param u64 : =T, T!; ptx77 sm70"]),
        ("cvt", [
            "<byteint> <byteint> : =~T, ~U%",
            // Saturation only where the target lacks values of the source.
            "sat s8 u8|<int> : =~T, ~U%",
            "sat u8 s8|<int> : =~T, ~U%",
            "sat s16 u16|s32|u32|s64|u64 : =~T, ~U%",
            "sat u16 s8|s16|s32|u32|s64|u64 : =~T, ~U%",
            "sat s32 u32|s64|u64 : =~T, ~U%",
            "sat u32 s8|s16|s32|s64|u64 : =~T, ~U%",
            "sat s64 u64 : =~T, ~U%",
            "sat u64 s8|<signed> : =~T, ~U%",
            "rni|rzi|rmi|rpi ftz? sat? <byteint> f32 : =~T, U!",
            "rni|rzi|rmi|rpi sat? <byteint> f16|f64 : =~T, U!",
            "rni|rzi|rmi|rpi <int> bf16 : =~T, U!; ptx78 sm90",
            "<round> ftz? sat? f32 <byteint> : =T, ~U",
            "<round> sat? f16|f64 <byteint> : =T, ~U",
            "<round> bf16 <int> : =T, ~U; ptx78 sm90",
            "rni|rzi|rmi|rpi? ftz? sat? f32 f32 : =T, U!",
            "rni|rzi|rmi|rpi? sat? f64 f64 : =T, U!",
            "rni|rzi|rmi|rpi? sat? f16 f16 : =T, U!",
            "rni|rzi|rmi|rpi? bf16 bf16 : =T, U!; ptx78 sm90",
            "ftz? sat? f32 f16 : =T, U!",
            "ftz? sat? f64 f32 : =T, U!",
            "sat? f64 f16 : =T, U!",
            "f32 bf16 : =T, U!; ptx71 sm80",
            "f64|f16 bf16 : =T, U!; ptx78 sm90",
            "<round> ftz? sat? f32 f64 : =T, U!",
            "<round> ftz? sat? f16 f32 : =T, U!",
            "<round> sat? f16 f64 : =T, U!",
            "rn|rz relu f16 f32 : =T, U!; ptx70 sm80",
            "rn|rz relu? bf16 f32 : =T, U!; ptx70 sm80",
            "<round> bf16 f16|f64 : =T, U!; ptx78 sm90",
            "rna tf32 f32 : =T, U!; ptx70 sm80",
            "rn|rz relu? tf32 f32 : =T, U!; ptx78 sm90",
            "rn|rz relu? f16x2|bf16x2 f32 : =T, U!, U!; ptx70 sm80"]),
    ];
}
