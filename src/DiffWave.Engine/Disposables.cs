namespace DiffWave.Engine;

/// <summary>Things to be disposed of together, last first, also when making one of them fails.</summary>
internal sealed class Disposables : IDisposable
{
    private readonly Stack<IDisposable> _items = new();

    public T Add<T>(T item) where T : IDisposable
    {
        _items.Push(item);
        return item;
    }

    public void Dispose()
    {
        while (_items.TryPop(out var item)) item.Dispose();
    }
}
