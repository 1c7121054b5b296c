using DiffWave.Cuda;
using DiffWave.Emulator.Checks;
using DiffWave.Emulator.Reports;

namespace DiffWave.Kernels.Tests;

/// <summary>Every kernel version on the emulator: what it computes, and that nothing is found against it.</summary>
public class EmulatorTests
{
    [Theory, MemberData(nameof(CatalogueTests.Names), MemberType = typeof(CatalogueTests))]
    public void EveryShapeIsWithinItsBound(string name)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        Assert.All(version.Shapes, shape => Assert.All(OnEmulator.Check(version, shape), check => Assert.True(check.Ok, $"{shape}: {check}")));
    }

    [Theory]
    [InlineData("matrix_product_v2", "m=129,n=4,k=44")]
    [InlineData("matrix_product_v3", "m=129,n=128,k=8")]
    [InlineData("matrix_product_v3", "m=15,n=136,k=56")]
    [InlineData("matrix_product_v3_64x64", "m=65,n=72,k=72")]
    [InlineData("matrix_product_v3_bf16", "m=127,n=8,k=16")]
    [InlineData("block_sum_v1", "n=256")]
    [InlineData("block_sum_v2", "n=4098")]
    [InlineData("gated_activation_v2", "rows=257,channels=8")]
    [InlineData("philox_normal_v2", "items=3,rows=2050,first=4")]
    [InlineData("copy_rows_v2", "items=2,rows=64,channels=16")]
    [InlineData("loss_v1", "items=2,rows=1024,squared=1")]
    [InlineData("loss_v2", "items=1,rows=2049,squared=0")]
    [InlineData("gradient_norm_v2", "n=4097,losses=3,clip=1")]
    [InlineData("gradient_norm_v2", "n=12288,losses=0,clip=0")]
    [InlineData("adam_v2", "n=255,averaged=1")]
    [InlineData("dilated_conv_v2", "rows=127,channels=36,dilation=200,before=150,after=1")]
    [InlineData("dilated_conv_v2", "batch=2,rows=257,channels=4,dilation=64,before=64,after=0")]
    [InlineData("residual_output_v2", "rows=129,channels=36,layer=2")]
    [InlineData("pointwise_conv_v2", "rows=255,inputs=4,outputs=132")]
    [InlineData("dilated_conv_backward_v2", "batch=2,rows=129,channels=68,dilation=100,stepInResidual=0")]
    [InlineData("dilated_conv_backward_v2", "rows=127,channels=4,dilation=1,hasY=0")]
    [InlineData("residual_output_backward_v2", "rows=257,channels=36")]
    [InlineData("pointwise_conv_backward_v2", "rows=128,outputs=4,inputs=132")]
    [InlineData("weight_gradient_v2", "rows=519,outputs=68,inputs=20,dilation=300")]
    [InlineData("weight_gradient_v2", "batch=2,rows=512,outputs=4,inputs=68,taps=1")]
    [InlineData("weight_gradient_v3", "batch=2,rows=1031,outputs=136,inputs=72,dilation=300")]
    [InlineData("weight_gradient_v3", "rows=31,outputs=120,inputs=200,dilation=31")]
    [InlineData("weight_gradient_v3_128x64", "batch=2,rows=1057,outputs=64,inputs=32,dilation=33")]
    [InlineData("weight_gradient_v3_bf16", "batch=3,rows=1025,outputs=128,inputs=80,taps=1,hasStep=0")]
    [InlineData("weight_gradient_v3_tf32", "batch=2,rows=1031,outputs=136,inputs=72,dilation=15")]
    [InlineData("weight_gradient_v3_tf32_128x64", "rows=17,outputs=8,inputs=56,dilation=16")]
    [InlineData("residual_block_backward_v2", "batch=2,rows=127,channels=32,dilation=128,hasY=1,gateFirst=1")]
    [InlineData("residual_block_backward_v2", "rows=513,channels=64,dilation=6,hasY=0,stepInResidual=1,blocks=4")]
    [InlineData("residual_block_backward_v2_bf16", "batch=3,rows=16,channels=64,dilation=16,stepInResidual=1,blocks=2")]
    [InlineData("residual_block_backward_v3", "batch=2,rows=127,dilation=128,gateFirst=1,blocks=2")]
    [InlineData("residual_block_backward_v3_bf16", "rows=257,dilation=6,hasY=0,stepInResidual=1,blocks=2")]
    [InlineData("residual_block_backward_v3_c256", "batch=3,rows=63,dilation=16,half=0,blocks=2")]
    [InlineData("residual_block_backward_v3_c256_bf16", "rows=33,dilation=40,hasY=0,half=1,blocks=1")]
    [InlineData("pointwise_conv_backward_v3", "batch=2,rows=129,outputs=136,inputs=4,layers=3,blocks=3")]
    [InlineData("pointwise_conv_backward_v3_written_bf16", "rows=257,outputs=8,inputs=164,blocks=1")]
    [InlineData("head_backward_v3", "batch=3,rows=511,channels=32,blocks=2")]
    [InlineData("head_backward_v3_bf16", "batch=1,rows=1025,channels=160,blocks=1")]
    [InlineData("input_projection_backward_weights_v2", "batch=3,rows=512,channels=40")]
    [InlineData("input_projection_backward_weights_v2_bf16", "batch=1,rows=639,channels=64")]
    [InlineData("column_sum_v2", "batch=2,rows=1025,channels=68,weighted=0")]
    [InlineData("slice_sum_v2", "groups=2,slices=32,outputs=5,inputs=7")]
    [InlineData("gated_activation_backward_v2", "rows=257,channels=8,gateFirst=1")]
    public void SoAreShapesAroundTheTiles(string name, string shape)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        Assert.All(OnEmulator.Check(version, version.Shapes[0].With(shape)), check => Assert.True(check.Ok, check.ToString()));
    }

    /// <summary>Kernels of activations: those whose shape has channels, or inputs and outputs.</summary>
    public static TheoryData<string> OfChannels => [.. KernelCatalog.All.Where(version => Has(version, "channels") || Has(version, "outputs")).Select(version => version.Name)];

    private static bool Has(KernelVersion version, string size) => version.Shapes[0].Sizes.Any(other => other.Name == size);

    /// <summary>Every number of channels that models have and the kernel takes, for one row and three items, fewer rows than the dilation, and rows that no tile divides.</summary>
    [Theory, MemberData(nameof(OfChannels))]
    public void SoIsEveryNumberOfChannels(string name)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        foreach (int channels in new[] { 16, 24, 64, 128, 256 })
            foreach (var (batch, rows, dilation, around) in new[] { (3, 1, 1, 0), (1, 7, 8, 5), (3, 33, 2, 2) })
            {
                (string Name, int Size)[] sizes = [("batch", batch), ("items", batch), ("rows", rows), ("dilation", dilation), ("before", around), ("after", around), ("channels", channels), ("inputs", channels), ("outputs", channels)];
                KernelShape shape = version.Shapes[0].With(string.Join(',', sizes.Where(size => Has(version, size.Name)).Select(size => $"{size.Name}={size.Size}")));
                if (version.Problem(shape)?.StartsWith("channels is ", StringComparison.Ordinal) == true) continue;
                Assert.Null(version.Problem(shape));
                Assert.All(OnEmulator.Check(version, shape), check => Assert.True(check.Ok, $"{shape}: {check}"));
            }
    }

    [Theory, MemberData(nameof(CatalogueTests.Names), MemberType = typeof(CatalogueTests))]
    public void NothingIsInLocalMemory(string name)
    {
        LaunchReport report = OnEmulator.Report(name);
        Assert.Equal((0, 0), (report.LocalBytes, report.LocalAccesses));
    }

    [Theory]
    [InlineData("block_sum_v1")]
    [InlineData("block_sum_v2")]
    [InlineData("loss_v1")]
    [InlineData("loss_v2")]
    [InlineData("gradient_norm_v1")]
    [InlineData("gradient_norm_v2")]
    public void TheSumHasTheSameBitsEveryTime(string name)
    {
        KernelVersion version = KernelCatalog.Find(name)!;
        Assert.Equal(OnEmulator.Run(version, version.Shapes[0]).Checks[0].Actual, OnEmulator.Run(version, version.Shapes[0]).Checks[0].Actual);
    }

    [Fact]
    public void ABarrierLeftOutIsFound()
    {
        Finding finding = Assert.Throws<EmulatorException>(() => OnEmulator.Launch(typeof(BrokenKernels).GetMethod(nameof(BrokenKernels.ReversedWithoutBarrier))!, new Dim3(1), null, new float[256])).Finding;
        Assert.Equal(FindingKind.SharedRace, finding.Kind);
        Assert.EndsWith("BrokenKernels.cs", finding.Source.File);
        Assert.NotNull(finding.Other);
    }
}
