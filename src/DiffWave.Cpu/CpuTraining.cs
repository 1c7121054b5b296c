using System.Runtime.Intrinsics;
using DiffWave.Engine;

namespace DiffWave.Cpu;

// The training half of the CPU backend: the optimiser, the loss, and backward of the operations around the residual blocks.
internal sealed unsafe partial class CpuOps<S, V>
{
    private const int SliceValues = 1 << 14; // values of an arena or signal a piece of work takes
    private TrainingMemory? _training;
    private double[] _losses = []; // a sum an item of the optimiser step
    private AdamStep? _step;
    private float _lossFactor = 1; // times the loss's scale
    private double _updateNorm = double.NaN;

    private TrainingMemory Training => _training ?? throw new InvalidOperationException("nothing to train is loaded: call LoadTraining first");

    public void LoadTraining(ModelConfig config, TrainingState state)
    {
        _training?.Dispose();
        _training = new TrainingMemory(config, state, _team.Threads);
        Repack();
    }

    // The forms of the weights that the kernels read, made again.
    private void Repack()
    {
        Load(Training.Config, Training.Weights);
        Training.Repack(_team, S.Width);
    }

    public void ReadTraining(TrainingState state)
    {
        var training = Training;
        if ((state.Average is null) != (training.Average is null)) throw new ArgumentException($"the state keeps {(state.Average is null ? "no" : "an")} average, expected {(training.Average is null ? "none" : "one")}");
        training.Weights.Arena.CopyTo(state.Weights.Arena, 0);
        training.FirstMoment.CopyTo(state.FirstMoment, 0);
        training.SecondMoment.CopyTo(state.SecondMoment, 0);
        training.Average?.CopyTo(state.Average!.Arena, 0);
    }

    public void ZeroGradients() => Array.Clear(Training.Gradients);

    public void ReadGradients(Span<float> gradients) => Training.Gradients.CopyTo(gradients);

    public double GradientNorm()
    {
        float[] gradients = Training.Gradients;
        double[] sums = new double[(gradients.Length + SliceValues - 1) / SliceValues];
        _team.Run(sums.Length, (piece, _) => sums[piece] = SumOfSquares(gradients.AsSpan(piece * SliceValues, Math.Min(SliceValues, gradients.Length - piece * SliceValues))));
        double sum = 0;
        foreach (double slice in sums) sum += slice;
        return Math.Sqrt(sum) / (_step?.LossScale ?? 1);
    }

    // Eight chains, whatever the machine's vectors.
    private static double SumOfSquares(ReadOnlySpan<float> values)
    {
        var chains = Vector512<double>.Zero;
        int i = 0;
        for (; i + 8 <= values.Length; i += 8)
        {
            var (low, high) = Vector256.Widen(Vector256.Create(values.Slice(i, 8)));
            var wide = Vector512.Create(low, high);
            chains += wide * wide;
        }
        double sum = 0;
        for (int chain = 0; chain < 8; chain++) sum += chains[chain];
        for (; i < values.Length; i++) sum += (double)values[i] * values[i];
        return sum;
    }

    public void BeginStep(AdamStep step, float lossFactor) => (_step, _lossFactor) = (step, (float)(step.LossScale * lossFactor));

    public void UpdateWeights()
    {
        var (training, step) = (Training, _step ?? throw new InvalidOperationException("there are no numbers to update by: call BeginStep first"));
        _updateNorm = GradientNorm();
        if (!_losses.All(double.IsFinite) || !(_updateNorm * step.GradientScale(_updateNorm) <= AdamStep.LargestNorm)) return;
        var adam = new Adam<S, V>(step, _updateNorm);
        int count = training.Gradients.Length;
        _team.Run((count + SliceValues - 1) / SliceValues, (piece, _) =>
        {
            int first = piece * SliceValues;
            fixed (float* weights = training.Weights.Arena, gradients = training.Gradients, m = training.FirstMoment, v = training.SecondMoment, average = training.Average)
                adam.Update(weights + first, gradients + first, m + first, v + first, average == null ? null : average + first, Math.Min(SliceValues, count - first));
        });
        Repack();
    }

    public double UpdateNorm() => _updateNorm;

    public void Diffuse(IBuffer audio, IBuffer noise, IBuffer alphaBars, IBuffer noisy)
    {
        for (int item = 0; item < audio.Batch; item++)
        {
            float level = *((CpuBuffer)alphaBars).Row(item, 0), signal = MathF.Sqrt(level), rest = MathF.Sqrt(1f - level);
            float* from = Samples(audio, item, out nint fromStride), added = Samples(noise, item, out nint addedStride), to = Samples(noisy, item, out nint toStride);
            for (nint t = 0; t < audio.Rows; t++) to[t * toStride] = signal * from[t * fromStride] + rest * added[t * addedStride]; // no FMA: PyTorch's roundings
        }
    }

    public void Loss(LossKind kind, IBuffer eps, IBuffer noise, IBuffer validSamples, int firstItem, IBuffer dEps)
    {
        float factor = _lossFactor;
        if (firstItem == 0) _losses = new double[eps.Batch];
        else if (firstItem + eps.Batch > _losses.Length) Array.Resize(ref _losses, firstItem + eps.Batch);
        for (int item = 0; item < eps.Batch; item++)
        {
            float* predicted = Samples(eps, item, out nint predictedStride), truth = Samples(noise, item, out nint truthStride), gradient = Samples(dEps, item, out nint stride);
            int valid = (int)*((CpuBuffer)validSamples).Row(item, 0);
            double sum = 0;
            for (nint t = 0; t < valid; t++)
            {
                double difference = (double)predicted[t * predictedStride] - truth[t * truthStride];
                sum += kind == LossKind.L1 ? Math.Abs(difference) : difference * difference;
                gradient[t * stride] = kind == LossKind.Mse ? (float)(2.0 * factor * difference) : difference > 0 ? factor : difference < 0 ? -factor : (float)difference; // 0, or NaN
            }
            for (nint t = valid; t < eps.Rows; t++) gradient[t * stride] = 0;
            _losses[firstItem + item] = sum;
        }
    }

    public void ReadLosses(Span<double> sums) => _losses.AsSpan(0, sums.Length).CopyTo(sums);

    public void HeadBackward(IBuffer skips, IBuffer dEps, IBuffer dSkips)
    {
        var (from, gradient, to) = ((CpuBuffer)skips, (CpuBuffer)dEps, (CpuBuffer)dSkips);
        var (weights, training) = (Weights, Training);
        SumGradients(from.Batch, from.Rows, SliceSums<S, V>.SliceRows, ["skip_projection.weight", "skip_projection.bias", "output_projection.weight", "output_projection.bias"], (item, first, end, partial, thread) =>
            HeadBackward<S, V>.Slice(weights, training, from.Row(item, first), from.Stride, gradient.Row(item, first), gradient.Stride, to.Row(item, first), to.Stride, end - first,
                partial, training.Scratch(thread, HeadBackward<S, V>.ScratchFloats(from.Channels))));
    }

    public void UpsampleMelBackward(int layer, IBuffer mel, IBuffer upsampled, IBuffer dUpsampled)
    {
        var training = Training;
        var stages = Weights.Layers[layer].Upsampler;
        var planes = new CpuBuffer[stages.Length + 1]; // what each stage reads, and the result
        (planes[0], planes[^1]) = ((CpuBuffer)mel, (CpuBuffer)upsampled);
        for (int s = 0; s < stages.Length - 1; s++)
        {
            int rows = planes[s].Rows * stages[s].Factor;
            planes[s + 1] = new CpuBuffer(_memory, mel.Batch, rows, mel.Channels);
            Upsample([stages[s]], new TimeRange(0, rows, rows), new Window(planes[s], 0), 0, planes[s].Rows, new Window(planes[s + 1], 0));
        }
        var gradient = (CpuBuffer)dUpsampled;
        for (int s = stages.Length - 1; s >= 0; s--)
        {
            var (stage, input, output, dOutput) = (stages[s], planes[s], planes[s + 1], gradient);
            var dInput = s == 0 ? null : new CpuBuffer(_memory, input.Batch, input.Rows, input.Channels);
            string name = Parameters.UpsamplerName(training.Config, layer, s);
            int sliceRows = MelUpsamplerBackward<S, V>.SliceRows(stage);
            SumGradients(input.Batch, input.Rows, sliceRows, [$"{name}.weight", $"{name}.bias"], (item, first, end, partial, thread) =>
                MelUpsamplerBackward<S, V>.Slice(stage, input, output, dOutput, dInput, item, first, end, partial, training.Scratch(thread, MelUpsamplerBackward<S, V>.ScratchFloats(stage, input.Channels))));
            if (s < stages.Length - 1)
            {
                output.Dispose();
                dOutput.Dispose();
            }
            gradient = dInput!; // null only after the first stage
        }
    }

    public void InputProjectionBackward(IBuffer audio, IBuffer x, IBuffer dX, IBuffer? dAudio)
    {
        var (from, result, gradient, to) = ((CpuBuffer)audio, (CpuBuffer)x, (CpuBuffer)dX, (CpuBuffer?)dAudio);
        var (weights, training) = (Weights, Training);
        int channels = result.Channels, padded = CpuBuffer.RoundUp(channels);
        SumGradients(from.Batch, from.Rows, SliceSums<S, V>.SliceRows, ["input_projection.weight", "input_projection.bias"], (item, first, end, partial, thread) =>
        {
            float* dWeight = training.Scratch(thread, 3 * padded), dBias = dWeight + padded, dPre = dBias + padded;
            new Span<float>(dWeight, 2 * padded).Clear();
            for (int row = first; row < end; row++)
            {
                V sample = S.Broadcast(*from.Row(item, row));
                float* output = result.Row(item, row), dOutput = gradient.Row(item, row);
                for (int c = 0; c < channels; c += S.Width)
                {
                    V d = S.WherePositive(S.Load(output + c), S.Load(dOutput + c), S.Zero);
                    S.Store(dWeight + c, S.Fma(d, sample, S.Load(dWeight + c)));
                    S.Store(dBias + c, S.Add(d, S.Load(dBias + c)));
                    S.Store(dPre + c, d);
                }
                if (to is null) continue;
                float sum = 0;
                for (int c = 0; c < channels; c++) sum = MathF.FusedMultiplyAdd(weights.InputWeight[c], dPre[c], sum);
                *to.Row(item, row) = sum;
            }
            new Span<float>(dWeight, channels).CopyTo(new Span<float>(partial, channels));
            new Span<float>(dBias, channels).CopyTo(new Span<float>(partial + channels, channels));
        });
    }

    private delegate void SliceBody(int item, int first, int end, float* partial, int thread);

    // Gradients of the named tensors, which sum over rows, in two stages: body(item, first, end, partial, thread) writes the sum over each fixed slice of rows, the tensors one
    // after another; then the slices are added to the gradients in order, item after item. So results depend neither on threads nor on how a batch is cut into calls.
    private void SumGradients(int batch, int rows, int sliceRows, string[] names, SliceBody body)
    {
        var training = Training;
        var tensors = Array.ConvertAll(names, training.Weights.Info);
        int slices = (rows + sliceRows - 1) / sliceRows, floats = tensors.Sum(tensor => tensor.Count);
        float* partials = training.Partials.AtLeast((long)batch * slices * floats);
        _team.Run(batch * slices, (piece, thread) =>
        {
            int first = piece % slices * sliceRows;
            body(piece / slices, first, Math.Min(rows, first + sliceRows), partials + (long)piece * floats, thread);
        });
        int from = 0;
        foreach (var tensor in tensors)
        {
            float* sums = partials + from;
            from += tensor.Count;
            _team.Run((tensor.Count + SliceValues - 1) / SliceValues, (piece, _) =>
            {
                int first = piece * SliceValues, count = Math.Min(SliceValues, tensor.Count - first);
                fixed (float* gradients = training.Gradients)
                    for (int slice = 0; slice < batch * slices; slice++) AddTo(gradients + tensor.Offset + first, sums + (long)slice * floats + first, count);
            });
        }
    }

    private static void AddTo(float* sums, float* values, int count)
    {
        int i = 0;
        for (; i + S.Width <= count; i += S.Width) S.Store(sums + i, S.Add(S.Load(sums + i), S.Load(values + i)));
        for (; i < count; i++) sums[i] += values[i];
    }

    private static float* Samples(IBuffer buffer, int item, out nint stride)
    {
        stride = ((CpuBuffer)buffer).Stride;
        return ((CpuBuffer)buffer).Row(item, 0);
    }
}
