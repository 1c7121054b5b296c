namespace DiffWave.Engine;

/// <summary>
/// The factor that gradients are computed with so that small ones do not vanish in fp16 (Micikevicius et al., 2018, "Mixed Precision Training"): large, halved by a step whose gradients overflow, doubled
/// after many that did not. It does not change what is learnt but for rounding. Precisions with the range of float32 have the factor 1.
/// </summary>
/// <param name="Factor">A power of two, 1 to <see cref="Largest"/>.</param>
/// <param name="Steps">Optimiser steps since it last changed, below <see cref="StepsToDouble"/>.</param>
public readonly record struct LossScale(double Factor, int Steps)
{
    /// <summary>Largest factor: further up sums of gradients would come near the end of float32.</summary>
    public const double Largest = 1 << 24;

    /// <summary>Steps without overflow after which the factor doubles.</summary>
    public const int StepsToDouble = 2000;

    /// <summary>Where a run begins.</summary>
    public static LossScale First(Precision precision) => new(IsDynamic(precision) ? 65536 : 1, 0);

    /// <summary>After an overflow; null when no smaller factor is left to try.</summary>
    public LossScale? Halved => Factor > 1 ? new LossScale(Factor / 2, 0) : null;

    /// <summary>After a step without overflow.</summary>
    public LossScale Next(Precision precision) =>
        !IsDynamic(precision) ? this : Steps + 1 < StepsToDouble ? this with { Steps = Steps + 1 } : new LossScale(Math.Min(2 * Factor, Largest), 0);

    /// <summary>The first problem of a stored scale, or null.</summary>
    public string? Problem(Precision precision)
    {
        if (!(Factor >= 1 && Factor <= Largest && double.IsPow2(Factor))) return FormattableString.Invariant($"loss_scale is {Factor}, expected a power of two from 1 to {Largest}");
        if (!IsDynamic(precision) && Factor != 1) return FormattableString.Invariant($"loss_scale is {Factor}, expected 1 for any precision but fp16");
        if (Steps is < 0 or >= StepsToDouble) return $"loss_scale_steps is {Steps}, expected 0 to {StepsToDouble - 1}";
        return null;
    }

    private static bool IsDynamic(Precision precision) => precision == Precision.Fp16;
}
