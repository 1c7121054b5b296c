using System.Reflection;
using System.Runtime.InteropServices;
using DiffWave.Device;

namespace DiffWave.Kernels.Tests;

/// <summary>Kernels whose threads do not wait for each other run as ordinary C#, where a debugger can step through them, and indexes are checked.</summary>
public class OrdinaryCodeTests
{
    [Theory]
    [InlineData("gated_activation_v1")]
    [InlineData("gated_activation_v2")]
    [InlineData("gated_activation_v3")]
    [InlineData("gated_activation_backward_v1")]
    [InlineData("philox_normal_v1")]
    [InlineData("philox_normal_v2")]
    [InlineData("matrix_product_v1")]
    [InlineData("dilated_conv_v1")]
    [InlineData("residual_output_v1")]
    [InlineData("pointwise_conv_v1")]
    [InlineData("input_projection_v1")]
    [InlineData("input_projection_v2")]
    [InlineData("head_v1")]
    [InlineData("weight_layout_v1")]
    [InlineData("weight_layout_backward_v1")]
    [InlineData("block_weights_v1")]
    [InlineData("block_weights_v2")]
    [InlineData("block_weights_v2_bf16")]
    [InlineData("block_weights_v2_tf32")]
    [InlineData("diffusion_v1")]
    [InlineData("reverse_step_v1")]
    [InlineData("copy_rows_v1")]
    [InlineData("copy_rows_v2")]
    [InlineData("loss_sum_v1")]
    [InlineData("adam_v1")]
    [InlineData("adam_v2")]
    [InlineData("vector_linear_backward_weights_v1")]
    [InlineData("label_embedding_v1")]
    [InlineData("label_embedding_backward_v1")]
    [InlineData("mel_upsampler_v1")]
    [InlineData("mel_upsampler_backward_input_v1")]
    public void TheResultIsTheReferences(string name)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        foreach (KernelShape shape in version.Shapes)
        {
            KernelTrial trial = version.Trial(shape);
            foreach (KernelLaunch launch in trial.Launches) Run(version.Method, launch, version.Constants(shape));
            Assert.All(trial.Outputs, output => Assert.True(output.Check(output.Array).Ok, $"{shape}: {output.Check(output.Array)}"));
        }
    }

    private static void Run(MethodInfo kernel, KernelLaunch launch, IReadOnlyDictionary<string, object> constants)
    {
        var pins = new List<GCHandle>();
        try
        {
            object View(Array array)
            {
                pins.Add(GCHandle.Alloc(array, GCHandleType.Pinned));
                return Activator.CreateInstance(typeof(ArrayView<>).MakeGenericType(array.GetType().GetElementType()!), pins[^1].AddrOfPinnedObject(), (long)array.Length)!;
            }
            object OnHost(object argument) => argument switch
            {
                Array array => View(array),
                RowsOf<float> rows => new Rows<float>((ArrayView<float>)View(rows.Array), rows.ItemRows, rows.First, rows.Channels),
                PartOf part => ((ArrayView<float>)View(part.Array)).SubView(part.First),
                _ => argument,
            };
            var given = new Queue<object>(launch.Arguments);
            object?[] arguments = [.. kernel.GetParameters().Select(parameter => parameter.IsDefined(typeof(ConstAttribute)) ? constants[parameter.Name!] : OnHost(given.Dequeue()))];
            MethodInvoker invoker = MethodInvoker.Create(kernel);
            SequentialLaunch.Run(launch.Grid, launch.Group, () => invoker.Invoke(null, arguments.AsSpan()));
        }
        finally { pins.ForEach(pin => pin.Free()); }
    }
}
