using System.Runtime.CompilerServices;

namespace DiffWave.Device;

/// <summary>
/// The 32 threads that run together. Shuffles and votes are executed by the whole warp: every lane must reach them. Values of 1, 2, 4 or 8 bytes can be exchanged.
/// </summary>
public static unsafe class Warp
{
    private const int Indexed = 0, Down = 1, Up = 2, Xor = 3;

    /// <summary>Threads of a warp.</summary>
    public const int WarpSize = 32;

    /// <summary>Number of this thread within its warp.</summary>
    public static int LaneIdx { [PtxInstruction("mov.u32 {r}, %laneid")] get => Group.LinearIndex % WarpSize; }

    /// <summary>Number of this warp within its block.</summary>
    public static int WarpIdx => Group.LinearIndex / WarpSize;

    /// <summary>Whether this is lane 0.</summary>
    public static bool IsFirstLane => LaneIdx == 0;

    /// <summary>The lanes wait here for each other, and see what the others wrote to memory before.</summary>
    [PtxInstruction("bar.warp.sync 0xffffffff", Volatile = true)]
    public static void Barrier() => SequentialLaunch.RequireOneThread("Warp.Barrier");

    /// <summary>The value of lane <paramref name="sourceLane"/>.</summary>
    /// <typeparam name="T">A value of 1, 2, 4 or 8 bytes.</typeparam>
    /// <param name="value">This lane's value.</param>
    /// <param name="sourceLane">Lane to read; counted modulo 32.</param>
    public static T Shuffle<T>(T value, int sourceLane) where T : unmanaged => Exchange(value, sourceLane, 31, Indexed);

    /// <summary>The value of lane <paramref name="sourceLane"/> of this lane's part of the warp.</summary>
    /// <typeparam name="T">A value of 1, 2, 4 or 8 bytes.</typeparam>
    /// <param name="value">This lane's value.</param>
    /// <param name="sourceLane">Lane within the part; counted modulo <paramref name="width"/>.</param>
    /// <param name="width">Lanes of a part: a power of two up to 32.</param>
    public static T Shuffle<T>(T value, int sourceLane, int width) where T : unmanaged => Exchange(value, sourceLane, ((WarpSize - width) << 8) | 31, Indexed);

    /// <summary>The value of the lane <paramref name="delta"/> further on; lanes without such a lane keep their own.</summary>
    /// <typeparam name="T">A value of 1, 2, 4 or 8 bytes.</typeparam>
    /// <param name="value">This lane's value.</param>
    /// <param name="delta">0 .. 31.</param>
    public static T ShuffleDown<T>(T value, int delta) where T : unmanaged => Exchange(value, delta, 31, Down);

    /// <summary>The value of the lane <paramref name="delta"/> further on within this lane's part of the warp; lanes without such a lane keep their own.</summary>
    /// <typeparam name="T">A value of 1, 2, 4 or 8 bytes.</typeparam>
    /// <param name="value">This lane's value.</param>
    /// <param name="delta">0 .. 31.</param>
    /// <param name="width">Lanes of a part: a power of two up to 32.</param>
    public static T ShuffleDown<T>(T value, int delta, int width) where T : unmanaged => Exchange(value, delta, ((WarpSize - width) << 8) | 31, Down);

    /// <summary>The value of the lane <paramref name="delta"/> before; lanes without such a lane keep their own.</summary>
    /// <typeparam name="T">A value of 1, 2, 4 or 8 bytes.</typeparam>
    /// <param name="value">This lane's value.</param>
    /// <param name="delta">0 .. 31.</param>
    public static T ShuffleUp<T>(T value, int delta) where T : unmanaged => Exchange(value, delta, 0, Up);

    /// <summary>The value of the lane <paramref name="delta"/> before within this lane's part of the warp; lanes without such a lane keep their own.</summary>
    /// <typeparam name="T">A value of 1, 2, 4 or 8 bytes.</typeparam>
    /// <param name="value">This lane's value.</param>
    /// <param name="delta">0 .. 31.</param>
    /// <param name="width">Lanes of a part: a power of two up to 32.</param>
    public static T ShuffleUp<T>(T value, int delta, int width) where T : unmanaged => Exchange(value, delta, (WarpSize - width) << 8, Up);

    /// <summary>The value of the lane whose number differs in the bits of <paramref name="mask"/>.</summary>
    /// <typeparam name="T">A value of 1, 2, 4 or 8 bytes.</typeparam>
    /// <param name="value">This lane's value.</param>
    /// <param name="mask">0 .. 31.</param>
    public static T ShuffleXor<T>(T value, int mask) where T : unmanaged => Exchange(value, mask, 31, Xor);

    /// <summary>The value of the lane whose number differs in the bits of <paramref name="mask"/>; lanes for which it lies beyond their part keep their own.</summary>
    /// <typeparam name="T">A value of 1, 2, 4 or 8 bytes.</typeparam>
    /// <param name="value">This lane's value.</param>
    /// <param name="mask">0 .. 31.</param>
    /// <param name="width">Lanes of a part: a power of two up to 32.</param>
    public static T ShuffleXor<T>(T value, int mask, int width) where T : unmanaged => Exchange(value, mask, ((WarpSize - width) << 8) | 31, Xor);

    /// <summary>The value of one lane, in all lanes.</summary>
    /// <typeparam name="T">A value of 1, 2, 4 or 8 bytes.</typeparam>
    /// <param name="value">This lane's value.</param>
    /// <param name="laneIndex">The same lane in all lanes.</param>
    public static T Broadcast<T>(T value, int laneIndex) where T : unmanaged => Exchange(value, laneIndex, 31, Indexed);

    /// <summary>Whether the value is true in all lanes.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("vote.sync.all.pred {r}, {0}, 0xffffffff", Volatile = true)]
    public static bool All(bool value)
    {
        SequentialLaunch.RequireOneThread("Warp.All");
        return value;
    }

    /// <summary>Whether the value is true in any lane.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("vote.sync.any.pred {r}, {0}, 0xffffffff", Volatile = true)]
    public static bool Any(bool value)
    {
        SequentialLaunch.RequireOneThread("Warp.Any");
        return value;
    }

    /// <summary>The lanes whose value is true, bit i for lane i.</summary>
    /// <param name="value">This lane's value.</param>
    [PtxInstruction("vote.sync.ballot.b32 {r}, {0}, 0xffffffff", Volatile = true)]
    public static uint Ballot(bool value)
    {
        SequentialLaunch.RequireOneThread("Warp.Ballot");
        return value ? 1u : 0u;
    }

    /// <summary>The lanes that run this instruction together just now, bit i for lane i.</summary>
    public static uint ActiveMask
    {
        [PtxInstruction("activemask.b32 {r}", Volatile = true)]
        get
        {
            SequentialLaunch.RequireOneThread("Warp.ActiveMask");
            return 1;
        }
    }

    // The sizes and kinds are known when a kernel is compiled: one branch of each is left.
    private static T Exchange<T>(T value, int lane, int clamp, int kind) where T : unmanaged
    {
        if (sizeof(T) == 4) return Unsafe.BitCast<uint, T>(Word(Unsafe.BitCast<T, uint>(value), lane, clamp, kind));
        if (sizeof(T) == 2) return Unsafe.BitCast<ushort, T>((ushort)Word(Unsafe.BitCast<T, ushort>(value), lane, clamp, kind));
        if (sizeof(T) == 1) return Unsafe.BitCast<byte, T>((byte)Word(Unsafe.BitCast<T, byte>(value), lane, clamp, kind));
        if (sizeof(T) != 8) throw new NotSupportedException("the lanes of a warp exchange values of 1, 2, 4 or 8 bytes");
        ulong bits = Unsafe.BitCast<T, ulong>(value);
        return Unsafe.BitCast<ulong, T>(Word((uint)bits, lane, clamp, kind) | (ulong)Word((uint)(bits >> 32), lane, clamp, kind) << 32);
    }

    private static uint Word(uint value, int lane, int clamp, int kind)
    {
        if (kind == Indexed) return IndexedWord(value, lane, clamp);
        if (kind == Down) return DownWord(value, lane, clamp);
        return kind == Up ? UpWord(value, lane, clamp) : XorWord(value, lane, clamp);
    }

    [PtxInstruction("shfl.sync.idx.b32 {r}, {0}, {1}, {2}, 0xffffffff", Volatile = true)]
    private static uint IndexedWord(uint value, int lane, int clamp) => throw SequentialLaunch.NeedsDevice("Warp.Shuffle");

    [PtxInstruction("shfl.sync.down.b32 {r}, {0}, {1}, {2}, 0xffffffff", Volatile = true)]
    private static uint DownWord(uint value, int delta, int clamp) => throw SequentialLaunch.NeedsDevice("Warp.ShuffleDown");

    [PtxInstruction("shfl.sync.up.b32 {r}, {0}, {1}, {2}, 0xffffffff", Volatile = true)]
    private static uint UpWord(uint value, int delta, int clamp) => throw SequentialLaunch.NeedsDevice("Warp.ShuffleUp");

    [PtxInstruction("shfl.sync.bfly.b32 {r}, {0}, {1}, {2}, 0xffffffff", Volatile = true)]
    private static uint XorWord(uint value, int mask, int clamp) => throw SequentialLaunch.NeedsDevice("Warp.ShuffleXor");
}
