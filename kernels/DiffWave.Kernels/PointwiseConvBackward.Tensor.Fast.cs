namespace DiffWave.Kernels;

/// <summary>Where version 3 puts its results.</summary>
/// <typeparam name="U">Element type of the gradient.</typeparam>
public interface IGradientTarget<U> where U : unmanaged
{
    /// <summary>What four values are added to.</summary>
    /// <param name="values">The gradient.</param>
    /// <param name="at">The first of them, a multiple of 4.</param>
    static abstract Float4 Before(ArrayView<U> values, int at);

    /// <summary>Stores four values.</summary>
    /// <param name="values">The gradient.</param>
    /// <param name="at">The first of them, a multiple of 4.</param>
    /// <param name="four">The values.</param>
    static abstract void Store(ArrayView<U> values, int at, Float4 four);
}

/// <summary>Added to what there is, in float32: the gradient of what several layers read.</summary>
public readonly struct AddedTo : IGradientTarget<float>
{
    /// <inheritdoc/>
    public static Float4 Before(ArrayView<float> values, int at) => Fours.Of(values)[at / 4];

    /// <inheritdoc/>
    public static void Store(ArrayView<float> values, int at, Float4 four) => Fours.Of(values)[at / 4] = four;
}

/// <summary>Written in 16 bits.</summary>
/// <typeparam name="T">Half or BFloat16.</typeparam>
/// <typeparam name="P">Its product.</typeparam>
public readonly struct Written<T, P> : IGradientTarget<T> where T : unmanaged where P : struct, IMatrixPair<T>
{
    /// <inheritdoc/>
    public static Float4 Before(ArrayView<T> values, int at) => new(0, 0, 0, 0);

    /// <inheritdoc/>
    public static void Store(ArrayView<T> values, int at, Float4 four) => values.AsAligned8().Cast<UInt2>()[at / 4] = new UInt2(P.Pack(four.X, four.Y), P.Pack(four.Z, four.W));
}

public static partial class PointwiseConvBackward
{
    /// <summary>Threads of a block of version 3.</summary>
    public const int ThreadsV3 = 256;

    /// <summary>Inputs a block of version 3 computes.</summary>
    public const int InputsV3 = 80;

    // A warp computes 16 rows of a tile of 128. Lane 4 i + j has rows i and i + 8: of each group of 32 outputs the 16 bytes of channels 8 j to 8 j + 7, and of each pair of tiles of columns the
    // results of four inputs side by side, 4 j to 4 j + 3.
    private const int RowsV3 = 128, Pairs = InputsV3 / 16, Eight = 8, GroupsAtOnce = 4;

    /// <summary>Tiles of a launch of version 3: B times the tiles of an item.</summary>
    /// <param name="batch">B.</param>
    /// <param name="rows">T.</param>
    public static int TilesV3(int batch, int rows) => batch * ((rows + RowsV3 - 1) / RowsV3);

    /// <summary>Most products version 3 sums.</summary>
    public const int MostLayersV3 = 4;

    /// <summary>Layers whose products version 3 best sums: as many as keep the weights of a block within 80 KiB, so that two blocks fit into a multiprocessor. The same on every device, since bits depend on it.</summary>
    /// <param name="outputs">O.</param>
    public static int LayersAtOnceV3(int outputs) => Math.Clamp(80 * 1024 / SharedBytesV3(outputs, 1), 1, MostLayersV3);

    /// <summary>Dynamic shared memory of version 3 in bytes: the weights of a block, the outputs of a layer filled up to a multiple of 32 by zeros.</summary>
    /// <param name="outputs">O.</param>
    /// <param name="layers">Products that are summed.</param>
    public static int SharedBytesV3(int outputs, int layers) => 2 * layers * ((outputs + 31) / 32 * 32) * InputsV3;

    /// <summary>
    /// Version 3. Blocks of <see cref="ThreadsV3"/> threads: any number along x, best twice the multiprocessors but no more than tiles, I / <see cref="InputsV3"/> rounded up along y; dynamic shared memory:
    /// <see cref="SharedBytesV3"/>. Every number of blocks along x gives the same bits. The products of up to <see cref="MostLayersV3"/> convolutions that read the same x are summed, so that dX is read and written once.
    /// </summary>
    /// <typeparam name="T">Half or BFloat16.</typeparam>
    /// <typeparam name="P">Its product.</typeparam>
    /// <typeparam name="U">Element type of the gradient.</typeparam>
    /// <typeparam name="G">Whether it is added or written.</typeparam>
    /// <param name="weights">O x I of the first layer, rounded as they are read.</param>
    /// <param name="layerStride">Values from a layer's weights to the next layer's.</param>
    /// <param name="dY">Gradient of the first layer's result, O channels, a multiple of 8; the address a multiple of 16, like those of the others and of dX.</param>
    /// <param name="dY1">That of the second layer, with rows in the same places; not read with fewer layers, like those behind it.</param>
    /// <param name="dY2">That of the third.</param>
    /// <param name="dY3">That of the fourth.</param>
    /// <param name="layers">Products that are summed.</param>
    /// <param name="dX">Receives the gradient of the input, I channels, a multiple of 4.</param>
    /// <param name="tiles">From <see cref="TilesV3"/>.</param>
    /// <param name="rows">T.</param>
    /// <param name="scale">Factor of the product.</param>
    [Kernel("pointwise_conv_backward_v3", BlockX = ThreadsV3, MinBlocks = 2, MinimumSm = 80)]
    public static void BackwardV3<T, P, U, G>(ArrayView<float> weights, int layerStride, Rows<T> dY, ArrayView<T> dY1, ArrayView<T> dY2, ArrayView<T> dY3, int layers, Rows<U> dX, int tiles, int rows, float scale)
        where T : unmanaged where P : struct, IMatrixPair<T> where U : unmanaged where G : struct, IGradientTarget<U>
    {
        ArrayView<UInt4> fragments = SharedMemory.GetDynamic<UInt4>();
        int thread = Group.IdxX, lane = thread % 32, quarter = lane % 4, outputs = dY.Channels, inputs = dX.Channels, width = outputs / Eight, groups = (outputs + 31) / 32, firstInput = Grid.IdxY * InputsV3, input0 = firstInput + 4 * quarter;
        for (int i = thread; i < layers * groups * 2 * Pairs * 32; i += ThreadsV3)
        {
            int step = i / (Pairs * 32), layer = step / (2 * groups);
            fragments[i] = Fragment<T, P>(weights, layer * layerStride, step - layer * 2 * groups, i / 32 % Pairs, i % 32, firstInput, outputs, inputs);
        }
        Group.Barrier();

        int itemTiles = (rows + RowsV3 - 1) / RowsV3;
        for (int tile = Grid.IdxX; tile < tiles; tile += Grid.DimX)
        {
            int item = tile / itemTiles, row = tile % itemTiles * RowsV3 + thread / 32 * 16 + lane / 4;
            ArrayView<Float4> sums = LocalMemory.Allocate<Float4>(2 * Pairs);
            for (int i = 0; i < 2 * Pairs; i++) sums[i] = new Float4(0, 0, 0, 0);
            for (int layer = 0, place = lane; layer < layers; layer++)
            {
                ArrayView<T> values = layer == 0 ? dY.Values : layer == 1 ? dY1 : layer == 2 ? dY2 : dY3;
                ArrayView<UInt4> source = values.SubView(((long)item * dY.ItemRows + dY.First + row) * outputs + Eight * quarter).AsAligned16().Cast<UInt4>(); // from what the lane reads first in its first row
                for (int first = 0; first < groups; first += GroupsAtOnce)
                {
                    ArrayView<UInt4> upper = LocalMemory.Allocate<UInt4>(GroupsAtOnce), lower = LocalMemory.Allocate<UInt4>(GroupsAtOnce);
                    for (int g = 0; g < GroupsAtOnce; g++)
                    {
                        int four = 4 * (first + g), eight = four + quarter;
                        upper[g] = new UInt4(0, 0, 0, 0);
                        lower[g] = new UInt4(0, 0, 0, 0);
                        if (row < rows && eight < width) upper[g] = source[four];
                        if (row + 8 < rows && eight < width) lower[g] = source[8 * width + four];
                    }
                    for (int g = 0; g < GroupsAtOnce; g++, place += 2 * Pairs * 32)
                    {
                        if (first + g >= groups) break;
                        for (int half = 0; half < 2; half++)
                        {
                            UInt4 part = half == 0 ? new UInt4(upper[g].X, lower[g].X, upper[g].Y, lower[g].Y) : new UInt4(upper[g].Z, lower[g].Z, upper[g].W, lower[g].W);
                            for (int pair = 0; pair < Pairs; pair++)
                            {
                                UInt4 fragment = fragments[place + (half * Pairs + pair) * 32];
                                sums[2 * pair] = P.MultiplyAdd(part, new UInt2(fragment.X, fragment.Y), sums[2 * pair]);
                                sums[2 * pair + 1] = P.MultiplyAdd(part, new UInt2(fragment.Z, fragment.W), sums[2 * pair + 1]);
                            }
                        }
                    }
                }
            }
            // What dX held is asked for only now: its registers serve for more rows on their way before.
            ArrayView<Float4> before = LocalMemory.Allocate<Float4>(2 * Pairs);
            ArrayView<U> target = dX.Values.SubView(((long)item * dX.ItemRows + dX.First + row) * inputs + input0); // of the lane's first input in its first row
            for (int r = 0; r < 2; r++)
                for (int pair = 0; pair < Pairs; pair++)
                {
                    before[2 * pair + r] = new Float4(0, 0, 0, 0);
                    if (row + 8 * r < rows && input0 + 16 * pair < inputs) before[2 * pair + r] = G.Before(target, 8 * r * inputs + 16 * pair);
                }
            for (int pair = 0; pair < Pairs; pair++)
            {
                Float4 even = sums[2 * pair], odd = sums[2 * pair + 1];
                if (input0 + 16 * pair >= inputs) continue;
                if (row < rows) G.Store(target, 16 * pair, Added(before[2 * pair], scale, even.X, even.Y, odd.X, odd.Y));
                if (row + 8 < rows) G.Store(target, 8 * inputs + 16 * pair, Added(before[2 * pair + 1], scale, even.Z, even.W, odd.Z, odd.W));
            }
        }
    }

    private static Float4 Added(Float4 before, float scale, float x, float y, float z, float w) => new(before.X + scale * x, before.Y + scale * y, before.Z + scale * z, before.W + scale * w);

    // A lane's part of a step of 16 outputs, in the order in which the lanes read them, and a pair of tiles of columns, whose places 2 j and 2 j + 1 are inputs 4 j and 4 j + 1 or the two behind them.
    private static UInt4 Fragment<T, P>(ArrayView<float> weights, int from, int step, int pair, int lane, int firstInput, int outputs, int inputs) where T : unmanaged where P : struct, IMatrixPair<T>
    {
        ArrayView<uint> words = LocalMemory.Allocate<uint>(4);
        for (int word = 0; word < 4; word++)
        {
            int output = BlockWeights.Channel(2 * step + word % 2, lane % 4 * 2), input = firstInput + 16 * pair + lane / 8 * 4 + word / 2 * 2 + lane / 4 % 2;
            float low = 0, high = 0;
            if (output < outputs && input < inputs)
            {
                low = weights[from + output * inputs + input];
                high = weights[from + (output + 1) * inputs + input];
            }
            words[word] = P.Pack(low, high);
        }
        return new UInt4(words[0], words[1], words[2], words[3]);
    }
}
