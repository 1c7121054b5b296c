using System.Globalization;
using System.Reflection;

namespace DiffWave.Kernels;

/// <summary>Sizes a kernel is tried at, by name, e.g. <c>rows=1000,channels=64</c>.</summary>
/// <param name="Sizes">Names and values in order.</param>
public sealed record KernelShape(params IReadOnlyList<(string Name, long Size)> Sizes)
{
    /// <summary>A size.</summary>
    /// <param name="name">One of the names.</param>
    public long this[string name] => Sizes.First(size => size.Name == name).Size;

    /// <summary>A shape with some sizes replaced.</summary>
    /// <param name="text">Names and values such as <c>rows=7,channels=64</c>; what is not named stays.</param>
    /// <exception cref="FormatException">A name is unknown, or a value is no whole number.</exception>
    public KernelShape With(string text)
    {
        (string Name, long Size)[] sizes = [.. Sizes];
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries))
        {
            string[] pair = part.Split('=', StringSplitOptions.TrimEntries);
            int index = pair.Length == 2 ? Array.FindIndex(sizes, size => size.Name == pair[0]) : -1;
            if (index < 0) throw new FormatException($"'{part}' is no size of this kernel, expected some of {this}");
            if (!long.TryParse(pair[1], NumberStyles.None, CultureInfo.InvariantCulture, out long value)) throw new FormatException($"{pair[0]} is '{pair[1]}', expected a whole number");
            sizes[index].Size = value;
        }
        return new KernelShape(sizes);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Join(',', Sizes.Select(size => string.Create(CultureInfo.InvariantCulture, $"{size.Name}={size.Size}")));
}

/// <summary>A version of a kernel and how to try it.</summary>
/// <param name="Op">The operation: the name of its class and file.</param>
/// <param name="Idea">What this version does differently, in one line; it stands in the file's header too.</param>
/// <param name="Method">The kernel, its type arguments given.</param>
/// <param name="Shapes">Shapes it is tried at, the usual one first.</param>
/// <param name="Constants">Values of the parameters marked <see cref="ConstAttribute"/> at a shape.</param>
/// <param name="Problem">Why a shape is none for this kernel, or null.</param>
/// <param name="Trial">What to run at a shape and what must come out.</param>
public sealed record KernelVersion(string Op, string Idea, MethodInfo Method, IReadOnlyList<KernelShape> Shapes, Func<KernelShape, IReadOnlyDictionary<string, object>> Constants,
    Func<KernelShape, string?> Problem, Func<KernelShape, KernelTrial> Trial)
{
    /// <summary>Name of the kernel, with the short names of its type arguments, e.g. <c>matrix_product_v3_half</c>: unique in the catalogue.</summary>
    public required string Name { get; init; }
}

/// <summary>One run of a kernel on data of a fixed seed.</summary>
public sealed record KernelTrial
{
    private readonly Lazy<IReadOnlyList<KernelOutput>> outputs;

    /// <summary>A trial whose results are worked out when somebody asks for them: who measures does not, and shapes may then be large.</summary>
    /// <param name="launches">In order.</param>
    /// <param name="cost">Of all of them together.</param>
    /// <param name="outputs">What must be in which array afterwards; from nothing that a launch writes.</param>
    public KernelTrial(IReadOnlyList<KernelLaunch> launches, Cost cost, Func<IReadOnlyList<KernelOutput>> outputs) =>
        (Launches, Cost, this.outputs) = (launches, cost, new Lazy<IReadOnlyList<KernelOutput>>(outputs));

    /// <summary>A trial whose results are known.</summary>
    /// <param name="launches">In order.</param>
    /// <param name="cost">Of all of them together.</param>
    /// <param name="outputs">What must be in which array afterwards.</param>
    public KernelTrial(IReadOnlyList<KernelLaunch> launches, Cost cost, IReadOnlyList<KernelOutput> outputs) : this(launches, cost, () => outputs)
    {
    }

    /// <summary>In order.</summary>
    public IReadOnlyList<KernelLaunch> Launches { get; init; }

    /// <summary>Of all launches together.</summary>
    public Cost Cost { get; }

    /// <summary>What must be in which array afterwards.</summary>
    public IReadOnlyList<KernelOutput> Outputs => outputs.Value;
}

/// <summary>A launch.</summary>
/// <param name="Grid">Blocks.</param>
/// <param name="Group">Threads of a block.</param>
/// <param name="DynamicSharedBytes">Bytes of dynamic shared memory.</param>
/// <param name="Arguments">Parameters in order, constants left out: an array stands for a view of a device buffer that holds it before the first launch, the same array for the same buffer; <see cref="RowsOf{T}"/> for <see cref="Rows{T}"/> of one, <see cref="PartOf"/> for a view of its end; others are scalars.</param>
public sealed record KernelLaunch(Index3D Grid, Index3D Group, int DynamicSharedBytes, params IReadOnlyList<object> Arguments);

/// <summary>Stands for <see cref="Rows{T}"/> of a device buffer among the arguments of a launch.</summary>
/// <typeparam name="T">float, Half or BFloat16.</typeparam>
/// <param name="Array">What the buffer holds before the first launch, B x rows x C.</param>
/// <param name="ItemRows">Rows an item holds.</param>
/// <param name="First">The row that counts as row 0.</param>
/// <param name="Channels">C.</param>
public sealed record RowsOf<T>(T[] Array, int ItemRows, int First, int Channels) where T : unmanaged;

/// <summary>Stands for a view of a device buffer from an element on among the arguments of a launch: tensors of an arena begin anywhere.</summary>
/// <param name="Array">What the buffer holds before the first launch.</param>
/// <param name="First">First element of the view.</param>
public sealed record PartOf(float[] Array, int First);

/// <summary>What an array must hold after a trial.</summary>
/// <param name="Name">Name of the result, e.g. y.</param>
/// <param name="Array">One of the arrays among the arguments: float, double, int, Half or BFloat16.</param>
/// <param name="Expected">The result in float64.</param>
/// <param name="Bound">Largest absolute error allowed; 0 where the result is exact.</param>
/// <param name="BoundReason">Where the bound comes from.</param>
public sealed record KernelOutput(string Name, Array Array, double[] Expected, double Bound, string BoundReason)
{
    /// <summary>
    /// A result bounded by what float32 can do: twice the largest error of a plain float32 evaluation, and one rounding of the largest <paramref name="magnitude"/> on top.
    /// </summary>
    /// <param name="name">Name of the result.</param>
    /// <param name="array">The array.</param>
    /// <param name="expected">In float64.</param>
    /// <param name="naive">The plain float32 evaluation.</param>
    /// <param name="magnitude">Largest sum of the absolute values of the terms of an element; for results that are no sums the largest result.</param>
    public static KernelOutput Float32(string name, float[] array, double[] expected, float[] naive, double magnitude) =>
        new(name, array, expected, 2 * expected.Zip(naive, (exact, value) => Math.Abs(exact - value)).Max() + magnitude / (1 << 24), "twice a plain float32 evaluation and one rounding");

    /// <summary>A sum in float64, in whatever order: bounded by a rounding of the sum of magnitudes for each term, once for the device and once for the reference.</summary>
    /// <param name="name">Name of the result.</param>
    /// <param name="array">The array.</param>
    /// <param name="expected">In float64.</param>
    /// <param name="terms">Largest number of roundings on the way to an element.</param>
    /// <param name="magnitude">Largest sum of the absolute values of the terms of an element.</param>
    public static KernelOutput Float64(string name, double[] array, double[] expected, long terms, double magnitude) =>
        new(name, array, expected, 2 * terms * magnitude / (1L << 53), "a rounding a term of a sum in float64, of the device and of the reference");

    /// <summary>A result that is copied or counted, without rounding.</summary>
    /// <param name="name">Name of the result.</param>
    /// <param name="array">The array.</param>
    /// <param name="expected">What must be there.</param>
    public static KernelOutput Exact(string name, Array array, double[] expected) => new(name, array, expected, 0, "nothing is rounded");

    /// <summary>Compares. Where a value that is not finite is expected, the same must be there.</summary>
    /// <param name="actual">What is in the array now, of the type of <see cref="Array"/>.</param>
    /// <exception cref="NotSupportedException">An array of another type.</exception>
    public KernelCheck Check(Array actual)
    {
        double[] values = actual switch
        {
            double[] doubles => doubles,
            float[] floats => System.Array.ConvertAll(floats, value => (double)value),
            int[] integers => System.Array.ConvertAll(integers, value => (double)value),
            Half[] halves => System.Array.ConvertAll(halves, value => (double)value),
            BFloat16[] halves => System.Array.ConvertAll(halves, value => (double)(float)value),
            _ => throw new NotSupportedException($"{Name}: results in arrays of {actual.GetType().GetElementType()} are not compared yet, expected float, double, int, Half or BFloat16"),
        };
        double worst = 0;
        int at = 0;
        for (int i = 0; i < Expected.Length; i++)
        {
            double error = values[i].Equals(Expected[i]) ? 0 : Math.Abs(values[i] - Expected[i]);
            if (double.IsNaN(error)) error = double.PositiveInfinity;
            if (error > worst) (worst, at) = (error, i);
        }
        return new KernelCheck(Name, Expected.Length, worst, Bound, BoundReason, at, Expected.Length == 0 ? 0 : Expected[at], Expected.Length == 0 ? 0 : values[at]);
    }
}

/// <summary>How near a result came.</summary>
/// <param name="Name">Name of the result.</param>
/// <param name="Elements">Elements compared.</param>
/// <param name="MaxError">Largest absolute error, infinite when a value is not finite and should be, or the other way round.</param>
/// <param name="Bound">What is allowed.</param>
/// <param name="BoundReason">Where the bound comes from.</param>
/// <param name="Worst">Element of the largest error.</param>
/// <param name="Expected">What should be there.</param>
/// <param name="Actual">What is there.</param>
public sealed record KernelCheck(string Name, int Elements, double MaxError, double Bound, string BoundReason, int Worst, double Expected, double Actual)
{
    /// <summary>Whether every element is within the bound.</summary>
    public bool Ok => MaxError <= Bound;
}
