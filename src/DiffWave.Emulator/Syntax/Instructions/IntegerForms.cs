namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Integer arithmetic, bits and shifts.</summary>
internal static class IntegerForms
{
    /// <summary>Opcodes and their forms; <see cref="InstructionForm.Read"/> has the notation.</summary>
    public static readonly (string Opcodes, string[] Forms)[] Rows =
    [
        ("add sub", [
            "<int> : =T, T, T",
            "sat s32 : =T, T, T",
            "cc u32|s32 : =T, T, T",
            "cc u64|s64 : =T, T, T; ptx43"]),
        ("addc subc", [
            "cc? u32|s32 : =T, T, T",
            "cc? u64|s64 : =T, T, T; ptx43"]),
        ("mul", [
            "lo|hi <int> : =T, T, T",
            "wide u16|s16|u32|s32 : =TT, T, T"]),
        ("mad", [
            "lo|hi <int> : =T, T, T, T",
            "hi sat s32 : =T, T, T, T",
            "wide u16|s16|u32|s32 : =TT, T, T, TT",
            "lo|hi cc u32|s32 : =T, T, T, T",
            "lo|hi cc u64|s64 : =T, T, T, T; ptx43"]),
        ("madc", [
            "lo|hi cc? u32|s32 : =T, T, T, T",
            "lo|hi cc? u64|s64 : =T, T, T, T; ptx43"]),
        ("mul24", ["lo|hi u32|s32 : =T, T, T"]),
        ("mad24", [
            "lo|hi u32|s32 : =T, T, T, T",
            "hi sat s32 : =T, T, T, T"]),
        ("sad", ["<int> : =T, T, T, T"]),
        ("div rem", ["<int> : =T, T, T"]),
        ("abs neg", ["<signed> : =T, T"]),
        ("min max", [
            "<int> : =T, T, T",
            "relu s32 : =T, T, T; ptx80 sm90"]),
        ("popc clz", ["b32|b64 : =u32, T"]),
        ("brev", ["b32|b64 : =T, T"]),
        ("bfind", ["shiftamt? u32|u64|s32|s64 : =u32, T"]),
        ("fns", ["b32 : =b32, b32, b32, s32; ptx60 sm30"]),
        ("bfe", ["u32|u64|s32|s64 : =T, T, u32, u32"]),
        ("bfi", ["b32|b64 : =T, T, T, u32, u32"]),
        ("szext", ["clamp|wrap u32|s32 : =T, T, u32; ptx76 sm70"]),
        ("bmsk", ["clamp|wrap b32 : =T, u32, u32; ptx76 sm70"]),
        ("dp4a", ["u32|s32 u32|s32 : =b32, b32, b32, b32; ptx50 sm61"]),
        ("dp2a", ["lo|hi u32|s32 u32|s32 : =b32, b32, b32, b32; ptx50 sm61"]),
        ("and or xor", [
            "<bits> : =T, T, T",
            "pred : =p, !p, !p"]),
        ("not", [
            "<bits> : =T, T",
            "pred : =p, !p"]),
        ("cnot", ["<bits> : =T, T"]),
        ("lop3", ["b32 : =T, T, T, T, #0..255; ptx43 sm50"]),
        ("shl", ["<bits> : =T, T, u32"]),
        ("shr", ["<bits>|<int> : =T, T, u32"]),
        ("shf", ["l|r clamp|wrap b32 : =T, T, T, u32; ptx31 sm32"]),
        ("prmt", ["b32 f4e|b4e|rc8|ecl|ecr|rc16? : =T, T, T, T"]),
    ];
}
