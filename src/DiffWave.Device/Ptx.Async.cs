using System.Runtime.CompilerServices;

namespace DiffWave.Device;

public static unsafe partial class Ptx
{
    // cp.async: copies that run beside the threads; a thread's own are complete after a wait, those of others after a barrier as well. On the CPU they are done at once.
    /// <summary><c>cp.async.ca.shared.global</c> of 4 bytes, through L1 and L2.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="target">Shared memory, 4-byte aligned.</param>
    /// <param name="source">Global memory, 4-byte aligned.</param>
    [PtxInstruction("cp.async.ca.shared.global [{0}], [{1}], 4", Volatile = true, MinimumSm = 80, Spaces = "shared,global")]
    public static void CpAsync4<T>(ref T target, ref T source) where T : unmanaged => Copy(ref target, ref source, 4, 4);

    /// <summary><c>cp.async.ca.shared.global</c> of 4 bytes, through L1 and L2, of which only the first are read and the others become zero.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="target">Shared memory, 4-byte aligned.</param>
    /// <param name="source">Global memory, 4-byte aligned.</param>
    /// <param name="sourceBytes">Bytes to read, 0 .. 4; with 0 the source need not exist.</param>
    [PtxInstruction("cp.async.ca.shared.global [{0}], [{1}], 4, {2}", Volatile = true, MinimumSm = 80, Spaces = "shared,global")]
    public static void CpAsync4<T>(ref T target, ref T source, int sourceBytes) where T : unmanaged => Copy(ref target, ref source, 4, sourceBytes);

    /// <summary><c>cp.async.ca.shared.global</c> of 8 bytes, through L1 and L2.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="target">Shared memory, 8-byte aligned.</param>
    /// <param name="source">Global memory, 8-byte aligned.</param>
    [PtxInstruction("cp.async.ca.shared.global [{0}], [{1}], 8", Volatile = true, MinimumSm = 80, Spaces = "shared,global")]
    public static void CpAsync8<T>(ref T target, ref T source) where T : unmanaged => Copy(ref target, ref source, 8, 8);

    /// <summary><c>cp.async.ca.shared.global</c> of 8 bytes, through L1 and L2, of which only the first are read and the others become zero.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="target">Shared memory, 8-byte aligned.</param>
    /// <param name="source">Global memory, 8-byte aligned.</param>
    /// <param name="sourceBytes">Bytes to read, 0 .. 8; with 0 the source need not exist.</param>
    [PtxInstruction("cp.async.ca.shared.global [{0}], [{1}], 8, {2}", Volatile = true, MinimumSm = 80, Spaces = "shared,global")]
    public static void CpAsync8<T>(ref T target, ref T source, int sourceBytes) where T : unmanaged => Copy(ref target, ref source, 8, sourceBytes);

    /// <summary><c>cp.async.cg.shared.global</c> of 16 bytes, through L2 only.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="target">Shared memory, 16-byte aligned.</param>
    /// <param name="source">Global memory, 16-byte aligned.</param>
    [PtxInstruction("cp.async.cg.shared.global [{0}], [{1}], 16", Volatile = true, MinimumSm = 80, Spaces = "shared,global")]
    public static void CpAsync16<T>(ref T target, ref T source) where T : unmanaged => Copy(ref target, ref source, 16, 16);

    /// <summary><c>cp.async.cg.shared.global</c> of 16 bytes, through L2 only, of which only the first are read and the others become zero.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="target">Shared memory, 16-byte aligned.</param>
    /// <param name="source">Global memory, 16-byte aligned.</param>
    /// <param name="sourceBytes">Bytes to read, 0 .. 16; with 0 the source need not exist.</param>
    [PtxInstruction("cp.async.cg.shared.global [{0}], [{1}], 16, {2}", Volatile = true, MinimumSm = 80, Spaces = "shared,global")]
    public static void CpAsync16<T>(ref T target, ref T source, int sourceBytes) where T : unmanaged => Copy(ref target, ref source, 16, sourceBytes);

    /// <summary><c>cp.async.ca.shared.global</c> of 16 bytes, through L1 and L2.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="target">Shared memory, 16-byte aligned.</param>
    /// <param name="source">Global memory, 16-byte aligned.</param>
    [PtxInstruction("cp.async.ca.shared.global [{0}], [{1}], 16", Volatile = true, MinimumSm = 80, Spaces = "shared,global")]
    public static void CpAsync16Ca<T>(ref T target, ref T source) where T : unmanaged => Copy(ref target, ref source, 16, 16);

    /// <summary><c>cp.async.ca.shared.global</c> of 16 bytes, through L1 and L2, of which only the first are read and the others become zero.</summary>
    /// <typeparam name="T">Element type.</typeparam>
    /// <param name="target">Shared memory, 16-byte aligned.</param>
    /// <param name="source">Global memory, 16-byte aligned.</param>
    /// <param name="sourceBytes">Bytes to read, 0 .. 16; with 0 the source need not exist.</param>
    [PtxInstruction("cp.async.ca.shared.global [{0}], [{1}], 16, {2}", Volatile = true, MinimumSm = 80, Spaces = "shared,global")]
    public static void CpAsync16Ca<T>(ref T target, ref T source, int sourceBytes) where T : unmanaged => Copy(ref target, ref source, 16, sourceBytes);

    /// <summary><c>cp.async.commit_group</c>: closes the group of the copies started since the last one.</summary>
    [PtxInstruction("cp.async.commit_group", Volatile = true, MinimumSm = 80)]
    public static void CpAsyncCommit() { }

    /// <summary><c>cp.async.wait_group</c>: waits until at most the newest groups are still under way.</summary>
    /// <param name="groups">How many may be, a compile-time constant.</param>
    [PtxInstruction("cp.async.wait_group {#0}", Volatile = true, MinimumSm = 80)]
    public static void CpAsyncWaitGroup(int groups) { }

    /// <summary><c>cp.async.wait_all</c>: waits for all of this thread's copies.</summary>
    [PtxInstruction("cp.async.wait_all", Volatile = true, MinimumSm = 80)]
    public static void CpAsyncWaitAll() { }

    /// <summary><c>griddepcontrol.wait</c>: waits until the kernels before this one on the stream are complete; nothing to wait for when the launch did not allow an early start.</summary>
    [PtxInstruction("griddepcontrol.wait", Volatile = true, MinimumSm = 90)]
    public static void GridDependencyWait() { }

    /// <summary><c>griddepcontrol.launch_dependents</c>: the next kernel on the stream may start.</summary>
    [PtxInstruction("griddepcontrol.launch_dependents", Volatile = true, MinimumSm = 90)]
    public static void GridDependencyLaunch() { }

    private static void Copy<T>(ref T target, ref T source, int bytes, int sourceBytes) where T : unmanaged
    {
        ref byte to = ref Unsafe.As<T, byte>(ref target);
        Unsafe.InitBlockUnaligned(ref to, 0, (uint)bytes);
        if (sourceBytes > 0) Unsafe.CopyBlockUnaligned(ref to, ref Unsafe.As<T, byte>(ref source), (uint)sourceBytes);
    }
}
