using System.Buffers.Binary;
using System.Text;

namespace DiffWave.Audio;

/// <summary>How the numbers of an .npy file are stored.</summary>
/// <param name="Kind">numpy's type letter: f float, i signed, u unsigned.</param>
/// <param name="Bytes">Bytes a number.</param>
/// <param name="BigEndian">Byte order.</param>
internal readonly record struct NpyType(char Kind, int Bytes, bool BigEndian)
{
    /// <summary>Converts stored numbers to float32; float64 beyond its range becomes infinite.</summary>
    public void Decode(ReadOnlySpan<byte> bytes, Span<float> values)
    {
        Span<byte> number = stackalloc byte[8];
        number = number[..Bytes];
        for (int i = 0; i < values.Length; i++)
        {
            bytes.Slice(i * Bytes, Bytes).CopyTo(number);
            if (BigEndian) number.Reverse();
            values[i] = (Kind, Bytes) switch
            {
                ('f', 4) => BinaryPrimitives.ReadSingleLittleEndian(number),
                ('f', 8) => (float)BinaryPrimitives.ReadDoubleLittleEndian(number),
                ('f', _) => (float)BinaryPrimitives.ReadHalfLittleEndian(number),
                ('i', 1) => (sbyte)number[0],
                ('i', 2) => BinaryPrimitives.ReadInt16LittleEndian(number),
                ('i', 4) => BinaryPrimitives.ReadInt32LittleEndian(number),
                ('i', _) => BinaryPrimitives.ReadInt64LittleEndian(number),
                (_, 1) => number[0],
                (_, 2) => BinaryPrimitives.ReadUInt16LittleEndian(number),
                (_, 4) => BinaryPrimitives.ReadUInt32LittleEndian(number),
                _ => BinaryPrimitives.ReadUInt64LittleEndian(number),
            };
        }
    }
}

/// <summary>
/// The header of an .npy file (NumPy enhancement proposal 1): magic, version, length, and a Python dictionary literal such as
/// <c>{'descr': '&lt;f4', 'fortran_order': False, 'shape': (80, 259), }</c>. Only that literal is understood; nothing is evaluated.
/// </summary>
/// <param name="Type">Type of the numbers.</param>
/// <param name="FortranOrder">True: the first index runs fastest.</param>
/// <param name="Shape">Sizes; empty for a single number.</param>
/// <param name="Count">Product of the sizes.</param>
/// <param name="DataOffset">Where the numbers start.</param>
internal sealed record NpyHeader(NpyType Type, bool FortranOrder, int[] Shape, int Count, int DataOffset)
{
    private const int MaxHeaderBytes = 65536, MaxDimensions = 32;

    /// <summary>Reads the header from the start of the stream and checks that the stream holds exactly the array it announces.</summary>
    public static NpyHeader Read(Stream stream, string name)
    {
        InputFileException Fail(string problem) => new(name, problem);

        Span<byte> prefix = stackalloc byte[12];
        int got = InputFile.ReadUpTo(stream, prefix[..10]);
        if (got < 10 || prefix[0] != 0x93 || !prefix[1..].StartsWith("NUMPY"u8)) throw Fail("not a .npy file: it does not start with \\x93NUMPY");
        int major = prefix[6];
        if (major is < 1 or > 3) throw Fail($".npy version {major}.{prefix[7]}, expected 1.0, 2.0 or 3.0");
        long length = BinaryPrimitives.ReadUInt16LittleEndian(prefix[8..]);
        int prefixBytes = 10;
        if (major > 1)
        {
            if (InputFile.ReadUpTo(stream, prefix[10..]) < 2) throw Fail("the .npy header is truncated");
            (length, prefixBytes) = (BinaryPrimitives.ReadUInt32LittleEndian(prefix[8..]), 12);
        }
        if (length > MaxHeaderBytes) throw Fail($"the .npy header has {length} bytes, expected at most {MaxHeaderBytes}");
        byte[] text = new byte[length];
        if (InputFile.ReadUpTo(stream, text) < text.Length) throw Fail("the .npy header is truncated");

        var literal = new Literal(Encoding.UTF8.GetString(text), name);
        (string descr, bool fortran, int[] shape) = literal.Parse();
        NpyType type = ParseType(descr, name);
        long count = 1;
        foreach (int size in shape) count = size == 0 ? 0 : Math.Min(count * size, int.MaxValue + 1L); // saturating: sizes of later zeros still make zero
        if (count > Array.MaxLength) throw Fail($"the array [{string.Join(", ", shape)}] has more than {Array.MaxLength} numbers");
        long expected = count * type.Bytes, there = stream.Length - prefixBytes - length;
        if (there != expected)
            throw Fail($"{there} bytes of numbers, expected {expected} for [{string.Join(", ", shape)}] of '{descr}': the file is {(there < expected ? "truncated" : "damaged, or holds more than one array")}");
        return new NpyHeader(type, fortran, shape, (int)count, prefixBytes + (int)length);
    }

    /// <summary>A version 1.0 header for float32 in C order, padded to 64 bytes as numpy writes it.</summary>
    public static byte[] Write(ReadOnlySpan<int> shape)
    {
        var sizes = new StringBuilder();
        foreach (int size in shape) sizes.Append(size).Append(", ");
        string tuple = shape.Length == 1 ? $"({shape[0]},)" : $"({sizes.ToString().TrimEnd(',', ' ')})";
        string literal = $"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple}, }}";
        int bytes = (10 + literal.Length + 1 + 63) / 64 * 64;
        byte[] header = Encoding.ASCII.GetBytes("?NUMPY\u0001\0??" + literal.PadRight(bytes - 11) + "\n");
        header[0] = 0x93;
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(8), (ushort)(bytes - 10));
        return header;
    }

    private static NpyType ParseType(string descr, string name)
    {
        if (descr.Length == 3 && descr[0] is '<' or '>' or '|' or '=' && int.TryParse(descr.AsSpan(2), out int bytes)
            && (descr[1], bytes) is ('f', 2 or 4 or 8) or ('i' or 'u', 1 or 2 or 4 or 8))
            return new NpyType(descr[1], bytes, descr[0] == '>');
        string what = descr.Contains('O') ? "Python objects, which are never loaded" : $"numbers of type '{Shorten(descr)}'";
        throw new InputFileException(name, $"the array holds {what}; expected float32, float64, float16 or integers (save it with .astype('float32'))");
    }

    private static string Shorten(string text) => text.Length <= 40 ? text : text[..40] + "...";

    // A reader for the one literal that numpy writes: a dictionary of string keys to a string, a bool or a tuple of integers.
    private sealed class Literal(string text, string name)
    {
        private int _at;

        public (string Descr, bool Fortran, int[] Shape) Parse()
        {
            string? descr = null;
            bool? fortran = null;
            int[]? shape = null;
            Expect('{');
            while (!Accept('}'))
            {
                string key = String();
                Expect(':');
                switch (key)
                {
                    case "descr" when descr is null: descr = Peek() == '[' ? throw Fail("the array has named fields, expected plain numbers") : String(); break;
                    case "fortran_order" when fortran is null: fortran = Bool(); break;
                    case "shape" when shape is null: shape = Tuple(); break;
                    default: throw Fail($"the .npy header has the key '{Shorten(key)}', expected descr, fortran_order and shape once each");
                }
                if (!Accept(',') && Peek() != '}') throw Unexpected("',' or '}'");
            }
            if (Peek() != '\0') throw Unexpected("nothing");
            if (descr is null || fortran is null || shape is null) throw Fail("the .npy header lacks descr, fortran_order or shape");
            return (descr, fortran.Value, shape);
        }

        private char Peek()
        {
            while (_at < text.Length && text[_at] is ' ' or '\n' or '\t' or '\r') _at++;
            return _at < text.Length ? text[_at] : '\0';
        }

        private bool Accept(char c)
        {
            if (Peek() != c) return false;
            _at++;
            return true;
        }

        private void Expect(char c) { if (!Accept(c)) throw Unexpected($"'{c}'"); }

        private string String()
        {
            char quote = Peek();
            if (quote is not ('\'' or '"')) throw Unexpected("a string");
            int end = text.IndexOf(quote, _at + 1);
            if (end < 0) throw Unexpected("a closing quote");
            string value = text[(_at + 1)..end];
            _at = end + 1;
            return value;
        }

        private bool Bool()
        {
            Peek();
            foreach ((string word, bool value) in new[] { ("True", true), ("False", false) })
                if (string.CompareOrdinal(text, _at, word, 0, word.Length) == 0) { _at += word.Length; return value; }
            throw Unexpected("True or False");
        }

        private int[] Tuple()
        {
            var sizes = new List<int>();
            Expect('(');
            while (!Accept(')'))
            {
                Peek();
                int start = _at;
                while (_at < text.Length && char.IsAsciiDigit(text[_at])) _at++;
                if (_at == start) throw Unexpected("a size");
                if (!int.TryParse(text.AsSpan(start, _at - start), out int size)) throw Fail($"a size of the shape is {Shorten(text[start.._at])}, expected at most {int.MaxValue}");
                if (sizes.Count == MaxDimensions) throw Fail($"the shape has more than {MaxDimensions} sizes");
                sizes.Add(size);
                Accept('L'); // Python 2 wrote long integers so
                if (!Accept(',') && Peek() != ')') throw Unexpected("',' or ')'");
            }
            return [.. sizes];
        }

        private InputFileException Unexpected(string expected) => Fail($"the .npy header is damaged at character {_at}: expected {expected}");

        private InputFileException Fail(string problem) => new(name, problem);
    }
}
