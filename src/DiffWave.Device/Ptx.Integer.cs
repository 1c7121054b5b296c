using System.Numerics;

namespace DiffWave.Device;

public static partial class Ptx
{
    /// <summary><c>mul.hi.s32</c>: upper half of the double-width product.</summary>
    /// <param name="a">Factor.</param>
    /// <param name="b">Factor.</param>
    [PtxInstruction("mul.hi.s32 {r}, {0}, {1}")]
    public static int MulHi(int a, int b) => (int)(((long)a * b) >> 32);

    /// <summary><c>mul.hi.u32</c>: upper half of the double-width product.</summary>
    /// <param name="a">Factor.</param>
    /// <param name="b">Factor.</param>
    [PtxInstruction("mul.hi.u32 {r}, {0}, {1}")]
    public static uint MulHi(uint a, uint b) => (uint)(((ulong)a * b) >> 32);

    /// <summary><c>mul.hi.s64</c>: upper half of the double-width product.</summary>
    /// <param name="a">Factor.</param>
    /// <param name="b">Factor.</param>
    [PtxInstruction("mul.hi.s64 {r}, {0}, {1}")]
    public static long MulHi(long a, long b) => Math.BigMul(a, b, out _);

    /// <summary><c>mul.hi.u64</c>: upper half of the double-width product.</summary>
    /// <param name="a">Factor.</param>
    /// <param name="b">Factor.</param>
    [PtxInstruction("mul.hi.u64 {r}, {0}, {1}")]
    public static ulong MulHi(ulong a, ulong b) => Math.BigMul(a, b, out _);

    /// <summary><c>prmt.b32</c>: four bytes chosen from eight.</summary>
    /// <param name="a">Bytes 0 .. 3.</param>
    /// <param name="b">Bytes 4 .. 7.</param>
    /// <param name="selector">Four bits for each byte of the result, the lowest first: the number of the byte; with 8 added its sign bit, repeated.</param>
    [PtxInstruction("prmt.b32 {r}, {0}, {1}, {2}")]
    public static uint Prmt(uint a, uint b, uint selector)
    {
        ulong bytes = a | (ulong)b << 32;
        uint result = 0;
        for (int i = 0; i < 4; i++)
        {
            uint chosen = selector >> (4 * i), one = (uint)(bytes >> (int)(8 * (chosen & 7))) & 0xFF;
            result |= ((chosen & 8) == 0 ? one : (one & 0x80) == 0 ? 0 : 0xFFu) << (8 * i);
        }
        return result;
    }

    /// <summary><c>lop3.b32</c>: any bitwise function of three words.</summary>
    /// <param name="a">First word.</param>
    /// <param name="b">Second word.</param>
    /// <param name="c">Third word.</param>
    /// <param name="table">The function applied to 0xF0, 0xCC and 0xAA, a compile-time constant of 0 .. 255.</param>
    [PtxInstruction("lop3.b32 {r}, {0}, {1}, {2}, {#3}")]
    public static uint Lop3(uint a, uint b, uint c, int table)
    {
        uint result = 0;
        for (int row = 0; row < 8; row++)
            if ((table >> row & 1) != 0)
                result |= ((row & 4) != 0 ? a : ~a) & ((row & 2) != 0 ? b : ~b) & ((row & 1) != 0 ? c : ~c);
        return result;
    }

    /// <summary><c>bfe.u32</c>: a field of bits, moved to the low end.</summary>
    /// <param name="value">The word.</param>
    /// <param name="start">Lowest bit; its low 8 bits count.</param>
    /// <param name="length">Number of bits; its low 8 bits count. Bits beyond the word are zero.</param>
    [PtxInstruction("bfe.u32 {r}, {0}, {1}, {2}")]
    public static uint Bfe(uint value, int start, int length) => (uint)((start & 0xFF) > 31 ? 0 : value >> start) & Ones(length);

    /// <summary><c>bfi.b32</c>: the low bits of one word put into another.</summary>
    /// <param name="field">The bits.</param>
    /// <param name="value">The word they are put into.</param>
    /// <param name="start">Lowest bit of their place; its low 8 bits count.</param>
    /// <param name="length">How many; its low 8 bits count. Bits beyond the word are dropped.</param>
    [PtxInstruction("bfi.b32 {r}, {0}, {1}, {2}, {3}")]
    public static uint Bfi(uint field, uint value, int start, int length)
    {
        if ((start & 0xFF) > 31) return value;
        uint mask = Ones(length) << start;
        return (value & ~mask) | ((field << start) & mask);
    }

    /// <summary><c>brev.b32</c>: the bits in opposite order.</summary>
    /// <param name="value">The word.</param>
    [PtxInstruction("brev.b32 {r}, {0}")]
    public static uint Brev(uint value)
    {
        uint result = 0;
        for (int i = 0; i < 32; i++) result |= (value >> i & 1) << (31 - i);
        return result;
    }

    /// <summary><c>brev.b64</c>: the bits in opposite order.</summary>
    /// <param name="value">The word.</param>
    [PtxInstruction("brev.b64 {r}, {0}")]
    public static ulong Brev(ulong value) => Brev((uint)(value >> 32)) | (ulong)Brev((uint)value) << 32;

    /// <summary><c>shf.l.wrap.b32</c>: the upper word of a pair of words shifted left.</summary>
    /// <param name="low">Lower word.</param>
    /// <param name="high">Upper word.</param>
    /// <param name="shift">Bits, modulo 32.</param>
    [PtxInstruction("shf.l.wrap.b32 {r}, {0}, {1}, {2}")]
    public static uint FunnelShiftLeft(uint low, uint high, int shift) => (uint)((low | (ulong)high << 32) << (shift & 31) >> 32);

    /// <summary><c>shf.r.wrap.b32</c>: the lower word of a pair of words shifted right.</summary>
    /// <param name="low">Lower word.</param>
    /// <param name="high">Upper word.</param>
    /// <param name="shift">Bits, modulo 32.</param>
    [PtxInstruction("shf.r.wrap.b32 {r}, {0}, {1}, {2}")]
    public static uint FunnelShiftRight(uint low, uint high, int shift) => (uint)((low | (ulong)high << 32) >> (shift & 31));

    /// <summary><c>dp4a.s32.s32</c>: c plus the sum of the products of four signed bytes.</summary>
    /// <param name="a">Four bytes.</param>
    /// <param name="b">Four bytes.</param>
    /// <param name="c">Summand.</param>
    [PtxInstruction("dp4a.s32.s32 {r}, {0}, {1}, {2}")]
    public static int Dp4a(int a, int b, int c)
    {
        for (int i = 0; i < 32; i += 8) c += (sbyte)(a >> i) * (sbyte)(b >> i);
        return c;
    }

    /// <summary><c>dp4a.u32.u32</c>: c plus the sum of the products of four unsigned bytes.</summary>
    /// <param name="a">Four bytes.</param>
    /// <param name="b">Four bytes.</param>
    /// <param name="c">Summand.</param>
    [PtxInstruction("dp4a.u32.u32 {r}, {0}, {1}, {2}")]
    public static uint Dp4a(uint a, uint b, uint c)
    {
        for (int i = 0; i < 32; i += 8) c += (uint)((byte)(a >> i) * (byte)(b >> i));
        return c;
    }

    /// <summary><c>popc.b32</c>: how many bits are set.</summary>
    /// <param name="value">The word.</param>
    [PtxInstruction("popc.b32 {r}, {0}")]
    public static int Popc(uint value) => BitOperations.PopCount(value);

    /// <summary><c>popc.b64</c>: how many bits are set.</summary>
    /// <param name="value">The word.</param>
    [PtxInstruction("popc.b64 {r}, {0}")]
    public static int Popc(ulong value) => BitOperations.PopCount(value);

    /// <summary><c>clz.b32</c>: how many bits above the highest that is set; 32 for zero.</summary>
    /// <param name="value">The word.</param>
    [PtxInstruction("clz.b32 {r}, {0}")]
    public static int Clz(uint value) => BitOperations.LeadingZeroCount(value);

    /// <summary><c>clz.b64</c>: how many bits above the highest that is set; 64 for zero.</summary>
    /// <param name="value">The word.</param>
    [PtxInstruction("clz.b64 {r}, {0}")]
    public static int Clz(ulong value) => BitOperations.LeadingZeroCount(value);

    private static uint Ones(int length) => (length & 0xFF) > 31 ? uint.MaxValue : (1u << length) - 1;
}
