namespace DiffWave.Device;

/// <summary>
/// One method per PTX instruction, for what C# cannot say. The doc names the instruction. As ordinary C# those that concern one thread do their work, approximate functions as
/// accurately as <see cref="MathF"/>; those of a whole warp throw <see cref="NotSupportedException"/>.
/// </summary>
public static partial class Ptx
{
    // ldmatrix: the lanes of a warp give the rows' addresses, 16 bytes each in shared memory; lane i gets elements 2 (i % 4) and the next of row i / 4 of each 8 x 8 matrix of 16-bit numbers.
    /// <summary><c>ldmatrix.sync.aligned.m8n8.x1.shared.b16</c>: one 8 x 8 matrix of 16-bit numbers, from shared memory to the registers of a warp.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">A row of 16 bytes, 16-byte aligned: that of lane i is row i % 8 of matrix i / 8, for i &lt; 8.</param>
    /// <returns>Two numbers.</returns>
    [PtxInstruction("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{r}}, [{0}]", Volatile = true, MinimumSm = 75, Spaces = "shared")]
    public static uint LdMatrixX1<T>(ref T row) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.LdMatrixX1");

    /// <summary><c>ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16</c>: one 8 x 8 matrix of 16-bit numbers, transposed, from shared memory to the registers of a warp.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">A row of 16 bytes, 16-byte aligned: that of lane i is row i % 8 of matrix i / 8, for i &lt; 8.</param>
    /// <returns>Two numbers.</returns>
    [PtxInstruction("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {{r}}, [{0}]", Volatile = true, MinimumSm = 75, Spaces = "shared")]
    public static uint LdMatrixX1Trans<T>(ref T row) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.LdMatrixX1Trans");

    /// <summary><c>ldmatrix.sync.aligned.m8n8.x2.shared.b16</c>: two 8 x 8 matrices of 16-bit numbers, from shared memory to the registers of a warp.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">A row of 16 bytes, 16-byte aligned: that of lane i is row i % 8 of matrix i / 8, for i &lt; 16.</param>
    /// <returns>A matrix a field, two numbers in it.</returns>
    [PtxInstruction("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {r}, [{0}]", Volatile = true, MinimumSm = 75, Spaces = "shared")]
    public static UInt2 LdMatrixX2<T>(ref T row) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.LdMatrixX2");

    /// <summary><c>ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16</c>: two 8 x 8 matrices of 16-bit numbers, transposed, from shared memory to the registers of a warp.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">A row of 16 bytes, 16-byte aligned: that of lane i is row i % 8 of matrix i / 8, for i &lt; 16.</param>
    /// <returns>A matrix a field, two numbers in it.</returns>
    [PtxInstruction("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {r}, [{0}]", Volatile = true, MinimumSm = 75, Spaces = "shared")]
    public static UInt2 LdMatrixX2Trans<T>(ref T row) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.LdMatrixX2Trans");

    /// <summary><c>ldmatrix.sync.aligned.m8n8.x4.shared.b16</c>: four 8 x 8 matrices of 16-bit numbers, from shared memory to the registers of a warp.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">A row of 16 bytes, 16-byte aligned: that of lane i is row i % 8 of matrix i / 8.</param>
    /// <returns>A matrix a field, two numbers in it.</returns>
    [PtxInstruction("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {r}, [{0}]", Volatile = true, MinimumSm = 75, Spaces = "shared")]
    public static UInt4 LdMatrixX4<T>(ref T row) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.LdMatrixX4");

    /// <summary><c>ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16</c>: four 8 x 8 matrices of 16-bit numbers, transposed, from shared memory to the registers of a warp.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">A row of 16 bytes, 16-byte aligned: that of lane i is row i % 8 of matrix i / 8.</param>
    /// <returns>A matrix a field, two numbers in it.</returns>
    [PtxInstruction("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {r}, [{0}]", Volatile = true, MinimumSm = 75, Spaces = "shared")]
    public static UInt4 LdMatrixX4Trans<T>(ref T row) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.LdMatrixX4Trans");

    /// <summary><c>stmatrix.sync.aligned.m8n8.x1.shared.b16</c>: one 8 x 8 matrix of 16-bit numbers, from the registers of a warp to shared memory.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">Where a row of 16 bytes goes, as for ldmatrix.</param>
    /// <param name="value">Two numbers of each matrix, as ldmatrix gives them.</param>
    [PtxInstruction("stmatrix.sync.aligned.m8n8.x1.shared.b16 [{0}], {{1}}", Volatile = true, MinimumSm = 90, Spaces = "shared")]
    public static void StMatrixX1<T>(ref T row, uint value) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.StMatrixX1");

    /// <summary><c>stmatrix.sync.aligned.m8n8.x1.trans.shared.b16</c>: one 8 x 8 matrix of 16-bit numbers, transposed, from the registers of a warp to shared memory.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">Where a row of 16 bytes goes, as for ldmatrix.</param>
    /// <param name="value">Two numbers of each matrix, as ldmatrix gives them.</param>
    [PtxInstruction("stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [{0}], {{1}}", Volatile = true, MinimumSm = 90, Spaces = "shared")]
    public static void StMatrixX1Trans<T>(ref T row, uint value) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.StMatrixX1Trans");

    /// <summary><c>stmatrix.sync.aligned.m8n8.x2.shared.b16</c>: two 8 x 8 matrices of 16-bit numbers, from the registers of a warp to shared memory.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">Where a row of 16 bytes goes, as for ldmatrix.</param>
    /// <param name="value">Two numbers of each matrix, as ldmatrix gives them.</param>
    [PtxInstruction("stmatrix.sync.aligned.m8n8.x2.shared.b16 [{0}], {1}", Volatile = true, MinimumSm = 90, Spaces = "shared")]
    public static void StMatrixX2<T>(ref T row, UInt2 value) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.StMatrixX2");

    /// <summary><c>stmatrix.sync.aligned.m8n8.x2.trans.shared.b16</c>: two 8 x 8 matrices of 16-bit numbers, transposed, from the registers of a warp to shared memory.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">Where a row of 16 bytes goes, as for ldmatrix.</param>
    /// <param name="value">Two numbers of each matrix, as ldmatrix gives them.</param>
    [PtxInstruction("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [{0}], {1}", Volatile = true, MinimumSm = 90, Spaces = "shared")]
    public static void StMatrixX2Trans<T>(ref T row, UInt2 value) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.StMatrixX2Trans");

    /// <summary><c>stmatrix.sync.aligned.m8n8.x4.shared.b16</c>: four 8 x 8 matrices of 16-bit numbers, from the registers of a warp to shared memory.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">Where a row of 16 bytes goes, as for ldmatrix.</param>
    /// <param name="value">Two numbers of each matrix, as ldmatrix gives them.</param>
    [PtxInstruction("stmatrix.sync.aligned.m8n8.x4.shared.b16 [{0}], {1}", Volatile = true, MinimumSm = 90, Spaces = "shared")]
    public static void StMatrixX4<T>(ref T row, UInt4 value) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.StMatrixX4");

    /// <summary><c>stmatrix.sync.aligned.m8n8.x4.trans.shared.b16</c>: four 8 x 8 matrices of 16-bit numbers, transposed, from the registers of a warp to shared memory.</summary>
    /// <typeparam name="T">Element type of the shared array.</typeparam>
    /// <param name="row">Where a row of 16 bytes goes, as for ldmatrix.</param>
    /// <param name="value">Two numbers of each matrix, as ldmatrix gives them.</param>
    [PtxInstruction("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [{0}], {1}", Volatile = true, MinimumSm = 90, Spaces = "shared")]
    public static void StMatrixX4Trans<T>(ref T row, UInt4 value) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.StMatrixX4Trans");

    // mma: with g = lane / 4 and t = lane % 4, lane's C and D are rows g, g, g + 8, g + 8 and columns 2t, 2t + 1, 2t, 2t + 1 of the 16 x 8 result.
    /// <summary><c>mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32</c>: a b + c in half precision with float sums.</summary>
    /// <param name="a">16 x 16, row-major: a lane's registers in PTX order.</param>
    /// <param name="b">16 x 8, column-major.</param>
    /// <param name="c">16 x 8.</param>
    [PtxInstruction("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {r}, {0}, {1}, {2}", Volatile = true, MinimumSm = 80)]
    public static Float4 MmaM16N8K16F16(UInt4 a, UInt2 b, Float4 c) => throw SequentialLaunch.NeedsDevice("Ptx.MmaM16N8K16F16");

    /// <summary><c>mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32</c>: a b + c in bfloat16 with float sums.</summary>
    /// <param name="a">16 x 16, row-major: a lane's registers in PTX order.</param>
    /// <param name="b">16 x 8, column-major.</param>
    /// <param name="c">16 x 8.</param>
    [PtxInstruction("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {r}, {0}, {1}, {2}", Volatile = true, MinimumSm = 80)]
    public static Float4 MmaM16N8K16BF16(UInt4 a, UInt2 b, Float4 c) => throw SequentialLaunch.NeedsDevice("Ptx.MmaM16N8K16BF16");

    /// <summary><c>mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32</c>: a b + c in TF32 (floats of which 10 bits of the fraction count, see <see cref="CvtRnaTf32"/>) with float sums.</summary>
    /// <param name="a">16 x 8, row-major: a lane's registers in PTX order.</param>
    /// <param name="b">8 x 8, column-major.</param>
    /// <param name="c">16 x 8.</param>
    [PtxInstruction("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {r}, {0}, {1}, {2}", Volatile = true, MinimumSm = 80)]
    public static Float4 MmaM16N8K8TF32(UInt4 a, UInt2 b, Float4 c) => throw SequentialLaunch.NeedsDevice("Ptx.MmaM16N8K8TF32");

    /// <summary><c>mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16</c>: a b + c in half precision with half-precision sums.</summary>
    /// <param name="a">16 x 16, row-major: a lane's registers in PTX order.</param>
    /// <param name="b">16 x 8, column-major.</param>
    /// <param name="c">16 x 8.</param>
    [PtxInstruction("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {r}, {0}, {1}, {2}", Volatile = true, MinimumSm = 80)]
    public static UInt2 MmaM16N8K16F16F16(UInt4 a, UInt2 b, UInt2 c) => throw SequentialLaunch.NeedsDevice("Ptx.MmaM16N8K16F16F16");

    // redux: a reduction over the warp in one instruction.
    /// <summary><c>redux.sync.add.s32</c>: the sum of a warp's values, in all its lanes.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("redux.sync.add.s32 {r}, {0}, 0xffffffff", Volatile = true, MinimumSm = 80)]
    public static int ReduxAdd(int value) => throw SequentialLaunch.NeedsDevice("Ptx.ReduxAdd");

    /// <summary><c>redux.sync.min.s32</c>: the smallest of a warp's values, in all its lanes.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("redux.sync.min.s32 {r}, {0}, 0xffffffff", Volatile = true, MinimumSm = 80)]
    public static int ReduxMin(int value) => throw SequentialLaunch.NeedsDevice("Ptx.ReduxMin");

    /// <summary><c>redux.sync.max.s32</c>: the greatest of a warp's values, in all its lanes.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("redux.sync.max.s32 {r}, {0}, 0xffffffff", Volatile = true, MinimumSm = 80)]
    public static int ReduxMax(int value) => throw SequentialLaunch.NeedsDevice("Ptx.ReduxMax");

    /// <summary><c>redux.sync.add.u32</c>: the sum of a warp's values, in all its lanes.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("redux.sync.add.u32 {r}, {0}, 0xffffffff", Volatile = true, MinimumSm = 80)]
    public static uint ReduxAdd(uint value) => throw SequentialLaunch.NeedsDevice("Ptx.ReduxAdd");

    /// <summary><c>redux.sync.min.u32</c>: the smallest of a warp's values, in all its lanes.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("redux.sync.min.u32 {r}, {0}, 0xffffffff", Volatile = true, MinimumSm = 80)]
    public static uint ReduxMin(uint value) => throw SequentialLaunch.NeedsDevice("Ptx.ReduxMin");

    /// <summary><c>redux.sync.max.u32</c>: the greatest of a warp's values, in all its lanes.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("redux.sync.max.u32 {r}, {0}, 0xffffffff", Volatile = true, MinimumSm = 80)]
    public static uint ReduxMax(uint value) => throw SequentialLaunch.NeedsDevice("Ptx.ReduxMax");

    /// <summary><c>redux.sync.and.b32</c>: the bitwise and of a warp's values, in all its lanes.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("redux.sync.and.b32 {r}, {0}, 0xffffffff", Volatile = true, MinimumSm = 80)]
    public static uint ReduxAnd(uint value) => throw SequentialLaunch.NeedsDevice("Ptx.ReduxAnd");

    /// <summary><c>redux.sync.or.b32</c>: the bitwise or of a warp's values, in all its lanes.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("redux.sync.or.b32 {r}, {0}, 0xffffffff", Volatile = true, MinimumSm = 80)]
    public static uint ReduxOr(uint value) => throw SequentialLaunch.NeedsDevice("Ptx.ReduxOr");

    /// <summary><c>redux.sync.xor.b32</c>: the bitwise xor of a warp's values, in all its lanes.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("redux.sync.xor.b32 {r}, {0}, 0xffffffff", Volatile = true, MinimumSm = 80)]
    public static uint ReduxXor(uint value) => throw SequentialLaunch.NeedsDevice("Ptx.ReduxXor");
}
