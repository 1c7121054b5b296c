using DiffWave.Emulator.Reports;

namespace DiffWave.Kernels.Tests;

/// <summary>What the faster versions were written for, in the emulator's counts at their usual shapes.</summary>
public class ProfileTests
{
    [Theory]
    [InlineData("gated_activation_v1")]
    [InlineData("gated_activation_v2")]
    [InlineData("gated_activation_v3")]
    [InlineData("gated_activation_backward_v1")]
    [InlineData("block_sum_v2")]
    [InlineData("philox_normal_v2")]
    [InlineData("matrix_product_v2")]
    [InlineData("matrix_product_v3")]
    [InlineData("matrix_product_v3_64x64")]
    [InlineData("matrix_product_v3_bf16")]
    [InlineData("dilated_conv_backward_v2")]
    [InlineData("residual_output_backward_v2")]
    [InlineData("pointwise_conv_backward_v2")]
    [InlineData("gated_activation_backward_v2")]
    [InlineData("weight_gradient_v2")]
    [InlineData("weight_gradient_v3")]
    [InlineData("residual_block_backward_v2")]
    [InlineData("residual_block_backward_v2_bf16")]
    [InlineData("residual_block_backward_v3")]
    [InlineData("residual_block_backward_v3_bf16")]
    [InlineData("residual_block_backward_v3_c256")]
    [InlineData("residual_block_backward_v3_c256_bf16")]
    [InlineData("weight_gradient_v3_128x64")]
    [InlineData("weight_gradient_v3_bf16")]
    [InlineData("weight_gradient_v3_tf32")]
    [InlineData("weight_gradient_v3_tf32_128x64")]
    [InlineData("column_sum_v2")]
    [InlineData("diffusion_v1")]
    [InlineData("reverse_step_v1")]
    [InlineData("copy_rows_v1")]
    [InlineData("copy_rows_v2")]
    [InlineData("loss_v1")]
    [InlineData("loss_v2")]
    [InlineData("gradient_norm_v1")]
    [InlineData("gradient_norm_v2")]
    [InlineData("adam_v1")]
    [InlineData("adam_v2")]
    [InlineData("vector_linear_v1")]
    [InlineData("vector_linear_backward_weights_v1")]
    [InlineData("vector_linear_backward_input_v1")]
    [InlineData("label_embedding_backward_v1")]
    [InlineData("input_projection_backward_weights_v1")]
    [InlineData("mel_upsampler_backward_input_v2")]
    public void GlobalMemoryMovesNoByteInVain(string name) => Assert.All(OnEmulator.Report(name).Global, site => Assert.True(site.Moved == site.Ideal, site.ToString()));

    [Theory]
    [InlineData("dilated_conv_v2")]
    [InlineData("residual_output_v2")]
    [InlineData("pointwise_conv_v2")]
    [InlineData("input_projection_v1")]
    [InlineData("input_projection_v2")]
    [InlineData("head_v2")]
    [InlineData("head_backward_v2")]
    [InlineData("input_projection_backward_weights_v2")]
    public void OnlyABiasThatBeginsInsideASectorCostsOneMore(string name) => Assert.All(OnEmulator.Report(name).Global,
        site => Assert.InRange(site.Moved, site.Ideal, site.Ideal + (site.PtxText.Contains("ld.global.f32", StringComparison.Ordinal) ? site.Requests : 0)));

    [Theory]
    [InlineData("pointwise_conv_backward_v3")]
    [InlineData("pointwise_conv_backward_v3_written")]
    public void OnlyTheWeightsOfABlockAreGathered(string name)
    {
        LaunchReport report = OnEmulator.Report(name);
        Assert.All(report.Global.Where(site => !site.PtxText.Contains("ld.global.f32", StringComparison.Ordinal)), site => Assert.True(site.Moved == site.Ideal, site.ToString()));
        Assert.Equal(320, report.Global.Where(site => site.PtxText.Contains("ld.global.f32", StringComparison.Ordinal)).Sum(site => site.Requests)); // 128 x 80 weights, 32 at a time
    }

    [Theory]
    [InlineData("block_sum_v1")]
    [InlineData("block_sum_v2")]
    [InlineData("matrix_product_v2")]
    [InlineData("matrix_product_v3")]
    [InlineData("matrix_product_v3_64x64")]
    [InlineData("matrix_product_v3_bf16")]
    [InlineData("dilated_conv_v2")]
    [InlineData("residual_output_v2")]
    [InlineData("pointwise_conv_v2")]
    [InlineData("dilated_conv_backward_v2")]
    [InlineData("residual_output_backward_v2")]
    [InlineData("pointwise_conv_backward_v2")]
    [InlineData("weight_gradient_v2")]
    [InlineData("weight_gradient_v3")]
    [InlineData("residual_block_backward_v2")]
    [InlineData("pointwise_conv_backward_v3")]
    [InlineData("pointwise_conv_backward_v3_written")]
    [InlineData("residual_block_backward_v2_bf16")]
    [InlineData("residual_block_backward_v3")]
    [InlineData("residual_block_backward_v3_bf16")]
    [InlineData("residual_block_backward_v3_c256")]
    [InlineData("residual_block_backward_v3_c256_bf16")]
    [InlineData("weight_gradient_v3_128x64")]
    [InlineData("weight_gradient_v3_bf16")]
    [InlineData("weight_gradient_v3_tf32")]
    [InlineData("weight_gradient_v3_tf32_128x64")]
    [InlineData("column_sum_v2")]
    [InlineData("loss_v1")]
    [InlineData("loss_v2")]
    [InlineData("gradient_norm_v1")]
    [InlineData("gradient_norm_v2")]
    [InlineData("vector_linear_backward_input_v1")]
    [InlineData("input_projection_backward_weights_v1")]
    [InlineData("input_projection_backward_weights_v2")]
    public void SharedMemoryHasNoBankConflicts(string name)
    {
        IReadOnlyList<AccessSite> shared = OnEmulator.Report(name).Shared;
        Assert.NotEmpty(shared);
        Assert.All(shared, site => Assert.True(site.Moved == site.Ideal, site.ToString()));
    }

    [Theory]
    [InlineData("gated_activation_v1", "gated_activation_v2")]
    [InlineData("block_sum_v1", "block_sum_v2")]
    [InlineData("philox_normal_v1", "philox_normal_v2")]
    [InlineData("mel_upsampler_v1", "mel_upsampler_v2")]
    [InlineData("mel_upsampler_backward_input_v1", "mel_upsampler_backward_input_v2")]
    [InlineData("mel_upsampler_backward_weights_v1", "mel_upsampler_backward_weights_v2")]
    [InlineData("copy_rows_v1", "copy_rows_v2")]
    [InlineData("loss_v1", "loss_v2")]
    [InlineData("gradient_norm_v1", "gradient_norm_v2")]
    [InlineData("adam_v1", "adam_v2")]
    public void WideAccessesAreAQuarterOfTheRequests(string narrow, string wide)
    {
        long Requests(string name) => OnEmulator.Report(name).Global.Where(site => site.Moved > site.Requests).Sum(site => site.Requests); // of the data, not of numbers that all threads of a warp read
        Assert.InRange(Requests(wide), 1, Requests(narrow) / 3);
    }

    [Fact]
    public void FourStoresOfOneNormalTouchFourTimesTheSectors() =>
        Assert.All(OnEmulator.Report("philox_normal_v1").Global.Where(site => site.PtxText.StartsWith("st.", StringComparison.Ordinal)), site => Assert.True(site.Moved >= 4 * site.Ideal * 0.95, site.ToString()));

    [Fact]
    public void ShufflesSaveAllBarriersButOne()
    {
        LaunchReport tree = OnEmulator.Report("block_sum_v1"), shuffles = OnEmulator.Report("block_sum_v2");
        long warps = tree.Grid.Size * 8;
        Assert.Equal((9 * warps, warps), (tree.Barriers, shuffles.Barriers));
    }

    [Fact]
    public void TilesCutTheGlobalTrafficOfTheProduct()
    {
        KernelVersion naive = KernelCatalog.Find("matrix_product_v1")!, tiled = KernelCatalog.Find("matrix_product_v2")!;
        KernelShape shape = naive.Shapes[0].With("m=128,n=128,k=64");
        long Sectors(KernelVersion version) => OnEmulator.Run(version, shape).Reports[0].Global.Sum(site => site.Moved);
        Assert.Equal((128 * 64 + 64 * 128 + 128 * 128) * 4 / 32, Sectors(tiled)); // every element once
        Assert.True(Sectors(naive) > 10 * Sectors(tiled));
    }

    [Theory]
    [InlineData("dilated_conv_v1", "dilated_conv_v2")]
    [InlineData("residual_output_v1", "residual_output_v2")]
    [InlineData("pointwise_conv_v1", "pointwise_conv_v2")]
    [InlineData("dilated_conv_backward_v1", "dilated_conv_backward_v2")]
    [InlineData("residual_output_backward_v1", "residual_output_backward_v2")]
    [InlineData("pointwise_conv_backward_v1", "pointwise_conv_backward_v2")]
    [InlineData("weight_gradient_v1", "weight_gradient_v2")]
    [InlineData("weight_gradient_v1", "weight_gradient_v3")]
    public void TilesCutTheGlobalTrafficOfTheConvolutions(string naive, string tiled)
    {
        long Sectors(string name) => OnEmulator.Report(name).Global.Sum(site => site.Moved);
        Assert.True(Sectors(naive) > 20 * Sectors(tiled), $"{Sectors(naive)} and {Sectors(tiled)}");
    }

    [Fact]
    public void AllArithmeticOfTheTensorProductIsOnTensorCores()
    {
        KernelVersion version = KernelCatalog.Find("matrix_product_v3")!;
        LaunchReport report = OnEmulator.Report(version.Name);
        Assert.Equal((0, version.Trial(version.Shapes[0]).Cost.Flops), (report.Flops, report.TensorFlops));
        Assert.Empty(report.DivergentBranches);
    }

    [Theory]
    [InlineData("block_weights_v2")]
    [InlineData("block_weights_v2_bf16")]
    [InlineData("block_weights_v2_tf32")]
    public void PackedWeightsAreStored16BytesALane(string name)
    {
        AccessSite stores = Assert.Single(OnEmulator.Report(name).Global, site => site.PtxText.StartsWith("st.", StringComparison.Ordinal));
        Assert.Equal((stores.Ideal, stores.Ideal), (stores.Moved, 16 * stores.Requests));
    }
}
