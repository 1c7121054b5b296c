using System.Reflection;
using System.Reflection.Emit;
using DiffWave.Device;

namespace DiffWave.Compiler.Tests;

/// <summary>
/// Writes random kernels as IL: every thread works on numbers of its own with all types and operators, nested branches, loops with one and two exits, switches, structs and arrays.
/// Loops are bounded and divisions guarded, so each kernel ends without an exception; the same seed and size give the same kernel.
/// </summary>
internal sealed partial class RandomKernel
{
    /// <summary>Threads of a run, and elements of every input.</summary>
    public const int Threads = 32;

    /// <summary>Elements a thread writes to each output.</summary>
    public const int Results = 4;

    /// <summary>Parameters: four inputs and four outputs, of int, long, float and double.</summary>
    public static readonly Type[] Parameters = [.. Enumerable.Repeat<Type[]>([typeof(int), typeof(long), typeof(float), typeof(double)], 2).SelectMany(types => types).Select(ViewOf)];

    private static readonly Type[] LocalTypes =
    [
        typeof(int), typeof(int), typeof(int), typeof(uint), typeof(uint), typeof(long), typeof(long), typeof(ulong), typeof(float), typeof(float), typeof(float), typeof(double), typeof(double),
        typeof(sbyte), typeof(byte), typeof(short), typeof(ushort), typeof(bool),
    ];

    private readonly Random random;
    private readonly ILGenerator il;
    private readonly Dictionary<(string Name, Type Type), MethodInfo> extremes;
    private readonly List<LocalBuilder> locals = [];
    private readonly LocalBuilder index, vector, pair, array;
    private readonly Stack<(Label Break, Label Continue)> loops = [];
    private int statements;

    private RandomKernel(int seed, int size, ILGenerator il, Dictionary<(string Name, Type Type), MethodInfo> extremes)
    {
        (random, this.il, this.extremes, statements) = (new Random(seed), il, extremes, size);
        index = il.DeclareLocal(typeof(int));
        vector = il.DeclareLocal(typeof(Float4));
        pair = il.DeclareLocal(typeof(UInt2));
        array = il.DeclareLocal(typeof(ArrayView<int>));
        foreach (var type in LocalTypes) locals.Add(il.DeclareLocal(type));
    }

    /// <summary>Writes kernels of consecutive seeds into an assembly and loads it.</summary>
    /// <param name="firstSeed">Seed of the first.</param>
    /// <param name="count">How many.</param>
    /// <param name="size">Statements of each.</param>
    public static MethodInfo[] Load(int firstSeed, int count, int size)
    {
        var assembly = new PersistedAssemblyBuilder(new AssemblyName("RandomKernels"), typeof(object).Assembly);
        var type = assembly.DefineDynamicModule("RandomKernels").DefineType("Kernels", TypeAttributes.Public | TypeAttributes.Abstract | TypeAttributes.Sealed);
        var extremes = new[] { "Min", "Max" }.SelectMany(name => new[] { typeof(float), typeof(double) }, (name, real) => (name, real)).ToDictionary(key => key, key => Extreme(type, key.name, key.real));
        for (int seed = firstSeed; seed < firstSeed + count; seed++)
        {
            var method = type.DefineMethod(NameOf(seed), MethodAttributes.Public | MethodAttributes.Static, typeof(void), Parameters);
            method.SetCustomAttribute(new CustomAttributeBuilder(typeof(KernelAttribute).GetConstructors()[0], [NameOf(seed)], [typeof(KernelAttribute).GetProperty(nameof(KernelAttribute.AllowLocalMemory))!], [true]));
            for (int i = 0; i < Parameters.Length; i++) method.DefineParameter(i + 1, ParameterAttributes.None, $"p{i}");
            new RandomKernel(seed, size, method.GetILGenerator(), extremes).Body();
        }
        type.CreateType();
        using var stream = new MemoryStream();
        assembly.Save(stream);
        var loaded = Assembly.Load(stream.ToArray()).GetType("Kernels")!;
        return [.. Enumerable.Range(firstSeed, count).Select(seed => loaded.GetMethod(NameOf(seed))!)];
    }

    // Min or Max behind a call: with a literal zero beside it, .NET itself chooses between -0 and +0 in another way than its documentation and its own code without the literal.
    private static MethodInfo Extreme(TypeBuilder type, string name, Type real)
    {
        var method = type.DefineMethod(name + real.Name, MethodAttributes.Public | MethodAttributes.Static, real, [real, real]);
        method.SetImplementationFlags(MethodImplAttributes.NoInlining);
        var body = method.GetILGenerator();
        body.Emit(OpCodes.Ldarg_0);
        body.Emit(OpCodes.Ldarg_1);
        body.Emit(OpCodes.Call, typeof(Math).GetMethod(name, [real, real])!);
        body.Emit(OpCodes.Ret);
        return method;
    }

    private static string NameOf(int seed) => $"random_{seed}";

    private static Type ViewOf(Type element) => typeof(ArrayView<>).MakeGenericType(element);

    private bool Chance(int percent) => random.Next(100) < percent;

    private LocalBuilder Local(Type type)
    {
        var fitting = locals.FindAll(local => local.LocalType == type);
        return fitting[random.Next(fitting.Count)];
    }

    private void Body()
    {
        il.Emit(OpCodes.Call, typeof(Group).GetProperty(nameof(Group.IdxX))!.GetMethod!);
        il.Emit(OpCodes.Stloc, index);
        il.Emit(OpCodes.Ldc_I4_4);
        il.Emit(OpCodes.Call, typeof(LocalMemory).GetMethod(nameof(LocalMemory.Allocate))!.MakeGenericMethod(typeof(int)));
        il.Emit(OpCodes.Stloc, array);
        // C# demands that every local has a value before it is read.
        foreach (var local in new[] { vector, pair })
        {
            il.Emit(OpCodes.Ldloca, local);
            il.Emit(OpCodes.Initobj, local.LocalType);
        }
        foreach (var local in locals)
        {
            if (local.LocalType == typeof(bool)) il.Emit(OpCodes.Ldc_I4_0);
            else Input(local.LocalType, anywhere: false);
            if (IsSmall(local.LocalType)) Convert(typeof(int), local.LocalType);
            il.Emit(OpCodes.Stloc, local);
        }
        Block(0);
        // The locals of each type, folded into the results.
        foreach (var local in locals) Store(local);
        il.Emit(OpCodes.Ret);
    }

    private void Store(LocalBuilder local)
    {
        var type = local.LocalType;
        int output = type == typeof(long) || type == typeof(ulong) ? 5 : type == typeof(float) ? 6 : type == typeof(double) ? 7 : 4;
        var element = Parameters[output].GenericTypeArguments[0];
        il.Emit(OpCodes.Ldarga_S, (byte)output);
        il.Emit(OpCodes.Ldloc, index);
        il.Emit(OpCodes.Ldc_I4, Results);
        il.Emit(OpCodes.Mul);
        il.Emit(OpCodes.Ldc_I4, locals.IndexOf(local) % Results);
        il.Emit(OpCodes.Add);
        il.Emit(OpCodes.Call, Element(Parameters[output]));
        if (element == typeof(int) || element == typeof(long))
        {
            // results = results * 31 + local
            il.Emit(OpCodes.Dup);
            il.Emit(OpCodes.Ldobj, element);
            il.Emit(OpCodes.Ldc_I4, 31);
            if (element == typeof(long)) il.Emit(OpCodes.Conv_I8);
            il.Emit(OpCodes.Mul);
            il.Emit(OpCodes.Ldloc, local);
            il.Emit(OpCodes.Add);
        }
        else il.Emit(OpCodes.Ldloc, local);
        il.Emit(OpCodes.Stobj, element);
    }

    private static MethodInfo Element(Type view) => view.GetMethod("get_Item", [typeof(int)])!;

    private void Block(int depth)
    {
        for (int count = random.Next(1, 5); count > 0 && statements > 0; count--) Statement(depth);
        if (depth == 0)
            while (statements > 0) Statement(0);
    }

    private void Statement(int depth)
    {
        statements--;
        switch (depth > 3 ? 0 : random.Next(12))
        {
            case 0 or 1 or 2 or 3: Assign(); break;
            case 4 or 5: If(depth); break;
            case 6: For(depth); break;
            case 7: While(depth); break;
            case 8: Switch(depth); break;
            case 9: StructOrArray(); break;
            case 10 when loops.Count > 0: Leave(); break;
            default: Swap(); break;
        }
    }

    private void Assign()
    {
        var local = locals[random.Next(locals.Count)];
        Expression(local.LocalType, 3);
        il.Emit(OpCodes.Stloc, local);
    }

    private void Swap()
    {
        var type = LocalTypes[random.Next(LocalTypes.Length)];
        LocalBuilder a = Local(type), b = Local(type);
        il.Emit(OpCodes.Ldloc, a);
        il.Emit(OpCodes.Ldloc, b);
        il.Emit(OpCodes.Stloc, a);
        il.Emit(OpCodes.Stloc, b);
    }

    private void If(int depth)
    {
        Label no = il.DefineLabel(), end = il.DefineLabel();
        Condition(no, 2);
        Block(depth + 1);
        bool hasElse = Chance(50);
        if (hasElse) il.Emit(OpCodes.Br, end);
        il.MarkLabel(no);
        if (hasElse) Block(depth + 1);
        il.MarkLabel(end);
    }

    // The test stands at the end, as the C# compiler writes it, or at the start.
    private void For(int depth)
    {
        var counter = il.DeclareLocal(typeof(int));
        var bound = il.DeclareLocal(typeof(int));
        if (Chance(40)) il.Emit(OpCodes.Ldc_I4, random.Next(5)); // unrolled
        else
        {
            Expression(typeof(int), 1);
            il.Emit(OpCodes.Ldc_I4_7);
            il.Emit(OpCodes.And);
        }
        il.Emit(OpCodes.Stloc, bound);
        il.Emit(OpCodes.Ldc_I4_0);
        il.Emit(OpCodes.Stloc, counter);
        Label body = il.DefineLabel(), next = il.DefineLabel(), test = il.DefineLabel(), end = il.DefineLabel();
        bool testFirst = Chance(30);
        if (testFirst)
        {
            il.MarkLabel(test);
            Test(OpCodes.Bge, end);
        }
        else il.Emit(OpCodes.Br, test);
        il.MarkLabel(body);
        loops.Push((end, next));
        Block(depth + 1);
        if (Chance(50))
        {
            // The counter itself takes part.
            var local = Local(typeof(int));
            il.Emit(OpCodes.Ldloc, local);
            il.Emit(OpCodes.Ldloc, counter);
            il.Emit(Chance(50) ? OpCodes.Add : OpCodes.Xor);
            il.Emit(OpCodes.Stloc, local);
        }
        loops.Pop();
        il.MarkLabel(next);
        il.Emit(OpCodes.Ldloc, counter);
        il.Emit(OpCodes.Ldc_I4, random.Next(1, 3));
        il.Emit(OpCodes.Add);
        il.Emit(OpCodes.Stloc, counter);
        if (testFirst) il.Emit(OpCodes.Br, test);
        else
        {
            il.MarkLabel(test);
            Test(OpCodes.Blt, body);
        }
        il.MarkLabel(end);

        void Test(OpCode branch, Label target)
        {
            il.Emit(OpCodes.Ldloc, counter);
            il.Emit(OpCodes.Ldloc, bound);
            il.Emit(branch, target);
        }
    }

    // while (condition && fuel > 0): two exits, and perhaps a third inside.
    private void While(int depth)
    {
        var fuel = il.DeclareLocal(typeof(int));
        Label body = il.DefineLabel(), test = il.DefineLabel(), end = il.DefineLabel();
        il.Emit(OpCodes.Ldc_I4, random.Next(1, 6));
        il.Emit(OpCodes.Stloc, fuel);
        if (Chance(70)) il.Emit(OpCodes.Br, test); // otherwise do .. while
        il.MarkLabel(body);
        il.Emit(OpCodes.Ldloc, fuel);
        il.Emit(OpCodes.Ldc_I4_1);
        il.Emit(OpCodes.Sub);
        il.Emit(OpCodes.Stloc, fuel);
        loops.Push((end, test));
        Block(depth + 1);
        if (Chance(40))
        {
            Label on = il.DefineLabel();
            Condition(on, 1);
            il.Emit(OpCodes.Br, end);
            il.MarkLabel(on);
        }
        loops.Pop();
        il.MarkLabel(test);
        Condition(end, 1);
        il.Emit(OpCodes.Ldloc, fuel);
        il.Emit(OpCodes.Ldc_I4_0);
        il.Emit(OpCodes.Bgt, body);
        il.MarkLabel(end);
    }

    private void Switch(int depth)
    {
        Label[] cases = [.. Enumerable.Range(0, random.Next(2, 5)).Select(_ => il.DefineLabel())];
        Label end = il.DefineLabel();
        Expression(typeof(int), 2);
        il.Emit(OpCodes.Ldc_I4_7);
        il.Emit(OpCodes.And);
        il.Emit(OpCodes.Switch, [.. cases, .. cases.Take(Chance(30) ? 1 : 0)]);
        if (Chance(60)) Block(depth + 1);
        il.Emit(OpCodes.Br, end);
        foreach (var label in cases)
        {
            il.MarkLabel(label);
            Block(depth + 1);
            il.Emit(OpCodes.Br, end);
        }
        il.MarkLabel(end);
    }

    private void Leave()
    {
        Label on = il.DefineLabel();
        Condition(on, 1);
        var loop = loops.Skip(random.Next(loops.Count)).First(); // of an outer loop, too
        il.Emit(OpCodes.Br, Chance(50) ? loop.Break : loop.Continue);
        il.MarkLabel(on);
    }

    private void StructOrArray()
    {
        switch (random.Next(4))
        {
            case 0:
                il.Emit(OpCodes.Ldloca, vector);
                Expression(typeof(float), 2);
                il.Emit(OpCodes.Stfld, VectorField());
                break;
            case 1:
                il.Emit(OpCodes.Ldloca, pair);
                Expression(typeof(uint), 2);
                il.Emit(OpCodes.Stfld, PairField());
                break;
            case 2:
                Expression(typeof(uint), 1);
                Expression(typeof(uint), 1);
                il.Emit(OpCodes.Newobj, typeof(UInt2).GetConstructors()[0]);
                il.Emit(OpCodes.Stloc, pair);
                break;
            default:
                ArrayElement();
                Expression(typeof(int), 2);
                il.Emit(OpCodes.Stind_I4);
                break;
        }
    }

    private void ArrayElement()
    {
        il.Emit(OpCodes.Ldloca, array);
        if (Chance(70)) il.Emit(OpCodes.Ldc_I4, random.Next(4));
        else
        {
            Expression(typeof(int), 1);
            il.Emit(OpCodes.Ldc_I4_3);
            il.Emit(OpCodes.And);
        }
        il.Emit(OpCodes.Call, Element(typeof(ArrayView<int>)));
    }

    private FieldInfo VectorField() => typeof(Float4).GetField("XYZW"[random.Next(4)].ToString())!;

    private FieldInfo PairField() => typeof(UInt2).GetField("XY"[random.Next(2)].ToString())!;
}
