using DiffWave.Bench.Costs;
using DiffWave.Kernels;

namespace DiffWave.Bench.Tests;

/// <summary>What a tile of rows costs in a kernel of the catalogue.</summary>
public class KernelSheetTests
{
    // y = W (s x) + b from 24 to 40 channels: 2 x 24 x 40 FLOP a row by definition; 64 channels of float32 in and out.
    [Fact]
    public void ATileOfAProductHasItsFlopsAndItsBytes()
    {
        KernelVersion kernel = KernelCatalog.Find("pointwise_conv_v1")!;
        KernelSheet sheet = KernelSheet.Of(GpuModel.Find("a100"), kernel, "batch=1,rows=256,inputs=24,outputs=40", 128);
        Assert.Equal(128 * 64 * sizeof(float), sheet.Tile.Touches[0].Bytes + Math.Min(sheet.Tile.Touches[0].Read, sheet.Tile.Touches[0].Written));
        Assert.Equal(128 * 3 * 24 * 40, sheet.Tile[Count.Flops]); // this version scales each x for each output
        Assert.Equal((24 * 40 + 40) * sizeof(float), sheet.Once.Touches[0].Read, 32.0 * 2); // the weights, whole sectors
        Assert.Equal(128 * 2 * 24 * 40, sheet.Declared.Flops, 128.0 * 40);
        Assert.Equal(Bound.Fma, sheet.Limit.Bound);
        Assert.Equal(sheet.Tile[Count.Float32] * 32 / 64, sheet.Limit.Clocks, 6); // 64 lanes on this device
        Assert.Contains("clocks a tile, bound by", Table.Text(sheet.ToResult()), StringComparison.Ordinal);
    }

    [Fact]
    public void AKernelWithoutRowsIsRefused() =>
        Assert.Contains("has no rows", Assert.Throws<ArgumentException>(() => KernelSheet.Of(GpuModel.Find("h100"), KernelCatalog.Find("adam_v2")!, null, 128)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {", nameof(TensorKind.F16))]
    [InlineData("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {", nameof(TensorKind.BF16))]
    [InlineData("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {", nameof(TensorKind.TF32))]
    [InlineData("cvt.rna.tf32.f32 %r1, %f1;", nameof(TensorKind.None))]
    public void TheOperandsOfProductsAreReadFromThePtx(string ptx, string kind) => Assert.Equal(kind, LaunchRecorder.TensorOf(ptx).ToString());

    [Theory]
    [InlineData("x", 0)]
    [InlineData("scale", 32)]
    [InlineData("packed", 40)] // aligned to 8
    [InlineData("tiles", 56)]
    [InlineData("til", -1)]
    public void ParametersAreFoundInThePtx(string name, int offset) => Assert.Equal(offset, LaunchRecorder.Layout("""
        .visible .entry k(
            .param .align 8 .b8 param_x[32],
            .param .f32 param_scale,
            .param .align 8 .b8 param_packed[16],
            .param .s32 param_tiles
        )
        """).Where(parameter => parameter.Name == name).Select(parameter => parameter.Offset).FirstOrDefault(-1));
}
