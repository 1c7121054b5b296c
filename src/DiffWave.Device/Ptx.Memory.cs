namespace DiffWave.Device;

public static partial class Ptx
{
    /// <summary><c>ld.global.nc.f32</c>: reads memory that nobody writes while the kernel runs, through the read-only path.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.nc.f32 {r}, [{0}]", Spaces = "global")]
    public static float LdGlobalNc(ref float source) => source;

    /// <summary><c>ld.global.nc.v2.f32</c>: reads memory that nobody writes while the kernel runs, through the read-only path.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.nc.v2.f32 {r}, [{0}]", Spaces = "global")]
    public static Float2 LdGlobalNc(ref Float2 source) => source;

    /// <summary><c>ld.global.nc.v4.f32</c>: reads memory that nobody writes while the kernel runs, through the read-only path.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.nc.v4.f32 {r}, [{0}]", Spaces = "global")]
    public static Float4 LdGlobalNc(ref Float4 source) => source;

    /// <summary><c>ld.global.nc.u32</c>: reads memory that nobody writes while the kernel runs, through the read-only path.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.nc.u32 {r}, [{0}]", Spaces = "global")]
    public static uint LdGlobalNc(ref uint source) => source;

    /// <summary><c>ld.global.nc.v2.u32</c>: reads memory that nobody writes while the kernel runs, through the read-only path.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.nc.v2.u32 {r}, [{0}]", Spaces = "global")]
    public static UInt2 LdGlobalNc(ref UInt2 source) => source;

    /// <summary><c>ld.global.nc.v4.u32</c>: reads memory that nobody writes while the kernel runs, through the read-only path.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.nc.v4.u32 {r}, [{0}]", Spaces = "global")]
    public static UInt4 LdGlobalNc(ref UInt4 source) => source;

    /// <summary><c>ld.global.nc.u16</c>: reads memory that nobody writes while the kernel runs, through the read-only path.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.nc.u16 {r}, [{0}]", Spaces = "global")]
    public static ushort LdGlobalNc(ref ushort source) => source;

    /// <summary><c>ld.global.cg.f32</c>: reads through L2, past this multiprocessor's own cache, so that values other blocks wrote are seen.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.cg.f32 {r}, [{0}]", Volatile = true, Spaces = "global")]
    public static float LdGlobalCg(ref float source) => source;

    /// <summary><c>ld.global.cg.v2.f32</c>: reads through L2, past this multiprocessor's own cache, so that values other blocks wrote are seen.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.cg.v2.f32 {r}, [{0}]", Volatile = true, Spaces = "global")]
    public static Float2 LdGlobalCg(ref Float2 source) => source;

    /// <summary><c>ld.global.cg.v4.f32</c>: reads through L2, past this multiprocessor's own cache, so that values other blocks wrote are seen.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.cg.v4.f32 {r}, [{0}]", Volatile = true, Spaces = "global")]
    public static Float4 LdGlobalCg(ref Float4 source) => source;

    /// <summary><c>ld.global.cg.u32</c>: reads through L2, past this multiprocessor's own cache, so that values other blocks wrote are seen.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.cg.u32 {r}, [{0}]", Volatile = true, Spaces = "global")]
    public static uint LdGlobalCg(ref uint source) => source;

    /// <summary><c>ld.global.cg.v2.u32</c>: reads through L2, past this multiprocessor's own cache, so that values other blocks wrote are seen.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.cg.v2.u32 {r}, [{0}]", Volatile = true, Spaces = "global")]
    public static UInt2 LdGlobalCg(ref UInt2 source) => source;

    /// <summary><c>ld.global.cg.v4.u32</c>: reads through L2, past this multiprocessor's own cache, so that values other blocks wrote are seen.</summary>
    /// <param name="source">Global memory, aligned to the whole value.</param>
    [PtxInstruction("ld.global.cg.v4.u32 {r}, [{0}]", Volatile = true, Spaces = "global")]
    public static UInt4 LdGlobalCg(ref UInt4 source) => source;

    /// <summary><c>st.global.cs.f32</c>: writes what is not read again soon.</summary>
    /// <param name="target">Global memory, aligned to the whole value.</param>
    /// <param name="value">The value.</param>
    [PtxInstruction("st.global.cs.f32 [{0}], {1}", Volatile = true, Spaces = "global")]
    public static void StGlobalCs(ref float target, float value) => target = value;

    /// <summary><c>st.global.cs.v2.f32</c>: writes what is not read again soon.</summary>
    /// <param name="target">Global memory, aligned to the whole value.</param>
    /// <param name="value">The value.</param>
    [PtxInstruction("st.global.cs.v2.f32 [{0}], {1}", Volatile = true, Spaces = "global")]
    public static void StGlobalCs(ref Float2 target, Float2 value) => target = value;

    /// <summary><c>st.global.cs.v4.f32</c>: writes what is not read again soon.</summary>
    /// <param name="target">Global memory, aligned to the whole value.</param>
    /// <param name="value">The value.</param>
    [PtxInstruction("st.global.cs.v4.f32 [{0}], {1}", Volatile = true, Spaces = "global")]
    public static void StGlobalCs(ref Float4 target, Float4 value) => target = value;

    /// <summary><c>st.global.cs.u32</c>: writes what is not read again soon.</summary>
    /// <param name="target">Global memory, aligned to the whole value.</param>
    /// <param name="value">The value.</param>
    [PtxInstruction("st.global.cs.u32 [{0}], {1}", Volatile = true, Spaces = "global")]
    public static void StGlobalCs(ref uint target, uint value) => target = value;

    /// <summary><c>st.global.cs.v2.u32</c>: writes what is not read again soon.</summary>
    /// <param name="target">Global memory, aligned to the whole value.</param>
    /// <param name="value">The value.</param>
    [PtxInstruction("st.global.cs.v2.u32 [{0}], {1}", Volatile = true, Spaces = "global")]
    public static void StGlobalCs(ref UInt2 target, UInt2 value) => target = value;

    /// <summary><c>st.global.cs.v4.u32</c>: writes what is not read again soon.</summary>
    /// <param name="target">Global memory, aligned to the whole value.</param>
    /// <param name="value">The value.</param>
    [PtxInstruction("st.global.cs.v4.u32 [{0}], {1}", Volatile = true, Spaces = "global")]
    public static void StGlobalCs(ref UInt4 target, UInt4 value) => target = value;

    /// <summary><c>prefetch.global.L1</c>: brings the cache line of an address into L1.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="address">Global memory.</param>
    [PtxInstruction("prefetch.global.L1 [{0}]", Volatile = true, Spaces = "global")]
    public static void PrefetchL1<T>(ref T address) where T : unmanaged { }

    /// <summary><c>prefetch.global.L2</c>: brings the cache line of an address into L2.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="address">Global memory.</param>
    [PtxInstruction("prefetch.global.L2 [{0}]", Volatile = true, Spaces = "global")]
    public static void PrefetchL2<T>(ref T address) where T : unmanaged { }

    /// <summary>Address of an element within the shared memory of the block, as instructions that take descriptors want it.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="element">Shared memory.</param>
    [PtxInstruction("mov.u32 {r}, {0}", Spaces = "shared")]
    public static uint SharedAddress<T>(ref T element) where T : unmanaged => throw SequentialLaunch.NeedsDevice("Ptx.SharedAddress");
}
