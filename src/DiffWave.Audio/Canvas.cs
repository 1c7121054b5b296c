namespace DiffWave.Audio;

/// <summary>A colour of 8 bits a channel.</summary>
internal readonly record struct Rgb(byte R, byte G, byte B)
{
    /// <summary>
    /// The viridis colour map (van der Walt and Smith, 2015), which grows evenly in lightness and reads well for the colour-blind and in grey: a least-squares polynomial of
    /// degree 6 for each channel, within 2 % of the original table.
    /// </summary>
    /// <param name="t">0 (dark violet) to 1 (yellow).</param>
    public static Rgb Viridis(double t)
    {
        static byte Channel(double t, ReadOnlySpan<double> c)
        {
            double value = 0;
            for (int i = c.Length - 1; i >= 0; i--) value = value * t + c[i];
            return (byte)Math.Clamp(Math.Round(255 * value), 0, 255);
        }
        t = Math.Clamp(t, 0, 1);
        return new Rgb(
            Channel(t, [0.27772733, 0.10509304, -0.33086183, -4.63423050, 6.22826994, 4.77638500, -5.43545586]),
            Channel(t, [0.00540734, 1.40461353, 0.21484756, -5.79910097, 14.17993337, -13.74514538, 4.64585261]),
            Channel(t, [0.33409981, 1.38459016, 0.09509516, -19.33244096, 56.69055260, -65.35303263, 26.31243525]));
    }
}

/// <summary>A picture in memory that can be filled and written on.</summary>
internal sealed class Canvas
{
    private const int GlyphRows = 9, Baseline = 7, TextScale = 2;

    private readonly byte[] _rgb;

    public int Width { get; }
    public int Height { get; }
    public ReadOnlySpan<byte> Pixels => _rgb;

    /// <summary>Height of a capital letter in pixels.</summary>
    public const int CapHeight = Baseline * TextScale;

    public Canvas(int width, int height, Rgb background)
    {
        (Width, Height) = (width, height);
        _rgb = new byte[3 * width * height];
        Fill(0, 0, width, height, background);
    }

    /// <summary>Sets a pixel; outside the picture nothing happens.</summary>
    public void Set(int x, int y, Rgb color)
    {
        if ((uint)x >= (uint)Width || (uint)y >= (uint)Height) return;
        int at = 3 * (y * Width + x);
        (_rgb[at], _rgb[at + 1], _rgb[at + 2]) = (color.R, color.G, color.B);
    }

    public void Fill(int x, int y, int width, int height, Rgb color)
    {
        for (int row = y; row < y + height; row++)
            for (int column = x; column < x + width; column++) Set(column, row, color);
    }

    /// <summary>Writes text. <paramref name="align"/> 0 starts at x, 0.5 centres on it, 1 ends there; y is the top of capital letters. Upwards: turned a quarter to the left, with x and y exchanged.</summary>
    public void Text(int x, int y, string text, Rgb color, double align = 0, bool upwards = false)
    {
        int shift = (int)Math.Round(align * TextWidth(text));
        int pen = upwards ? y + shift : x - shift;
        foreach (char c in text)
        {
            (bool[,] glyph, int first, int width) = Glyph(c);
            for (int row = 0; row < GlyphRows * TextScale; row++)
                for (int column = first * TextScale; column < (first + width) * TextScale; column++)
                {
                    if (!glyph[row, column]) continue;
                    int along = column - first * TextScale;
                    if (upwards) Set(x + row, pen - along, color);
                    else Set(pen + along, y + row, color);
                }
            pen += (upwards ? -1 : 1) * (width + 1) * TextScale;
        }
    }

    public static int TextWidth(string text) => text.Sum(c => (Glyph(c).Width + 1) * TextScale) - TextScale;

    // Printable ASCII, 5 x 9 dots: nine rows a character, each one base-32 digit whose highest bit is the leftmost dot; the seventh row stands on the base line.
    private const string Font =
        "000000000444440400AAA000000AAVAVAA004FKE5U400OP248J300CIK8LID00440000000248884200842224800" + //  !"#$%&'()
        "04LEL4000044V4400000000CC48000V0000000000CC0001248G000CIIIIIC004C4444E00EH1248V00V2421HE00" + // *+,-./0123
        "26AIV2200VGU11HE0068GUHHE00V12488800EHHEHHE00EHHF12C000CC0CC0000CC0C4800248G8420000V0V0000" + // 456789:;<=
        "842124800EH1240400EH1DLLE004AHHVHH00UHHUHHU00EHGGGHE00SIHHHIS00VGGUGGV00VGGUGGG00EHGNHHF00" + // >?@ABCDEFG
        "HHHVHHH00E44444E0072222IC00HIKOKIH00GGGGGGV00HRLLHHH00HHPLJHH00EHHHHHE00UHHUGGG00EHHHLID00" + // HIJKLMNOPQ
        "UHHUKIH00FGGE11U00V44444400HHHHHHE00HHHHHA400HHHLLLA00HHA4AHH00HHHA44400V1248GV00E88888E00" + // RSTUVWXYZ[
        "0G8421000E22222E004AH0000000000000V084000000000E1FHF00GGMPHHU0000EGGHE0011DJHHF0000EHVGE00" + // \]^_`abcde
        "698S8880000FHHHF1EGGMPHHH0040C444E002062222ICGGIKOKI00C44444E0000QLLLL0000MPHHH0000EHHHE00" + // fghijklmno
        "00UHHHUGG00FHHHF1100MPGGG0000FGE1U0088S88960000HHHJD0000HHHA40000HHLLA0000HA4AH0000HHHHF1E" + // pqrstuvwxy
        "00V248V00244844200444444400844244800008L20000";                                               // z{|}~

    private static readonly (bool[,] Dots, int First, int Width)[] Glyphs = [.. Enumerable.Range(0, Font.Length / GlyphRows).Select(Decode)];

    private static (bool[,] Dots, int First, int Width) Glyph(char c) => Glyphs[c is >= ' ' and <= '~' ? c - ' ' : '?' - ' '];

    // The dots at twice the size, corners smoothed (the EPX rule): a quarter of a dot takes its two outer neighbours' colour when these agree and the others differ.
    private static (bool[,] Dots, int First, int Width) Decode(int index)
    {
        bool At(int row, int column)
        {
            if (row is < 0 or >= GlyphRows || column is < 0 or > 4) return false;
            char digit = Font[index * GlyphRows + row];
            return ((digit <= '9' ? digit - '0' : digit - 'A' + 10) >> (4 - column) & 1) != 0;
        }
        var dots = new bool[GlyphRows * TextScale, 5 * TextScale];
        int first = 5, last = -1;
        for (int row = 0; row < GlyphRows; row++)
            for (int column = 0; column < 5; column++)
            {
                bool dot = At(row, column), up = At(row - 1, column), down = At(row + 1, column), left = At(row, column - 1), right = At(row, column + 1);
                if (dot) (first, last) = (Math.Min(first, column), Math.Max(last, column));
                bool Corner(bool vertical, bool horizontal, bool otherVertical, bool otherHorizontal) =>
                    vertical == horizontal && vertical != otherVertical && horizontal != otherHorizontal ? vertical : dot;
                dots[2 * row, 2 * column] = Corner(up, left, down, right);
                dots[2 * row, 2 * column + 1] = Corner(up, right, down, left);
                dots[2 * row + 1, 2 * column] = Corner(down, left, up, right);
                dots[2 * row + 1, 2 * column + 1] = Corner(down, right, up, left);
            }
        return last < 0 ? (dots, 0, 3) : (dots, first, last - first + 1); // a space is three dots wide
    }
}
