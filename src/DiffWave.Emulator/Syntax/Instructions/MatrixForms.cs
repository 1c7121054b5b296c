namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>Matrix products of a warp and the loads and stores of their fragments.</summary>
internal static class MatrixForms
{
    /// <summary>Opcodes and their forms; <see cref="InstructionForm.Read"/> has the notation.</summary>
    public static readonly (string Opcodes, string[] Forms)[] Rows =
    [
        ("mma", [
            "sync aligned m16n8k16 row col f32 f16 f16 f32 : =4*f32, 4*f16x2!, 2*f16x2!, 4*f32; ptx70 sm80",
            "sync aligned m16n8k16 row col f16 f16 f16 f16 : =2*f16x2, 4*f16x2!, 2*f16x2!, 2*f16x2!; ptx70 sm80",
            "sync aligned m16n8k16 row col f32 bf16 bf16 f32 : =4*f32, 4*bf16x2!, 2*bf16x2!, 4*f32; ptx70 sm80",
            "sync aligned m16n8k8 row col f32 f16 f16 f32 : =4*f32, 2*f16x2!, 1*f16x2!, 4*f32; ptx65 sm75",
            "sync aligned m16n8k8 row col f16 f16 f16 f16 : =2*f16x2, 2*f16x2!, 1*f16x2!, 2*f16x2!; ptx65 sm75",
            "sync aligned m16n8k8 row col f32 bf16 bf16 f32 : =4*f32, 2*bf16x2!, 1*bf16x2!, 4*f32; ptx70 sm80",
            "sync aligned m16n8k8 row col f32 tf32 tf32 f32 : =4*f32, 4*tf32!, 2*tf32!, 4*f32; ptx70 sm80",
            "sync aligned m16n8k4 row col f32 tf32 tf32 f32 : =4*f32, 2*tf32!, 1*tf32!, 4*f32; ptx70 sm80"]),
        ("ldmatrix", [
            "sync aligned m8n8 x1 trans? <shared>? b16 : =1*b32, []; ptx65 sm75",
            "sync aligned m8n8 x2 trans? <shared>? b16 : =2*b32, []; ptx65 sm75",
            "sync aligned m8n8 x4 trans? <shared>? b16 : =4*b32, []; ptx65 sm75"]),
        ("stmatrix", [
            "sync aligned m8n8 x1 trans? <shared>? b16 : [], 1*b32!; ptx78 sm90",
            "sync aligned m8n8 x2 trans? <shared>? b16 : [], 2*b32!; ptx78 sm90",
            "sync aligned m8n8 x4 trans? <shared>? b16 : [], 4*b32!; ptx78 sm90"]),
    ];
}
