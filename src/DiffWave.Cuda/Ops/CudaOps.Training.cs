using DiffWave.Device;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

// What training adds to the network: its state, diffusion, the loss and the optimiser.
public sealed partial class CudaOps
{
    private DeviceTraining? training;
    private (ulong Address, int Count) losses; // float64, a sum an item of the optimiser step; as many as the largest step had
    private bool stepBegun;

    private DeviceTraining Training => training ?? throw new InvalidOperationException("nothing to train is loaded: call LoadTraining first");

    private ArrayView<double> Losses => new((nint)losses.Address, losses.Count);

    /// <inheritdoc/>
    /// <exception cref="UnsupportedPrecisionException">The precision cannot serve the model: see <see cref="RequireTraining"/>.</exception>
    public void LoadTraining(ModelConfig config, TrainingState state)
    {
        RequireTraining(config);
        if (training is null || !training.Fits(config, state.Average is not null))
        {
            if (current == training?.Weights) current = null;
            training?.Free();
            training = null; // not the old one, should the next line fail
            training = new DeviceTraining(config, state.Weights.Infos, state.Average is not null, pool, fused?.WeightBytes(config) ?? 0, backward?.WeightBytes(config) ?? 0);
        }
        current = training.Weights;
        staging.Upload<float>(state.Weights.Arena, (ulong)training.Weights.Values.All.Address);
        staging.Upload<float>(state.FirstMoment, (ulong)training.FirstMoment.Address);
        staging.Upload<float>(state.SecondMoment, (ulong)training.SecondMoment.Address);
        if (state.Average is { } average) staging.Upload<float>(average.Arena, (ulong)training.Average.Address);
        PackTraining();
        ZeroGradients();
    }

    /// <summary>Refuses a model that this device has no kernels to train in its precision.</summary>
    /// <exception cref="UnsupportedPrecisionException">It has none; the message says what to do.</exception>
    public void RequireTraining(ModelConfig config)
    {
        Refuse(Problem(config));
        if (tf32Gradients is not null) Refuse(SharedProblem(config, tf32Gradients.LeastSharedBytes));
        if (backward is not null) Refuse(SharedProblem(config, backward.LeastSharedBytes(config)));
    }

    private void PackTraining()
    {
        Pack(kernels.WeightLayout, Training.Weights.Packed, Training.Weights.Values.LayerStride);
        fused?.Pack(Training.Weights);
        Pack(kernels.WeightLayoutBackward, Training.Packed, Training.Weights.Values.LayerStride);
        backward?.Pack(Training);
    }

    /// <inheritdoc/>
    public void ReadTraining(TrainingState state)
    {
        bool hasAverage = Training.Average.IsValid;
        if (state.Average is not null != hasAverage) throw new ArgumentException($"the state keeps {(state.Average is null ? "no" : "an")} average, expected {(hasAverage ? "one" : "none")}");
        staging.Download((ulong)Training.Weights.Values.All.Address, state.Weights.Arena.AsSpan());
        staging.Download((ulong)Training.FirstMoment.Address, state.FirstMoment.AsSpan());
        staging.Download((ulong)Training.SecondMoment.Address, state.SecondMoment.AsSpan());
        if (state.Average is { } average) staging.Download((ulong)Training.Average.Address, average.Arena.AsSpan());
    }

    /// <inheritdoc/>
    public void ZeroGradients() => driver.FillAsync((ulong)Training.Gradients.All.Address, 0, Training.Gradients.All.Length, stream);

    /// <inheritdoc/>
    public void ReadGradients(Span<float> gradients) => staging.Download((ulong)Training.Gradients.All.Address, gradients[..(int)Training.Gradients.All.Length]);

    /// <inheritdoc/>
    public void BeginStep(AdamStep step, float lossFactor)
    {
        staging.Upload<AdamFactors>([new(step.Step, step.LearningRate, step.Beta1, step.Beta2, step.Epsilon, step.AverageDecay)], (ulong)Factors.Address);
        SetLimits(step.ClipNorm, step.LossScale, lossFactor);
        stepBegun = true;
    }

    private void SetLimits(double clipNorm, double lossScale, float lossFactor)
    {
        staging.Upload<UpdateLimits>([new(clipNorm, AdamStep.LargestNorm, lossScale)], (ulong)Limits.Address);
        staging.Upload<float>([(float)(lossScale * lossFactor)], (ulong)LossFactor.Address);
    }

    /// <inheritdoc/>
    public double GradientNorm()
    {
        using var range = Range(nameof(GradientNorm));
        GradientNorm(Norm, Scale);
        return Read(Norm);
    }

    private void GradientNorm(ArrayView<double> norm, ArrayView<float> scale)
    {
        ArrayView<float> gradients = Training.Gradients.All;
        int slices = Kernels.GradientNorm.Slices(gradients.Length);
        ArrayView<double> squares = scratch.Take<double>(ScratchUse.Squares, slices);
        Launch(kernels.GradientNorm.With().Add(gradients).Add(Losses).Add(Limits).Add(squares).Add(FinishedBlocks).Add(norm).Add(scale), slices, 1);
    }

    /// <inheritdoc/>
    public void UpdateWeights()
    {
        if (!stepBegun) throw new InvalidOperationException("there are no numbers to update by: call BeginStep first");
        using var range = Range(nameof(UpdateWeights));
        DeviceTraining state = Training;
        GradientNorm(NormOfUpdate, ScaleOfUpdate);
        ArrayView<float> weights = state.Weights.Values.All;
        Launch(kernels.Adam.With(On(state.Average.IsValid)).Add(weights).Add(state.Gradients.All).Add(state.FirstMoment).Add(state.SecondMoment).Add(state.Average).Add(ScaleOfUpdate).Add(Factors),
            Blocks(weights.Length, 1024), 1);
        PackTraining();
        current = state.Weights;
    }

    /// <inheritdoc/>
    public double UpdateNorm() => Read(NormOfUpdate);

    private double Read(ArrayView<double> number)
    {
        double value = 0;
        staging.Download((ulong)number.Address, new Span<double>(ref value));
        return value;
    }

    /// <inheritdoc/>
    public void Diffuse(IBuffer audio, IBuffer noise, IBuffer alphaBars, IBuffer noisy)
    {
        using var range = Range(nameof(Diffuse));
        Launch(kernels.Diffusion.With().Add(All(audio)).Add(All(noise)).Add(Values(alphaBars)).Add(All(noisy)).Add(audio.Rows), Blocks(audio.Rows), audio.Batch);
    }

    /// <inheritdoc/>
    public void Loss(LossKind kind, IBuffer eps, IBuffer noise, IBuffer validSamples, int firstItem, IBuffer dEps)
    {
        using var range = Range(nameof(Loss));
        int batch = eps.Batch, rows = eps.Rows, slices = Kernels.Loss.Slices(rows);
        KeepLosses(checked(firstItem + batch));
        if (firstItem == 0) driver.FillAsync(losses.Address, 0, 2L * losses.Count, stream);
        ArrayView<double> partial = scratch.Take<double>(ScratchUse.LossPartial, (long)batch * slices);
        Launch(kernels.Loss.With(On(kind == LossKind.Mse)).Add(All(eps)).Add(All(noise)).Add(Values(validSamples)).Add(All(dEps)).Add(partial).Add(rows).Add(LossFactor),
            slices, batch);
        Launch(kernels.LossSum.With().Add(partial).Add(Losses).Add(slices).Add(firstItem), Blocks(batch, 32), 1);
    }

    // Room for so many sums, new ones of zero; those that are there stay.
    private void KeepLosses(int count)
    {
        if (count <= losses.Count) return;
        ulong larger = pool.Allocate(count * (long)sizeof(double));
        driver.FillAsync(larger, 0, 2L * count, stream);
        if (losses.Count > 0)
        {
            driver.CopyOnDeviceAsync(larger, losses.Address, losses.Count * (long)sizeof(double), stream);
            pool.Free(losses.Address);
        }
        losses = (larger, count);
    }

    /// <inheritdoc/>
    public void ReadLosses(Span<double> sums)
    {
        if (sums.Length > losses.Count) throw new ArgumentException($"{sums.Length} sums of losses were asked for, there are {losses.Count}");
        staging.Download(losses.Address, sums);
    }
}
