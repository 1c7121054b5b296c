using DiffWave.Engine;

namespace DiffWave.Cli;

// What an optimiser step does besides forward and backward.
internal sealed partial class OpsCheck
{
    private void Training()
    {
        Try(nameof(IOps.Diffuse), () =>
        {
            TwinBuffer levels = _twins.Input(_batch, 1, 1, _twins.Values(_batch, 0, 1)), audio = Crops(Signal), noise = Crops(Signal), noisy = _twins.Output(_batch, _length, Signal);
            _twins.Both(side => side.Ops.Diffuse(side.Of(audio), side.Of(noise), side.Of(levels), side.Of(noisy)));
            Same(nameof(IOps.Diffuse), "noisy", _twins.Read(noisy, 0, _length));
        });
        Try(nameof(IOps.GradientNorm), GradientNorm);
        Try(nameof(IOps.UpdateWeights), UpdateWeights);
    }

    private void GradientNorm()
    {
        TwinBuffer audio = Crops(Signal), x = Crops(_config.Channels), gradient = Crops(_config.Channels);
        var gradients = Gradients(side => side.Ops.InputProjectionBackward(side.Of(audio), side.Of(x), side.Of(gradient), null));
        IOps device = _twins.Sides[1].Ops;
        device.BeginStep(new AdamStep(1, 0, 0.9, 0.999, 1e-8, ClipNorm: 0, AverageDecay: 0), 1); // gradients as they are
        double norm = device.GradientNorm(), expected = Norm(gradients.Device);
        _lines.Add(new DeviceCheckLine(nameof(IOps.GradientNorm), _shape, "norm", Math.Abs(norm - expected), expected * gradients.Device.Length / (1L << 52), "of its own gradients, summed in float64 in another order"));
    }

    private static double Norm(float[] values) => Math.Sqrt(values.Sum(value => (double)value * value));

    // The gradients come from one row, where no sum rounds differently: so the optimiser starts from equal bits on both devices, and must end there.
    private void UpdateWeights()
    {
        var states = _twins.Sides.Select(_ => new TrainingState(_config, Copy(_weights), keepAverage: true)).ToArray();
        float[] m = _twins.Values(_weights.Arena.Length), v = _twins.Values(_weights.Arena.Length, 0, 1), average = _twins.Values(_weights.Arena.Length);
        TwinBuffer audio = _twins.Input(1, 1, Signal), x = _twins.Input(1, 1, _config.Channels, _twins.Values(_config.Channels, 0, 1)), gradient = _twins.Input(1, 1, _config.Channels);
        var step = new AdamStep(_twins.Random.Next(1, 1000), 1e-3 * _twins.Random.NextDouble(), 0.9, 0.999, 1e-8, _twins.Random.Next(2) == 0 ? 0 : 0.5, 0.99 * _twins.Random.NextDouble(), 1 << _twins.Random.Next(3));
        double[] norms = new double[2];
        _twins.Both(side =>
        {
            TrainingState state = states[side.IsCpu ? 0 : 1];
            m.CopyTo(state.FirstMoment, 0);
            v.CopyTo(state.SecondMoment, 0);
            average.CopyTo(state.Average!.Arena, 0);
            side.Ops.LoadTraining(_config, state);
            side.Ops.ZeroGradients();
            side.Ops.InputProjectionBackward(side.Of(audio), side.Of(x), side.Of(gradient), null);
            side.Ops.BeginStep(step, 1);
            side.Ops.UpdateWeights();
            norms[side.IsCpu ? 0 : 1] = side.Ops.UpdateNorm();
            side.Ops.ReadTraining(state);
        });
        const string op = nameof(IOps.UpdateWeights);
        _lines.Add(new DeviceCheckLine(nameof(IOps.UpdateNorm), _shape, "norm", Math.Abs(norms[0] - norms[1]), norms[0] * m.Length / (1L << 52), "summed in float64 in another order"));
        Same(op, "weights", (states[0].Weights.Arena, states[1].Weights.Arena));
        Same(op, "first moment", (states[0].FirstMoment, states[1].FirstMoment));
        Same(op, "second moment", (states[0].SecondMoment, states[1].SecondMoment));
        Same(op, "average", (states[0].Average!.Arena, states[1].Average!.Arena));

        states[0].Weights.Arena.CopyTo(_weights.Arena, 0);
        TimeRange all = new(0, _length, _length);
        TwinBuffer signal = Crops(Signal), projected = _twins.Output(_batch, _length, _config.Channels);
        _twins.Both(side => side.Ops.InputProjection(all, side.Window(signal), side.Window(projected)));
        Compare(op, "x by the new weights", _twins.Read(projected, 0, _length), Linear("input_projection", signal.Exact), "two roundings");
    }
}
