namespace DiffWave.Kernels.Tests;

/// <summary>The k-loop of the tensor-core product holds what a person would write there, and nothing else.</summary>
public class MatrixProductLoopTests
{
    private static readonly string[] AddressArithmetic = ["add", "sub", "mul", "mad", "shl", "xor", "setp", "selp", "cvt", "bra", "mov"];

    [Theory]
    [InlineData("matrix_product_v3", 32, 12, 4)]
    [InlineData("matrix_product_v3_bf16", 32, 12, 4)]
    [InlineData("matrix_product_v3_64x64", 16, 12, 4)]
    public void OnlyTensorWorkCopiesAndAddresses(string name, int products, int loads, int copies)
    {
        List<string> loop = Ptx.Loop(Ptx.Of(name), "mma.sync");
        int Count(string start) => loop.Count(line => line.StartsWith(start, StringComparison.Ordinal));
        Assert.Equal((products, loads, copies), (Count("mma.sync"), Count("ldmatrix.sync"), Count("cp.async.cg")));
        Assert.Equal((1, 1, 1), (Count("cp.async.commit_group"), Count("cp.async.wait_group"), Count("bar.sync")));
        string[] tensor = ["mma", "ldmatrix", "cp", "bar"];
        Assert.Empty(loop.Select(line => line.Split('.', ' ')[0]).Except([.. tensor, .. AddressArithmetic]).Distinct());
        Assert.DoesNotContain(loop, line => line.Contains(".local", StringComparison.Ordinal) || line.Contains(".f32 ", StringComparison.Ordinal) && !line.StartsWith("mma", StringComparison.Ordinal));
        Assert.InRange(Count("mov"), 0, 3); // what the loop carries: the tile to read and the one to write
        Assert.Equal(2, Count("bra")); // out at the top, back at the bottom
    }

    /// <summary>Two products' depth a round: 4 x 6 of 16 x 8 and one for the sums of d; what the step's sums ask of a row are comparisons and choices.</summary>
    [Theory]
    [InlineData("weight_gradient_v3", 14, 0)]
    [InlineData("weight_gradient_v3_bf16", 14, 0)]
    [InlineData("weight_gradient_v3_tf32", 0, 56)]
    public void AGradientOfWeightsIsTensorWorkToo(string name, int matrices, int floats)
    {
        List<string> loop = Ptx.Loop(Ptx.Of(name), "mma.sync");
        int Count(string start) => loop.Count(line => line.StartsWith(start, StringComparison.Ordinal));
        Assert.Equal((50, matrices, floats, floats, 5), (Count("mma.sync"), Count("ldmatrix.sync"), Count("ld.shared.f32"), Count("cvt.rna.tf32"), Count("cp.async.cg")));
        Assert.Equal((1, 1, 1), (Count("cp.async.commit_group"), Count("cp.async.wait_group"), Count("bar.sync")));
        Assert.Empty(loop.Select(line => line.Split('.', ' ')[0]).Except(["mma", "ldmatrix", "ld", "cp", "bar", .. AddressArithmetic]).Distinct());
        Assert.DoesNotContain(loop, line => line.Contains(".local", StringComparison.Ordinal));
        Assert.InRange(loop.Count, 1, 250);
    }

    [Theory]
    [InlineData("matrix_product_v2")]
    [InlineData("dilated_conv_v2")]
    [InlineData("residual_output_v2")]
    [InlineData("pointwise_conv_v2")]
    [InlineData("dilated_conv_backward_v2")]
    [InlineData("residual_output_backward_v2")]
    [InlineData("pointwise_conv_backward_v2")]
    [InlineData("weight_gradient_v2")]
    public void AFloat32ProductKeepsItsSumsInRegisters(string name)
    {
        List<string> loop = Ptx.Loop(Ptx.Of(name), "fma");
        int Count(string start) => loop.Count(line => line.StartsWith(start, StringComparison.Ordinal));
        Assert.Equal((8 * 8 * 8, 8 * 4), (Count("fma.rn.f32"), Count("ld.shared.v4")));
        Assert.DoesNotContain(loop, line => line.Contains(".local", StringComparison.Ordinal));
    }
}
