using DiffWave.Device;
using DiffWave.Engine;
using DiffWave.Kernels;

namespace DiffWave.Cuda;

// The ends of a network whose activations take 16 bits: where they come from float32, and where they become float32 again.
public sealed partial class CudaOps
{
    private abstract class StoredEnds
    {
        public abstract Type Element { get; }

        public abstract void InputProjection(TimeRange range, Window audio, Window x);

        public abstract void UpsampleLast(DeviceTensors weights, UpsampleLaunch stage, Window upsampled, int first);

        public abstract void Head(TimeRange range, Window skips, Window eps);
    }

    private sealed class StoredEnds<T, P>(CudaOps ops) : StoredEnds where T : unmanaged where P : struct, IMatrixPair<T>
    {
        private readonly KernelVariants inputProjection = new(ops.runner, Kernels.InputProjection.ForwardV3<T, P>, "channels", "early");
        private readonly KernelVariants melUpsampler = new(ops.runner, MelUpsampler.ForwardV3<T, P>);
        private readonly KernelVariants head = new(ops.runner, Kernels.Head.ForwardV3<T, P>, "channels", "early");

        public override Type Element => typeof(T);

        public override void InputProjection(TimeRange range, Window audio, Window x)
        {
            DeviceTensors weights = ops.Weights.Values.Input;
            int channels = x.Buffer.Channels;
            foreach ((int first, int count) in ops.Pieces(range, channels))
                ops.runner.Launch(inputProjection.With(channels, On(ops.MayBeginEarly)).Add(At(audio, first)).Add(weights.Weight).Add(weights.Bias).Add(At<T>(x, first)).Add(count),
                    new Dim3(Blocks(count, Kernels.InputProjection.RowsV3(channels)), 1, x.Buffer.Batch), ops.stream, early: ops.MayBeginEarly);
        }

        public override void UpsampleLast(DeviceTensors weights, UpsampleLaunch stage, Window upsampled, int first)
        {
            (int x, int y, int z) = MelUpsampler.GridV2(upsampled.Buffer.Batch, stage.Outputs, upsampled.Buffer.Channels, stage.Factor, stage.Shift);
            ops.Launch(melUpsampler.With().Add(stage.From).Add(At<T>(upsampled, first)).Add(weights.Weight).Add(weights.Bias).Add(stage.Inputs).Add(stage.Outputs).Add(stage.Factor).Add(stage.Shift), x, y, z);
        }

        public override void Head(TimeRange range, Window skips, Window eps)
        {
            DeviceArena weights = ops.Weights.Values;
            int batch = skips.Buffer.Batch, channels = skips.Buffer.Channels;
            foreach ((int first, int count) in ops.Pieces(range, channels))
            {
                int sharedBytes = Kernels.Head.SharedBytesV3(channels);
                KernelArguments arguments = head.With(channels, On(ops.MayBeginEarly)).Add(At<T>(skips, first)).Add(weights.Skip.Weight).Add(weights.Skip.Bias).Add(weights.Head.Weight).Add(weights.Head.Bias)
                    .Add(At(eps, first)).Add(count).Add(batch).Add(ops.SkipScale);
                ops.runner.Launch(arguments, new Dim3(Math.Min(ops.AtOnce(arguments.Kernel, sharedBytes), Blocks((long)batch * count, Kernels.Head.RowsV3(channels)))), ops.stream, sharedBytes, ops.MayBeginEarly);
            }
        }
    }
}
