namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Exchanges within a warp.</summary>
internal static class WarpForms
{
    /// <summary>Opcodes and their forms; <see cref="InstructionForm.Read"/> has the notation.</summary>
    public static readonly (string Opcodes, string[] Forms)[] Rows =
    [
        ("shfl", ["sync up|down|bfly|idx b32 : =b32|p, b32, b32, b32, b32; ptx60 sm30"]),
        ("vote", [
            "sync all|any|uni pred : =p, !p, b32; ptx60 sm30",
            "sync ballot b32 : =b32, !p, b32; ptx60 sm30"]),
        ("match", [
            "any sync b32|b64 : =b32, T, b32; ptx60 sm70",
            "all sync b32|b64 : =b32|p, T, b32; ptx60 sm70"]),
        ("activemask", ["b32 : =b32; ptx62 sm30"]),
        ("redux", [
            "sync add|min|max u32|s32 : =T, T, b32; ptx70 sm80",
            "sync and|or|xor b32 : =T, T, b32; ptx70 sm80"]),
    ];
}
