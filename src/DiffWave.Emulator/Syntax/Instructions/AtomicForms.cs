namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Atomic operations on memory.</summary>
internal static class AtomicForms
{
    private const string Atom = "relaxed|acquire|release|acq_rel? <scope>? global|<shared>? ", Red = "relaxed|release? <scope>? global|<shared>? ";

    /// <summary>Opcodes and their forms; <see cref="InstructionForm.Read"/> has the notation.</summary>
    public static readonly (string Opcodes, string[] Forms)[] Rows =
    [
        ("atom", [
            Atom + "and|or|xor|exch b32|b64 : =T, [], T",
            Atom + "add u32|s32|u64|f32 : =T, [], T",
            Atom + "add f64 : =T, [], T; ptx50 sm60",
            Atom + "add noftz f16 : =T, [], T!; ptx63 sm70",
            Atom + "add noftz f16x2 : =T, [], T!; ptx62 sm60",
            Atom + "add noftz bf16|bf16x2 : =T, [], T!; ptx78 sm90",
            Atom + "inc|dec u32 : =T, [], T",
            Atom + "min|max u32|s32|u64|s64 : =T, [], T",
            Atom + "cas b32|b64 : =T, [], T, T",
            Atom + "cas b16 : =T, [], T, T; ptx63 sm70"]),
        ("red", [
            Red + "and|or|xor b32|b64 : [], T",
            Red + "add u32|s32|u64|f32 : [], T",
            Red + "add f64 : [], T; ptx50 sm60",
            Red + "add noftz f16 : [], T!; ptx63 sm70",
            Red + "add noftz f16x2 : [], T!; ptx62 sm60",
            Red + "add noftz bf16|bf16x2 : [], T!; ptx78 sm90",
            Red + "inc|dec u32 : [], T",
            Red + "min|max u32|s32|u64|s64 : [], T"]),
    ];
}
