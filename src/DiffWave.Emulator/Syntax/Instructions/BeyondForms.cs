namespace DiffWave.Emulator.Syntax.Instructions;

/// <summary>What PTX has and the emulator has not: named so that a valid text is told from a wrong one.</summary>
internal static class BeyondForms
{
    /// <summary>Beginnings of opcodes with their modifiers.</summary>
    public static readonly string[] Prefixes =
    [
        "alloca", "applypriority", "atom.global.v2", "atom.global.v4", "atom.global.v8", "barrier.cluster", "bar.cta", "barrier.cta", "brx", "call", "clusterlaunchcontrol", "cp.async.bulk",
        "cp.async.mbarrier", "cp.reduce", "createpolicy", "cvt.pack", "cvt.rn.satfinite", "discard", "elect", "fence.mbarrier_init", "fence.proxy", "getctarank", "istypep", "ld.shared::cluster",
        "lop3.and", "lop3.or", "mapa", "mbarrier", "mma", "mov.v2", "mov.v4", "movmatrix", "multimem", "pmevent", "red.async", "setmaxnreg", "st.async", "stackrestore", "stacksave", "suld", "suq", "sured", "sust", "tcgen05",
        "tensormap", "tex", "tld4", "txq", "vabsdiff", "vadd", "vmad", "vmax", "vmin", "vset", "vshl", "vshr", "vsub", "wgmma", "wmma",
    ];
}
