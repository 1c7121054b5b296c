using System.Runtime.CompilerServices;

namespace DiffWave.Device;

/// <summary>
/// A run of elements in device memory: an address and a length, 16 bytes, passed to kernels by value. On the CPU the address is an ordinary pointer and indexes are checked;
/// in a kernel they are not (the emulator checks the memory instead).
/// </summary>
/// <typeparam name="T">Element type, without references.</typeparam>
public readonly unsafe struct ArrayView<T> where T : unmanaged
{
    private readonly T* pointer;
    private readonly long length;

    /// <summary>A view of memory that outlives it.</summary>
    /// <param name="address">First element: a host pointer, or a device address for a kernel's argument.</param>
    /// <param name="length">Number of elements.</param>
    public ArrayView(nint address, long length)
    {
        pointer = (T*)address;
        this.length = length;
    }

    /// <summary>Number of elements.</summary>
    public long Length => length;

    /// <summary>Number of elements as a 32-bit number.</summary>
    public int IntLength => (int)length;

    /// <summary>Length in bytes.</summary>
    public long LengthInBytes => length * sizeof(T);

    /// <summary>Whether the view points anywhere.</summary>
    public bool IsValid => pointer != null;

    /// <summary>Address of the first element.</summary>
    public nint Address => (nint)pointer;

    /// <summary>An element. The offset is computed in 32 bits where that is safe.</summary>
    /// <param name="index">0 .. Length - 1.</param>
    /// <exception cref="IndexOutOfRangeException">Outside the view (on the CPU).</exception>
    public ref T this[int index]
    {
        get
        {
            if ((ulong)index >= (ulong)length) Views.Outside(index, length);
            return ref pointer[index];
        }
    }

    /// <summary>An element, by a 64-bit index.</summary>
    /// <param name="index">0 .. Length - 1.</param>
    /// <exception cref="IndexOutOfRangeException">Outside the view (on the CPU).</exception>
    public ref T this[long index]
    {
        get
        {
            if ((ulong)index >= (ulong)length) Views.Outside(index, length);
            return ref pointer[index];
        }
    }

    /// <summary>An element.</summary>
    /// <param name="index">0 .. Length - 1.</param>
    public ref T this[Index1D index] => ref this[index.X];

    /// <summary>An element.</summary>
    /// <param name="index">0 .. Length - 1.</param>
    public ref T this[LongIndex1D index] => ref this[index.X];

    /// <summary>The part from <paramref name="offset"/> to the end.</summary>
    /// <param name="offset">First element of the part.</param>
    public ArrayView<T> SubView(long offset) => SubView(offset, length - offset);

    /// <summary>The part of <paramref name="count"/> elements from <paramref name="offset"/>.</summary>
    /// <param name="offset">First element of the part.</param>
    /// <param name="count">Number of elements.</param>
    public ArrayView<T> SubView(int offset, int count) => SubView((long)offset, (long)count);

    /// <summary>The part of <paramref name="count"/> elements from <paramref name="offset"/>.</summary>
    /// <param name="offset">First element of the part.</param>
    /// <param name="count">Number of elements.</param>
    /// <exception cref="IndexOutOfRangeException">Outside the view (on the CPU).</exception>
    public ArrayView<T> SubView(long offset, long count)
    {
        if (offset < 0 || count < 0 || offset > length - count) Views.Outside(offset + count, length);
        return new ArrayView<T>((nint)(pointer + offset), count);
    }

    /// <summary>
    /// The same bytes as elements of another type; a rest that does not fill an element is dropped. The alignment known so far stays: a struct of two or four equal numbers is
    /// read by one vector instruction only when the view is known to be aligned to its size, see <see cref="AsAligned16"/>.
    /// </summary>
    /// <typeparam name="TOther">Other element type.</typeparam>
    public ArrayView<TOther> Cast<TOther>() where TOther : unmanaged => new((nint)pointer, length * sizeof(T) / sizeof(TOther));

    /// <summary>The same view with the promise that its address is a multiple of 8. A wrong promise is a misaligned access.</summary>
    public ArrayView<T> AsAligned8() => this;

    /// <summary>The same view with the promise that its address is a multiple of 16. A wrong promise is a misaligned access.</summary>
    public ArrayView<T> AsAligned16() => this;

    /// <summary>The same view with the promise that its address is a multiple of 32.</summary>
    public ArrayView<T> AsAligned32() => this;

    /// <summary>The same view with the promise that its address is a multiple of 64.</summary>
    public ArrayView<T> AsAligned64() => this;

    /// <summary>The same view with the promise that its address is a multiple of 128.</summary>
    public ArrayView<T> AsAligned128() => this;
}

internal static class Views
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Outside(long index, long length) => throw new IndexOutOfRangeException($"index {index} in a view of {length} elements");
}
