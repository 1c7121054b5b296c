using System.Reflection.Emit;

namespace DiffWave.Compiler.Tests;

internal sealed partial class RandomKernel
{
    private static readonly int[] IntConstants = [0, 1, -1, 2, 3, 5, 7, 8, 31, 100, -128, 255, 65535, int.MaxValue, int.MinValue, 0x12345678];
    private static readonly long[] LongConstants = [0, 1, -1, 10, 1L << 32, uint.MaxValue, long.MaxValue, long.MinValue, 0x123456789ABCDEF];

    private static readonly float[] FloatConstants =
        [0, -0f, 1, -1, 0.5f, 3.25f, -1e-3f, 1e10f, 4e9f, float.Epsilon, 1.17549435e-38f, float.MaxValue, float.PositiveInfinity, float.NegativeInfinity, float.NaN, 16777217, 2147483648];

    private static readonly double[] DoubleConstants = [0, -0d, 1, -2.5, 1e300, 1e-310, double.Epsilon, double.MaxValue, double.PositiveInfinity, double.NaN, 4294967296.5, 1 / 3d];

    private static readonly OpCode[] Branches = [OpCodes.Beq, OpCodes.Bne_Un, OpCodes.Blt, OpCodes.Ble, OpCodes.Bgt, OpCodes.Bge, OpCodes.Blt_Un, OpCodes.Ble_Un, OpCodes.Bgt_Un, OpCodes.Bge_Un];
    private static readonly OpCode[] Comparisons = [OpCodes.Ceq, OpCodes.Clt, OpCodes.Clt_Un, OpCodes.Cgt, OpCodes.Cgt_Un];
    private static readonly OpCode[] IntegerOperators = [OpCodes.Add, OpCodes.Sub, OpCodes.Mul, OpCodes.And, OpCodes.Or, OpCodes.Xor];
    private static readonly OpCode[] FloatOperators = [OpCodes.Add, OpCodes.Sub, OpCodes.Mul, OpCodes.Div];

    private static readonly Type[] Numbers =
        [typeof(int), typeof(uint), typeof(long), typeof(ulong), typeof(float), typeof(double), typeof(sbyte), typeof(byte), typeof(short), typeof(ushort)];

    private static bool IsFloat(Type type) => type == typeof(float) || type == typeof(double);

    private static bool IsLong(Type type) => type == typeof(long) || type == typeof(ulong);

    private static bool IsUnsigned(Type type) => type == typeof(uint) || type == typeof(ulong) || type == typeof(byte) || type == typeof(ushort);

    private static bool IsSmall(Type type) => type == typeof(sbyte) || type == typeof(byte) || type == typeof(short) || type == typeof(ushort);

    private T Pick<T>(T[] choices) => choices[random.Next(choices.Length)];

    // Leaves a value of the type on the stack.
    private void Expression(Type type, int depth)
    {
        if (type == typeof(bool))
        {
            Compare(depth - 1);
            return;
        }
        if (IsSmall(type))
        {
            Expression(Chance(70) ? typeof(int) : Pick(Numbers[..6]), depth, out var from);
            Convert(from, type);
            return;
        }
        if (depth <= 0 || Chance(15)) Leaf(type);
        else if (Chance(12)) Conditional(type, depth);
        else if (Chance(20)) Converted(type, depth);
        else if (IsFloat(type)) FloatOperation(type, depth);
        else IntegerOperation(type, depth);
    }

    private void Expression(Type type, int depth, out Type written)
    {
        Expression(type, depth);
        written = type;
    }

    private void Leaf(Type type)
    {
        int kind = random.Next(10);
        if (kind < 3) Constant(type);
        else if (kind < 5) Input(type, Chance(40));
        else if (type == typeof(float) && kind == 5)
        {
            il.Emit(OpCodes.Ldloc, vector);
            il.Emit(OpCodes.Ldfld, VectorField());
        }
        else if (type == typeof(uint) && kind == 5)
        {
            il.Emit(OpCodes.Ldloca, pair);
            il.Emit(OpCodes.Ldfld, PairField());
        }
        else if (type == typeof(int) && kind == 5)
        {
            ArrayElement();
            il.Emit(OpCodes.Ldind_I4);
        }
        else if (type == typeof(int) && kind == 6) il.Emit(OpCodes.Ldloc, locals.FindAll(local => IsSmall(local.LocalType) || local.LocalType == typeof(bool))[random.Next(5)]);
        else il.Emit(OpCodes.Ldloc, Local(type));
    }

    private void Constant(Type type)
    {
        if (type == typeof(float)) il.Emit(OpCodes.Ldc_R4, Pick(FloatConstants));
        else if (type == typeof(double)) il.Emit(OpCodes.Ldc_R8, Pick(DoubleConstants));
        else if (IsLong(type)) il.Emit(OpCodes.Ldc_I8, Pick(LongConstants));
        else il.Emit(OpCodes.Ldc_I4, Pick(IntConstants));
    }

    // An element of the input of this kind of number: the thread's own, or any.
    private void Input(Type type, bool anywhere)
    {
        int input = IsLong(type) ? 1 : type == typeof(float) ? 2 : type == typeof(double) ? 3 : 0;
        il.Emit(OpCodes.Ldarga_S, (byte)input);
        il.Emit(OpCodes.Ldloc, index);
        if (anywhere)
        {
            il.Emit(OpCodes.Ldloc, Local(typeof(int)));
            il.Emit(OpCodes.Add);
            il.Emit(OpCodes.Ldc_I4, Threads - 1);
            il.Emit(OpCodes.And);
        }
        il.Emit(OpCodes.Call, Element(Parameters[input]));
        il.Emit(OpCodes.Ldobj, Parameters[input].GenericTypeArguments[0]);
    }

    // A choice with a value on the stack where the paths meet, on top of what already lies there.
    private void Conditional(Type type, int depth)
    {
        Label no = il.DefineLabel(), end = il.DefineLabel();
        Condition(no, depth - 1);
        Expression(type, depth - 1);
        il.Emit(OpCodes.Br, end);
        il.MarkLabel(no);
        Expression(type, depth - 1);
        il.MarkLabel(end);
    }

    private void Converted(Type type, int depth)
    {
        var from = Pick(Numbers);
        Expression(from, depth - 1);
        Convert(from, type);
    }

    private void Convert(Type from, Type to)
    {
        if (IsFloat(to))
        {
            if (IsUnsigned(from) && !IsSmall(from)) il.Emit(OpCodes.Conv_R_Un);
            il.Emit(to == typeof(float) ? OpCodes.Conv_R4 : OpCodes.Conv_R8);
        }
        else if (to == typeof(long)) il.Emit(IsUnsigned(from) ? OpCodes.Conv_U8 : OpCodes.Conv_I8);
        else if (to == typeof(ulong)) il.Emit(IsFloat(from) || IsUnsigned(from) ? OpCodes.Conv_U8 : OpCodes.Conv_I8);
        else if (to == typeof(int)) il.Emit(OpCodes.Conv_I4);
        else if (to == typeof(uint)) il.Emit(OpCodes.Conv_U4);
        else il.Emit(to == typeof(sbyte) ? OpCodes.Conv_I1 : to == typeof(byte) ? OpCodes.Conv_U1 : to == typeof(short) ? OpCodes.Conv_I2 : OpCodes.Conv_U2);
    }

    private void FloatOperation(Type type, int depth)
    {
        var library = type == typeof(float) ? typeof(MathF) : typeof(Math);
        switch (random.Next(9))
        {
            case < 5:
                Expression(type, depth - 1);
                Expression(type, depth - 1);
                il.Emit(Pick(FloatOperators));
                break;
            case 5:
                Expression(type, depth - 1);
                il.Emit(OpCodes.Neg);
                break;
            case 6:
                Expression(type, depth - 1);
                il.Emit(OpCodes.Call, library.GetMethod(Pick(["Sqrt", "Abs", "Floor", "Ceiling", "Truncate", "Round"]), [type])!);
                break;
            case 7:
                Expression(type, depth - 1);
                Expression(type, depth - 1);
                il.Emit(OpCodes.Call, extremes[(Pick(["Min", "Max"]), type)]);
                break;
            default:
                for (int i = 0; i < 3; i++) Expression(type, depth - 1);
                il.Emit(OpCodes.Call, library.GetMethod("FusedMultiplyAdd", [type, type, type])!);
                break;
        }
    }

    private void IntegerOperation(Type type, int depth)
    {
        bool isUnsigned = IsUnsigned(type);
        switch (random.Next(12))
        {
            case < 6:
                Expression(type, depth - 1);
                Expression(type, depth - 1);
                il.Emit(Pick(IntegerOperators));
                break;
            case 6 or 7: // C# masks the count
                Expression(type, depth - 1);
                Expression(typeof(int), depth - 1);
                il.Emit(OpCodes.Ldc_I4, IsLong(type) ? 63 : 31);
                il.Emit(OpCodes.And);
                il.Emit(Pick([OpCodes.Shl, OpCodes.Shr, OpCodes.Shr_Un]));
                break;
            case 8:
                Expression(type, depth - 1);
                Divisor(type, depth - 1);
                il.Emit(isUnsigned ? Pick([OpCodes.Div_Un, OpCodes.Rem_Un]) : Pick([OpCodes.Div, OpCodes.Rem]));
                break;
            case 9:
                Expression(type, depth - 1);
                il.Emit(Pick([OpCodes.Neg, OpCodes.Not]));
                break;
            case 10:
                Expression(type, depth - 1);
                Expression(type, depth - 1);
                il.Emit(OpCodes.Call, typeof(Math).GetMethod(Pick(["Min", "Max"]), [type, type])!);
                break;
            default:
                Compare(depth - 1);
                if (IsLong(type)) il.Emit(OpCodes.Conv_I8);
                break;
        }
    }

    // Never 0, and of signed ones never -1 either.
    private void Divisor(Type type, int depth)
    {
        if (Chance(40))
        {
            int constant = Pick([1, 2, 3, 7, 8, 10, 1000, 65536]) * (IsUnsigned(type) || Chance(70) ? 1 : -3);
            if (IsLong(type)) il.Emit(OpCodes.Ldc_I8, (long)constant);
            else il.Emit(OpCodes.Ldc_I4, constant);
            return;
        }
        Expression(type, depth);
        Wide(1);
        il.Emit(OpCodes.Or);
        if (IsUnsigned(type)) return;
        // Bit 1 cleared: odd, and so neither 0 nor -1.
        Wide(-3);
        il.Emit(OpCodes.And);

        void Wide(int value)
        {
            il.Emit(OpCodes.Ldc_I4, value);
            if (IsLong(type)) il.Emit(OpCodes.Conv_I8);
        }
    }

    private void Compare(int depth)
    {
        var type = Pick(Numbers[..6]);
        Expression(type, depth);
        Expression(type, depth);
        il.Emit(Pick(Comparisons));
        if (!Chance(30)) return;
        il.Emit(OpCodes.Ldc_I4_0); // "not"
        il.Emit(OpCodes.Ceq);
    }

    // Jumps to the label or goes on, depending on numbers: one comparison, two joined by and, two joined by or, or a truth value.
    private void Condition(Label otherwise, int depth)
    {
        switch (random.Next(depth > 0 ? 7 : 4))
        {
            case < 3:
                var type = Pick(Numbers[..6]);
                Expression(type, depth - 1);
                Expression(type, depth - 1);
                il.Emit(Pick(Branches), otherwise);
                break;
            case 3:
                if (Chance(50)) il.Emit(OpCodes.Ldloc, Local(typeof(bool)));
                else Expression(Pick([typeof(int), typeof(long), typeof(bool)]), depth - 1);
                il.Emit(Chance(50) ? OpCodes.Brtrue : OpCodes.Brfalse, otherwise);
                break;
            case 4 or 5:
                Condition(otherwise, depth - 1);
                Condition(otherwise, depth - 1);
                break;
            default:
                Label second = il.DefineLabel(), on = il.DefineLabel();
                Condition(second, depth - 1);
                il.Emit(OpCodes.Br, on);
                il.MarkLabel(second);
                Condition(otherwise, depth - 1);
                il.MarkLabel(on);
                break;
        }
    }
}
