namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Loads, stores, asynchronous copies and addresses.</summary>
internal static class MemoryForms
{
    /// <summary>Opcodes and their forms; <see cref="InstructionForm.Read"/> has the notation.</summary>
    public static readonly (string Opcodes, string[] Forms)[] Rows =
    [
        ("ld", [
            "weak? global? ca|cg|cs|lu|cv? <ahead>? v2|v4? <memory> : =~v*T, []",
            "weak? const|local|<shared> ca|cg|cs|lu|cv? v2|v4? <memory> : =~v*T, []",
            "weak? param v2|v4? <memory> : =~v*T, []",
            "weak? global? <evict> <ahead>? v2|v4? <memory> : =~v*T, []; ptx74 sm70",
            "volatile <shared>|global? v2|v4? <memory> : =~v*T, []",
            "relaxed|acquire <scope> <shared>|global? v2|v4? <memory> : =~v*T, []; ptx60 sm70",
            "global ca|cg|cs? nc <ahead>? v2|v4? <memory> : =~v*T, []; ptx31 sm32",
            "global nc <evict> <ahead>? v2|v4? <memory> : =~v*T, []; ptx74 sm70"]),
        ("ldu", ["global? v2|v4? <memory> : =~v*T, []"]),
        ("st", [
            "weak? local|<shared>|global? wb|cg|cs|wt? v2|v4? <memory> : [], ~v*T",
            "weak? global? <evict> v2|v4? <memory> : [], ~v*T; ptx74 sm70",
            "volatile <shared>|global? v2|v4? <memory> : [], ~v*T",
            "relaxed|release <scope> <shared>|global? v2|v4? <memory> : [], ~v*T; ptx60 sm70"]),
        ("prefetch", [
            "global|local? L1|L2 : []",
            "global L2::evict_last|L2::evict_normal : []; ptx74 sm80"]),
        ("prefetchu", ["L1 : []"]),
        ("isspacep", [
            "global|local|const|<shared> : =p, u64!",
            "param : =p, u64!; ptx77 sm70"]),
        ("cp", [
            "async ca <shared> global <ahead>? : [], [], #4..16; ptx70 sm80",
            "async cg <shared> global <ahead>? : [], [], #16..16; ptx70 sm80",
            "async ca <shared> global <ahead>? : [], [], #4..16, u32; ptx70 sm80",
            "async cg <shared> global <ahead>? : [], [], #16..16, u32; ptx70 sm80",
            "async commit_group : ; ptx70 sm80",
            "async wait_group : #0..2147483647; ptx70 sm80",
            "async wait_all : ; ptx70 sm80"]),
    ];
}
