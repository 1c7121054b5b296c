using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using DiffWave.Emulator.Execution;

namespace DiffWave.Emulator.Arithmetic;

/// <summary>How <c>shfl</c> finds the lane it reads.</summary>
internal interface IShuffle
{
    /// <summary>The lane asked for, and whether it lies within the segment; else a lane reads itself.</summary>
    static abstract (int Lane, bool Inside) Source(int lane, int b, int clamp, int segment);
}

internal readonly struct ShuffleUp : IShuffle
{
    public static (int Lane, bool Inside) Source(int lane, int b, int clamp, int segment) => (lane - b, lane - b >= Highest(lane, clamp, segment));

    /// <summary>The last lane of the segment that may be read (for <c>up</c>: the first).</summary>
    public static int Highest(int lane, int clamp, int segment) => lane & segment | clamp & ~segment;
}

internal readonly struct ShuffleDown : IShuffle
{
    public static (int Lane, bool Inside) Source(int lane, int b, int clamp, int segment) => (lane + b, lane + b <= ShuffleUp.Highest(lane, clamp, segment));
}

internal readonly struct ShuffleButterfly : IShuffle
{
    public static (int Lane, bool Inside) Source(int lane, int b, int clamp, int segment) => (lane ^ b, (lane ^ b) <= ShuffleUp.Highest(lane, clamp, segment));
}

internal readonly struct ShuffleIndexed : IShuffle
{
    public static (int Lane, bool Inside) Source(int lane, int b, int clamp, int segment)
    {
        int source = lane & segment | b & ~segment;
        return (source, source <= ShuffleUp.Highest(lane, clamp, segment));
    }
}

/// <summary>What a vote finds out.</summary>
internal interface IVote
{
    static abstract uint Of(uint bits, uint members);
}

internal readonly struct VoteAll : IVote
{
    public static uint Of(uint bits, uint members) => bits == members ? uint.MaxValue : 0;
}

internal readonly struct VoteAny : IVote
{
    public static uint Of(uint bits, uint members) => bits != 0 ? uint.MaxValue : 0;
}

internal readonly struct VoteUniform : IVote
{
    public static uint Of(uint bits, uint members) => bits == members || bits == 0 ? uint.MaxValue : 0;
}

/// <summary>
/// Exchanges between the lanes of a warp. Members of an exchange are the lanes that take part and stand in each other's member mask; what a shuffle reads from any other lane is open in PTX, here it
/// is the value that lane's register holds.
/// </summary>
internal static unsafe class Exchanges
{
    private const int Lanes = LaneLoops.Lanes;

    /// <summary><c>shfl.sync d|p, a, b, c, membermask</c>; with <typeparamref name="TPair"/> false there is no p.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Shuffle<TShuffle, TPair>(LaneArguments* x) where TShuffle : struct, IShuffle where TPair : struct, IFlag
    {
        int s = TPair.Value ? 2 : 1;
        uint* r = (uint*)(*x)[0], a = (uint*)(*x)[s], b = (uint*)(*x)[s + 1], c = (uint*)(*x)[s + 2];
        uint* values = stackalloc uint[Lanes];
        uint inside = 0;
        for (int lane = 0; lane < Lanes; lane++)
        {
            var (source, within) = TShuffle.Source(lane, (int)b[lane] & 31, (int)c[lane] & 31, (int)(c[lane] >> 8) & 31);
            values[lane] = a[within ? source : lane];
            if (within) inside |= 1u << lane;
        }

        if (r != null)
            for (int lane = 0; lane < Lanes; lane += 8) LaneLoops.Store((byte*)r, lane, LaneLoops.Load<uint>((byte*)values, lane), x->Mask);
        if (TPair.Value) LaneLoops.SetPredicate((*x)[1], inside, x->Mask);
    }

    /// <summary><c>vote.sync p, a, membermask</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Vote<TVote>(LaneArguments* x) where TVote : struct, IVote
    {
        uint bits = *(uint*)(*x)[1], result = 0, group;
        for (uint rest = x->Mask; rest != 0; rest &= ~group)
        {
            group = Group((uint*)(*x)[2], rest);
            result |= TVote.Of(bits & group, group) & group;
        }

        LaneLoops.SetPredicate((*x)[0], result, x->Mask);
    }

    /// <summary><c>vote.sync.ballot.b32 d, a, membermask</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Ballot(LaneArguments* x)
    {
        uint bits = *(uint*)(*x)[1], group;
        for (uint rest = x->Mask; rest != 0; rest &= ~group)
        {
            group = Group((uint*)(*x)[2], rest);
            Fill((uint*)(*x)[0], bits & group, group);
        }
    }

    /// <summary><c>match.any.sync d, a, membermask</c>: the members with the same value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MatchAny<T>(LaneArguments* x) where T : unmanaged, IEquatable<T>
    {
        uint group;
        for (uint rest = x->Mask; rest != 0; rest &= ~group)
        {
            group = Group((uint*)(*x)[2], rest);
            uint same;
            for (uint left = group; left != 0; left &= ~same)
            {
                same = Same<T>((*x)[1], left);
                Fill((uint*)(*x)[0], same, same);
            }
        }
    }

    /// <summary><c>match.all.sync d|p, a, membermask</c>: the members when all have the same value, else 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MatchAll<T, TPair>(LaneArguments* x) where T : unmanaged, IEquatable<T> where TPair : struct, IFlag
    {
        int s = TPair.Value ? 2 : 1;
        uint group, equal = 0;
        for (uint rest = x->Mask; rest != 0; rest &= ~group)
        {
            group = Group((uint*)(*x)[s + 1], rest);
            bool all = Same<T>((*x)[s], group) == group;
            Fill((uint*)(*x)[0], all ? group : 0, group);
            if (all) equal |= group;
        }

        if (TPair.Value) LaneLoops.SetPredicate((*x)[1], equal, x->Mask);
    }

    /// <summary><c>redux.sync d, a, membermask</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Reduce<T, TOp>(LaneArguments* x) where T : unmanaged where TOp : struct, IOp2<T, T, T>
    {
        uint group;
        for (uint rest = x->Mask; rest != 0; rest &= ~group)
        {
            group = Group((uint*)(*x)[2], rest);
            T value = LaneLoops.Read<T>((*x)[1], BitOperations.TrailingZeroCount(group));
            for (uint left = group & (group - 1); left != 0; left &= left - 1) value = TOp.Apply(value, LaneLoops.Read<T>((*x)[1], BitOperations.TrailingZeroCount(left)));
            Fill((uint*)(*x)[0], *(uint*)&value, group);
        }
    }

    /// <summary><c>activemask d</c>.</summary>
    public static void ActiveMask(LaneArguments* x) => Fill((uint*)(*x)[0], x->Mask, x->Mask);

    /// <summary>Members of the exchange of the lowest lane left.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static uint Group(uint* members, uint rest)
    {
        int first = BitOperations.TrailingZeroCount(rest);
        uint group = 1u << first, mask = members[first];
        if (AreEqual(members, mask)) return group | rest & mask;
        for (uint left = rest & mask & ~group; left != 0; left &= left - 1)
        {
            int lane = BitOperations.TrailingZeroCount(left);
            if (members[lane] == mask) group |= 1u << lane;
        }

        return group;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool AreEqual(uint* values, uint value)
    {
        var all = Vector256.Create(value);
        var different = Vector256<uint>.Zero;
        for (int lane = 0; lane < Lanes; lane += 8) different |= LaneLoops.Load<uint>((byte*)values, lane) ^ all;
        return different == Vector256<uint>.Zero;
    }

    private static uint Same<T>(byte* a, uint lanes) where T : unmanaged, IEquatable<T>
    {
        T first = LaneLoops.Read<T>(a, BitOperations.TrailingZeroCount(lanes));
        uint same = 0;
        for (; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            if (LaneLoops.Read<T>(a, lane).Equals(first)) same |= 1u << lane;
        }

        return same;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Fill(uint* register, uint value, uint lanes)
    {
        if (register == null) return;
        for (int lane = 0; lane < Lanes; lane += 8) LaneLoops.Store((byte*)register, lane, Vector256.Create(value), lanes);
    }
}
