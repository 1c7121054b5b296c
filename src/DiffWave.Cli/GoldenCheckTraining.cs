using DiffWave.Cuda;
using DiffWave.Engine;

namespace DiffWave.Cli;

/// <summary>
/// Training on one batch with recorded noise and steps: <c>backward.safetensors</c>. The noise levels, the noisy audio, the first prediction; for each loss its value and the
/// gradient's norm at successive Adam steps, every gradient at the first of them, every weight after the third. A file may hold any part of this.
/// </summary>
internal sealed class GoldenCheckTraining
{
    private const int AdamSteps = 3, MostSteps = 100;

    private static readonly TrainingOptions Adam = new(); // the reference's optimiser has the defaults

    private readonly GoldenCheckFile _file;
    private readonly IOps _ops;
    private readonly Model _model;
    private readonly TrainingItem[] _items;
    private readonly float[][] _noise;
    private readonly int[] _steps;
    private readonly float[] _alphaBars;
    private readonly int _length;

    private GoldenCheckTraining(GoldenCheckFile file, IOps ops, Model model)
    {
        (_file, _ops, _model) = (file, ops, model);
        int[] shape = file.Shape("in.audio", 2);
        (int batch, _length) = (shape[0], shape[1]);
        float[][] audio = file.Items("in.audio", batch);
        _noise = file.Items("in.noise", batch);
        float[][]? mels = model.Config.HasMel ? Mels(batch) : null;
        _items = [.. audio.Select((samples, item) => new TrainingItem(samples, mels?[item], 0, _length, $"item {item}"))];
        var schedule = new NoiseSchedule(model.Config.TrainingBetas);
        float[] steps = file.Numbers("in.step");
        if (steps.Length != batch || steps.Any(step => !(step >= 0 && step < schedule.Betas.Count) || step != MathF.Floor(step)))
            throw new ModelFormatException(file.Path, $"tensor 'in.step' is [{string.Join(", ", steps.Take(8))}], expected {batch} whole steps of 0 to {schedule.Betas.Count - 1}");
        _steps = [.. steps.Select(step => (int)step)];
        _alphaBars = [.. _steps.Select(step => (float)schedule.AlphaBars[step])];
    }

    /// <summary>True for a file this class checks.</summary>
    public static bool Has(GoldenCheckFile file) => file.Has("in.audio") && file.Has("in.noise") && file.Has("in.step");

    public static void Run(GoldenCheckFile file, GoldenCheckModels models, IOps ops)
    {
        bool conditional = file.Has("in.spectrogram");
        string? first = file.Names.FirstOrDefault(name => name.EndsWith(".input_projection.weight", StringComparison.Ordinal));
        int? channels = first is null ? null : file.Shape(first, 3)[0];
        if (models.Find(conditional ? "cond" : "uncond", conditional, channels) is not { } model)
        {
            file.Note(GoldenCheckModels.Missing("losses, gradients", conditional, channels));
            return;
        }
        if (file.Precision != Precision.Fp32)
        {
            file.Note("losses, gradients: compared in fp32 only");
            return;
        }
        file.Compare("noise_level", [.. new NoiseSchedule(model.Config.TrainingBetas).AlphaBars.Select(level => (float)level)], GoldenCheckBounds.OneUlp);
        new GoldenCheckTraining(file, ops, model).Run();
    }

    private void Run()
    {
        Start();
        using var pass = new TrainingPass(_ops, _model.Config, _items.Length, _length);
        Sum(pass, LossKind.L1, 0, _items.Length, backward: false);
        float[][] noisy = Diffuse(), predicted = [.. _items.Select((_, item) => { float[] eps = new float[_length]; pass.ReadPrediction(item, eps); return eps; })];
        _file.Compare("noisy_audio", [.. noisy.SelectMany(item => item)], GoldenCheckBounds.NoisyAudio);
        _file.Compare("predicted", [.. predicted.SelectMany(item => item)], GoldenCheckBounds.Output);
        foreach (LossKind kind in Enum.GetValues<LossKind>()) Losses(pass, kind);
    }

    private void Losses(TrainingPass pass, LossKind kind)
    {
        string prefix = kind.ToString().ToLowerInvariant(), gradients = $"{prefix}.grad.", updates = $"{prefix}.adam{AdamSteps}.";
        string[] loss = Stored(["loss", "loss_f64"]), norm = Stored(["grad_norm", "grad_norm_f64"]), graded = ParametersOf(gradients), updated = ParametersOf(updates);
        if (loss.Length + norm.Length + graded.Length + updated.Length == 0) return;
        string[] Stored(string[] names) => [.. names.Select(name => $"{prefix}.{name}").Where(_file.Has)];
        int steps = Math.Max(updated.Length > 0 ? AdamSteps : 1, loss.Concat(norm).Select(name => _file.Shape(name, 1)[0]).DefaultIfEmpty(1).Max());
        if (steps > MostSteps) throw new ModelFormatException(_file.Path, $"has losses of {steps} steps, expected at most {MostSteps}");

        TrainingState state = Start();
        double[] losses = new double[steps], norms = new double[steps];
        float[] gradient = [];
        Parameters? after = null;
        for (int step = 1; step <= steps; step++)
        {
            losses[step - 1] = Sum(pass, kind, step) / ((double)_items.Length * _length);
            if (step == 1) gradient = Gradient();
            _ops.UpdateWeights();
            norms[step - 1] = _ops.UpdateNorm();
            if (step != AdamSteps || updated.Length == 0) continue;
            _ops.ReadTraining(state);
            after = state.Weights;
        }
        foreach (string name in loss) Ratios(name, losses, GoldenCheckBounds.LossRelative);
        foreach (string name in norm) Ratios(name, norms, GoldenCheckBounds.GradientNormRelative);
        foreach (string name in graded) GradientOf(gradients + name, Part(gradient, name));
        foreach (string name in updated) Updated(updates, gradients, name, Part(gradient, name), Part(after!.Arena, name));
        Same(prefix, "gate inputs computed again", gradient, () =>
        {
            using var again = new TrainingPass(_ops, _model.Config, _items.Length, _length, recompute: true);
            Sum(again, kind, step: 1);
        });
        if (_items.Length > 1) Same(prefix, "one item at a time", gradient, () =>
        {
            using var single = new TrainingPass(_ops, _model.Config, 1, _length);
            Begin(step: 1);
            for (int item = 0; item < _items.Length; item++) Sum(single, kind, item, 1, backward: true);
        });
    }

    // Largest difference and distance (L2) of one gradient, each as a fraction of the reference's.
    private void GradientOf(string name, float[] actual)
    {
        var sample = _file.Sample(name)!;
        double[] values = sample.Of(actual);
        _file.Compare(name, actual, GoldenCheckBounds.GradientRelative, relative: true);
        if (values.Length != sample.Values.Length) return; // told by the line before
        double distance = Math.Sqrt(sample.Values.Zip(values, (a, b) => (a - b) * (a - b)).Sum()), length = Math.Sqrt(sample.Values.Sum(value => value * value));
        _file.Add($"{sample.Name}, relative L2", sample.ShapeText, [0], [distance == 0 ? 0 : distance / length], GoldenCheckBounds.GradientL2);
    }

    // Adam's first updates are about the learning rate times the gradient's sign, so a weight whose gradient is rounding noise may go either way; one no gradient reaches stays.
    private void Updated(string updates, string gradients, string name, float[] gradient, float[] weights)
    {
        var sample = _file.Sample(updates + name)!;
        var reference = _file.Sample(gradients + name);
        if (reference is not null && (reference.Stride, reference.Values.Length) != (sample.Stride, sample.Values.Length))
            throw new ModelFormatException(_file.Path, $"tensors '{reference.Name}' {reference.ShapeText} and '{sample.Name}' {sample.ShapeText} hold different parts of '{name}'");
        double[] slopes = reference?.Values ?? sample.Of(gradient), actual = sample.Of(weights);
        if (sample.Values.Length != actual.Length || slopes.Length != actual.Length)
        {
            _file.Add(sample.Name, sample.ShapeText, sample.Values, actual, GoldenCheckBounds.Updated); // reports the shape
            return;
        }
        HashSet<long> unreached = Unreached(gradients, name[..name.LastIndexOf('.')]);
        void Line(string which, Func<int, bool> belongs, double bound)
        {
            int[] places = [.. Enumerable.Range(0, actual.Length).Where(belongs)];
            if (places.Length > 0) _file.Add(sample.Name + which, $"{places.Length} of {sample.ShapeText}", [.. places.Select(i => sample.Values[i])], [.. places.Select(i => actual[i])], bound);
        }
        bool Reached(int i) => !unreached.Contains(Unit(name, sample, i));
        Line("", i => Reached(i) && Math.Abs(slopes[i]) >= GoldenCheckBounds.SmallGradient, GoldenCheckBounds.Updated);
        Line(", small gradient", i => Reached(i) && Math.Abs(slopes[i]) < GoldenCheckBounds.SmallGradient, GoldenCheckBounds.UpdatedSmall);
        Line(", no gradient", i => !Reached(i), GoldenCheckBounds.Exact);
    }

    // Output units of a module whose weights and bias all have a gradient of exactly zero in the reference, such as a last layer's residual half.
    private HashSet<long> Unreached(string gradients, string module)
    {
        HashSet<long> zero = [], other = [];
        foreach (string name in new[] { $"{module}.weight", $"{module}.bias" })
        {
            if (_file.Sample(gradients + name) is not { } sample) return [];
            for (int i = 0; i < sample.Values.Length; i++) (sample.Values[i] == 0 ? zero : other).Add(Unit(name, sample, i));
        }
        return [.. zero.Except(other)];
    }

    // Index along the first axis of a sample's i-th value.
    private long Unit(string name, GoldenCheckSample sample, int i)
    {
        ParameterInfo info = _model.Parameters.Info(name);
        return (long)i * sample.Stride / (info.Count / info.Shape[0]);
    }

    // The same gradient, computed another way that must not change a bit.
    private void Same(string prefix, string how, float[] expected, Action compute)
    {
        Start();
        compute();
        _file.Add($"{prefix}.grad, {how}", $"[{expected.Length}]", Doubles(expected), Doubles(Gradient()), GoldenCheckBounds.Exact);
    }

    private void Ratios(string name, double[] actual, double bound)
    {
        double[] expected = _file.Doubles(name);
        _file.Add(name, $"[{expected.Length}], relative", [.. expected.Select(_ => 1.0)], [.. expected.Zip(actual, (a, b) => b / a)], bound);
    }

    private void Begin(int step)
    {
        _ops.BeginStep(new AdamStep(step, Adam.LearningRate, Adam.Beta1, Adam.Beta2, Adam.Epsilon, ClipNorm: 0, AverageDecay: 0), (float)(1.0 / ((double)_items.Length * _length)));
        _ops.ZeroGradients();
    }

    // Loss and gradients of all items, for an optimiser step.
    private double Sum(TrainingPass pass, LossKind kind, int step)
    {
        Begin(step);
        return Sum(pass, kind, 0, _items.Length, backward: true);
    }

    private double Sum(TrainingPass pass, LossKind kind, int first, int count, bool backward)
    {
        double[] sums = new double[count];
        pass.Run(kind, _items[first..(first + count)], _noise[first..(first + count)], _steps.AsSpan(first, count), _alphaBars.AsSpan(first, count), sums, backward);
        return sums.Sum();
    }

    private float[][] Diffuse()
    {
        int batch = _items.Length;
        using IBuffer audio = _ops.AllocateSignal(batch, _length), noise = _ops.AllocateSignal(batch, _length), noisy = _ops.AllocateSignal(batch, _length), alphaBars = _ops.Allocate(batch, 1, 1);
        for (int item = 0; item < batch; item++)
        {
            _ops.Upload(_items[item].Audio, audio, item, 0);
            _ops.Upload(_noise[item], noise, item, 0);
            _ops.Upload([_alphaBars[item]], alphaBars, item, 0);
        }
        _ops.Diffuse(audio, noise, alphaBars, noisy);
        float[][] result = [.. _items.Select(_ => new float[_length])];
        for (int item = 0; item < batch; item++) _ops.Download(noisy, item, 0, result[item]);
        return result;
    }

    // The file has [B, M, frames], training takes [frames, M].
    private float[][] Mels(int batch)
    {
        int bands = _model.Config.Bands, frames = _length / _model.Config.Hop;
        int[] shape = _file.Shape("in.spectrogram", 3);
        if (!shape.AsSpan().SequenceEqual([batch, bands, frames]))
            throw new ModelFormatException(_file.Path, $"tensor 'in.spectrogram' has shape [{string.Join(", ", shape)}], expected [{batch}, {bands}, {frames}] for {_length} samples an item");
        return [.. _file.Items("in.spectrogram", batch).Select(mel => Enumerable.Range(0, frames * bands).Select(i => mel[i % bands * frames + i / bands]).ToArray())];
    }

    // A fresh optimiser at the file's weights.
    private TrainingState Start()
    {
        var weights = new Parameters(_model.Config);
        _model.Parameters.Arena.CopyTo(weights.Arena, 0);
        var state = new TrainingState(_model.Config, weights, keepAverage: false);
        _ops.LoadTraining(_model.Config, state);
        return state;
    }

    private float[] Gradient()
    {
        float[] gradient = new float[_model.Parameters.Arena.Length];
        _ops.ReadGradients(gradient);
        return gradient;
    }

    private string[] ParametersOf(string prefix)
    {
        string[] names = [.. _file.Names.Where(name => name.StartsWith(prefix, StringComparison.Ordinal)).Select(name => name[prefix.Length..].Split('#')[0])];
        if (names.FirstOrDefault(name => !_model.Parameters.Contains(name)) is { } stranger) throw new ModelFormatException(_file.Path, $"tensor '{prefix}{stranger}' is of no parameter the model has");
        return names;
    }

    private float[] Part(float[] arena, string name)
    {
        ParameterInfo info = _model.Parameters.Info(name);
        return arena[info.Offset..(info.Offset + info.Count)];
    }

    private static double[] Doubles(float[] values) => Array.ConvertAll(values, value => (double)value);
}
