using DiffWave.Device;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

// What training adds to the network: its state, diffusion, the loss and the optimiser.
public sealed partial class CudaOps
{
    private DeviceTraining? training;
    private (ulong Address, int Capacity) losses; // float64, a sum an item of the optimiser step
    private int lossCount;

    private DeviceTraining Training => training ?? throw new InvalidOperationException("nothing to train is loaded: call LoadTraining first");

    private ArrayView<double> Losses => new((nint)losses.Address, lossCount);

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
        Require(config);
        if (backward is not null && !StoredBackwardChannels.Contains(config.Channels))
            throw new UnsupportedPrecisionException($"{Name(Precision)}: the model has {config.Channels} channels, there are kernels to train 32 and 64; train in tf32 or fp32");
        if (tf32Gradients is not null) RequireShared(config, tf32Gradients.LeastSharedBytes);
        if (backward is not null) RequireShared(config, backward.LeastSharedBytes(config));
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
    public double GradientNorm()
    {
        using var range = Range(nameof(GradientNorm));
        GradientNorm(Norm);
        return Read(Norm);
    }

    private void GradientNorm(ArrayView<double> norm)
    {
        ArrayView<float> gradients = Training.Gradients.All;
        int slices = Kernels.GradientNorm.Slices(gradients.Length);
        ArrayView<double> squares = scratch.Take<double>(ScratchUse.Squares, slices);
        Launch(kernels.GradientSquares.With().Add(gradients).Add(squares), slices, 1);
        Launch(kernels.GradientNorms.With().Add(squares).Add(norm), 1, 1);
    }

    /// <inheritdoc/>
    public void UpdateWeights(AdamStep step)
    {
        using var range = Range(nameof(UpdateWeights));
        DeviceTraining state = Training;
        GradientNorm(NormOfUpdate);
        Launch(kernels.GradientScale.With().Add(NormOfUpdate).Add(Losses).Add(ScaleOfUpdate).Add(step.ClipNorm).Add(AdamStep.LargestNorm), 1, 1);
        ArrayView<float> weights = state.Weights.Values.All;
        var factors = new AdamFactors(step.Step, step.LearningRate, step.Beta1, step.Beta2, step.Epsilon, step.AverageDecay);
        Launch(kernels.Adam.With(On(state.Average.IsValid)).Add(weights).Add(state.Gradients.All).Add(state.FirstMoment).Add(state.SecondMoment).Add(state.Average).Add(ScaleOfUpdate).Add(factors),
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
    public void Diffuse(IBuffer audio, IBuffer noise, ReadOnlySpan<float> alphaBars, IBuffer noisy)
    {
        using var range = Range(nameof(Diffuse));
        Launch(kernels.Diffusion.With().Add(All(audio)).Add(All(noise)).Add(Uploaded(ScratchUse.Levels, alphaBars)).Add(All(noisy)).Add(audio.Rows), Blocks(audio.Rows), audio.Batch);
    }

    /// <inheritdoc/>
    public void Loss(LossKind kind, IBuffer eps, IBuffer noise, ReadOnlySpan<int> validSamples, float scale, int firstItem, IBuffer dEps)
    {
        using var range = Range(nameof(Loss));
        int batch = eps.Batch, rows = eps.Rows, slices = Kernels.Loss.Slices(rows);
        KeepLosses(firstItem, batch);
        ArrayView<double> partial = scratch.Take<double>(ScratchUse.LossPartial, (long)batch * slices);
        Launch(kernels.Loss.With(On(kind == LossKind.Mse)).Add(All(eps)).Add(All(noise)).Add(Uploaded(ScratchUse.ValidSamples, validSamples)).Add(All(dEps)).Add(partial).Add(rows).Add(scale),
            slices, batch);
        Launch(kernels.LossSum.With().Add(partial).Add(Losses).Add(slices).Add(firstItem), Blocks(batch, 32), 1);
    }

    // Room for the sums of items firstItem .. firstItem + batch - 1 behind those that are there; a gap counts as zero.
    private void KeepLosses(int firstItem, int batch)
    {
        int kept = firstItem == 0 ? 0 : lossCount, count = Math.Max(kept, checked(firstItem + batch));
        if (count > losses.Capacity)
        {
            int capacity = Math.Max(count, 2 * losses.Capacity);
            ulong larger = pool.Allocate(capacity * (long)sizeof(double));
            if (kept > 0) driver.CopyOnDeviceAsync(larger, losses.Address, kept * (long)sizeof(double), stream);
            if (losses.Capacity > 0) pool.Free(losses.Address);
            losses = (larger, capacity);
        }
        if (firstItem > kept) driver.FillAsync(losses.Address + (ulong)kept * sizeof(double), 0, 2L * (firstItem - kept), stream);
        lossCount = count;
    }

    /// <inheritdoc/>
    public void ReadLosses(Span<double> sums)
    {
        if (sums.Length > lossCount) throw new ArgumentException($"{sums.Length} sums of losses were asked for, there are {lossCount}");
        staging.Download(losses.Address, sums);
    }
}
