namespace DiffWave.Kernels;

public static partial class GatedActivation
{
    /// <summary>Version 2. Threads: any number along x.</summary>
    /// <param name="h">rows x 2C, fewer than 2^31 elements, the address a multiple of 16.</param>
    /// <param name="y">Receives rows x C; the address a multiple of 16.</param>
    /// <param name="channels">C, a multiple of 4.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    [Kernel("gated_activation_v2", BlockX = 256)]
    public static void ForwardV2(ArrayView<float> h, ArrayView<float> y, [Const] int channels, [Const] bool gateFirst)
    {
        ArrayView<Float4> halves = h.AsAligned16().Cast<Float4>(), products = y.AsAligned16().Cast<Float4>();
        int quarter = channels / 4; // of the channels, four at a time
        for (int index = Grid.GlobalIndex.X; index < products.IntLength; index += Grid.DimX * Group.DimX)
        {
            int first = index / quarter * 2 * quarter + index % quarter;
            Float4 f = halves[gateFirst ? first + quarter : first], g = halves[gateFirst ? first : first + quarter];
            products[index] = new Float4(XMath.Tanh(f.X) * Sigmoid(g.X), XMath.Tanh(f.Y) * Sigmoid(g.Y), XMath.Tanh(f.Z) * Sigmoid(g.Z), XMath.Tanh(f.W) * Sigmoid(g.W));
        }
    }

    /// <summary>Version 3: as version 2, but tanh is the hardware's approximation, of relative error 2^-11, and sigmoid(x) = (tanh(x / 2) + 1) / 2 by the same: absolute error up to 2^-11 + 2^-12.</summary>
    /// <param name="h">rows x 2C, fewer than 2^31 elements, the address a multiple of 16.</param>
    /// <param name="y">Receives rows x C; the address a multiple of 16.</param>
    /// <param name="channels">C, a multiple of 4.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    [Kernel("gated_activation_v3", BlockX = 256, MinimumSm = 75)]
    public static void ForwardV3(ArrayView<float> h, ArrayView<float> y, [Const] int channels, [Const] bool gateFirst)
    {
        ArrayView<Float4> halves = h.AsAligned16().Cast<Float4>(), products = y.AsAligned16().Cast<Float4>();
        int quarter = channels / 4;
        for (int index = Grid.GlobalIndex.X; index < products.IntLength; index += Grid.DimX * Group.DimX)
        {
            int first = index / quarter * 2 * quarter + index % quarter;
            Float4 f = halves[gateFirst ? first + quarter : first], g = halves[gateFirst ? first : first + quarter];
            products[index] = new Float4(Approximate(f.X, g.X), Approximate(f.Y, g.Y), Approximate(f.Z, g.Z), Approximate(f.W, g.W));
        }
    }

    /// <summary>Version 2 of backward. Blocks: any number of 256 threads along x.</summary>
    /// <param name="h">rows x 2C, fewer than 2^31 elements, as given to forward; the address a multiple of 16.</param>
    /// <param name="dy">In: gradient of y, rows x C; the address a multiple of 16. Out: y, which the gradient of the weights behind it needs.</param>
    /// <param name="dh">Receives the gradient of h, rows x 2C; the address a multiple of 16.</param>
    /// <param name="channels">C, a multiple of 4.</param>
    /// <param name="gateFirst">Whether the first half of h is the gate.</param>
    [Kernel("gated_activation_backward_v2", BlockX = 256)]
    public static void BackwardV2(ArrayView<float> h, ArrayView<float> dy, ArrayView<float> dh, [Const] int channels, [Const] bool gateFirst)
    {
        ArrayView<Float4> halves = h.AsAligned16().Cast<Float4>(), products = dy.AsAligned16().Cast<Float4>(), gradients = dh.AsAligned16().Cast<Float4>();
        int quarter = channels / 4;
        for (int index = Grid.GlobalIndex.X; index < products.IntLength; index += Grid.DimX * Group.DimX)
        {
            int first = index / quarter * 2 * quarter + index % quarter, filter = gateFirst ? first + quarter : first, gate = gateFirst ? first : first + quarter;
            Float4 f = halves[filter], g = halves[gate], d = products[index];
            Differentiate(ref f.X, ref g.X, ref d.X);
            Differentiate(ref f.Y, ref g.Y, ref d.Y);
            Differentiate(ref f.Z, ref g.Z, ref d.Z);
            Differentiate(ref f.W, ref g.W, ref d.W);
            gradients[filter] = f;
            gradients[gate] = g;
            products[index] = d;
        }
    }

    // The filter and the gate become their gradients, the gradient of their product becomes the product.
    private static void Differentiate(ref float filter, ref float gate, ref float product)
    {
        float t = XMath.Tanh(filter), s = Sigmoid(gate), y = t * s;
        filter = product * s * (1 - t * t);
        gate = product * y * (1 - s);
        product = y;
    }

    /// <summary>tanh(filter) sigmoid(gate) by the hardware's tanh: absolute error up to 2^-11 + 2^-12.</summary>
    internal static float Approximate(float filter, float gate) => Ptx.TanhApprox(filter) * (0.5f * Ptx.TanhApprox(0.5f * gate) + 0.5f);
}
