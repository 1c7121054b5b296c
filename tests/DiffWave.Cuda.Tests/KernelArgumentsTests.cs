using System.Buffers.Binary;
using System.Runtime.InteropServices;
using DiffWave.Compiler;
using DiffWave.Device;

namespace DiffWave.Cuda.Tests;

public class KernelArgumentsTests
{
    private static readonly CompiledKernel Kernel = new("k", "", [
        new KernelParameter("view", typeof(ArrayView<float>), 0, 16), new KernelParameter("count", typeof(int), 16, 4), new KernelParameter("flag", typeof(byte), 20, 1),
        new KernelParameter("pair", typeof(Pair), 24, 16), new KernelParameter("half", typeof(Half), 40, 2)], 0, false, 0, 0, 0, []);

    [Fact]
    public void Every_argument_lies_at_its_offset_and_gaps_are_zero()
    {
        byte[] packed = KernelArguments.Pack(Kernel, [new DeviceArray(0x1122334455667788, 1L << 33, typeof(float)), -2, (byte)7, new Pair { First = 3, Second = 0.1 }, (Half)1.5]);
        byte[] expected = new byte[42];
        BinaryPrimitives.WriteUInt64LittleEndian(expected, 0x1122334455667788);
        BinaryPrimitives.WriteInt64LittleEndian(expected.AsSpan(8), 1L << 33);
        BinaryPrimitives.WriteInt32LittleEndian(expected.AsSpan(16), -2);
        expected[20] = 7;
        BinaryPrimitives.WriteInt32LittleEndian(expected.AsSpan(24), 3);
        BinaryPrimitives.WriteDoubleLittleEndian(expected.AsSpan(32), 0.1);
        BinaryPrimitives.WriteHalfLittleEndian(expected.AsSpan(40), (Half)1.5);
        Assert.Equal(expected, packed);
    }

    [Fact]
    public void A_wrong_number_or_type_is_refused_by_name()
    {
        object array = new DeviceArray(0, 1, typeof(float));
        Assert.Contains("k takes 5 arguments (view, count, flag, pair, half), 1 were given", Refusal([array]));
        Assert.Contains("'count' is Int64, expected Int32", Refusal([array, 5L, (byte)7, default(Pair), default(Half)]));
        Assert.Contains("'view' is an array of Double, expected one of Single", Refusal([new DeviceArray(0, 1, typeof(double)), 5, (byte)7, default(Pair), default(Half)]));
        Assert.Contains("'count'", Refusal([array, array, (byte)7, default(Pair), default(Half)]));
    }

    [Fact]
    public void Arguments_added_one_by_one_lie_where_boxed_ones_do()
    {
        var kernel = new LoadedKernel(Kernel, 0);
        var view = new ArrayView<float>(unchecked((nint)0x1122334455667788), 1L << 33);
        var pair = new Pair { First = 3, Second = 0.1 };
        for (int i = 0; i < 2; i++)
            Assert.Equal(KernelArguments.Pack(Kernel, [new DeviceArray((ulong)view.Address, view.Length, typeof(float)), -i, (byte)7, pair, (Half)1.5]),
                kernel.Arguments.Add(view).Add(-i).Add((byte)7).Add(pair).Add((Half)1.5).Packed.ToArray());
    }

    [Fact]
    public void Arguments_added_one_by_one_are_checked_by_type_order_and_number()
    {
        var kernel = new LoadedKernel(Kernel, 0);
        var view = new ArrayView<float>(0x1000, 1);
        string Refused(Action<LoadedKernel> act) => Assert.Throws<ArgumentException>(() => act(kernel)).Message;
        Assert.Contains("k: argument 'view' is Int32, expected ArrayView<Single>", Refused(kernel => kernel.Arguments.Add(1)));
        Assert.Contains("'view' is ArrayView<Double>, expected ArrayView<Single>", Refused(kernel => kernel.Arguments.Add(default(ArrayView<double>))));
        Assert.Contains("'count' is UInt32, expected Int32", Refused(kernel => kernel.Arguments.Add(view).Add(1u)));
        Assert.Contains("k takes 5 arguments (view, count, flag, pair, half), 2 were given", Refused(kernel => _ = kernel.Arguments.Add(view).Add(1).Packed.Length));
        Assert.Contains("k takes 5 arguments (view, count, flag, pair, half), more were given",
            Refused(kernel => kernel.Arguments.Add(view).Add(1).Add((byte)1).Add(default(Pair)).Add(default(Half)).Add(1)));
    }

    [Fact]
    public void Two_launches_of_a_kernel_cannot_be_prepared_at_once()
    {
        var kernel = new LoadedKernel(Kernel, 0);
        Assert.Throws<InvalidOperationException>(() =>
        {
            KernelArguments first = kernel.Arguments.Add(default(ArrayView<float>));
            kernel.Arguments.Add(default(ArrayView<float>)).Add(1);
            first.Add(2);
        });
        Assert.Throws<InvalidOperationException>(() =>
        {
            KernelArguments arguments = kernel.Arguments;
            arguments.Add(default(ArrayView<float>));
            arguments.Add(1);
        });
    }

    private static string Refusal(object[] arguments) => Assert.Throws<ArgumentException>(() => KernelArguments.Pack(Kernel, arguments)).Message;

    [StructLayout(LayoutKind.Sequential)]
    private struct Pair
    {
        public int First;
        public double Second;
    }
}
