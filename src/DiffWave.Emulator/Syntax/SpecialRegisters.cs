namespace DiffWave.Emulator.Syntax;

/// <summary>The registers the machine fills.</summary>
internal static class SpecialRegisters
{
    private static readonly Dictionary<string, int> All = Build();

    /// <summary>Bits of a special register, 0 when there is none of that name.</summary>
    public static int Bits(string name) => name[0] == '%' ? All.GetValueOrDefault(name) : 0;

    /// <summary>Whether an instruction of a type may read it: its own width, 16 bits of the positions in the grid, 32 of the grid's number.</summary>
    public static bool Fits(string name, int bits, PtxType type)
    {
        if (!type.IsInteger() && !type.IsUntyped()) return false;
        return type.Bits() == bits || (name == "%gridid" && type.Bits() == 32) || (name.Contains('.') && type.Bits() == 16);
    }

    private static Dictionary<string, int> Build()
    {
        var all = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (string name in (string[])["%tid", "%ntid", "%ctaid", "%nctaid"])
        {
            foreach (char axis in "xyz") all.Add($"{name}.{axis}", 32);
        }
        foreach (string name in (string[])["%laneid", "%warpid", "%nwarpid", "%smid", "%nsmid", "%lanemask_eq", "%lanemask_le", "%lanemask_lt", "%lanemask_ge", "%lanemask_gt", "%clock", "%clock_hi",
            "%globaltimer_lo", "%globaltimer_hi", "%total_smem_size", "%dynamic_smem_size"])
        {
            all.Add(name, 32);
        }
        foreach (string name in (string[])["%clock64", "%globaltimer", "%gridid"]) all.Add(name, 64);
        return all;
    }
}
