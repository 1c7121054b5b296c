using Xunit;

namespace DiffWave.Cpu.Tests;

public sealed class TeamTests
{
    [Theory]
    [InlineData(1, 5)]
    [InlineData(2, 1)]
    [InlineData(2, 7)]
    [InlineData(3, 2)]
    [InlineData(5, 64)]
    [InlineData(16, 1000)]
    public void EveryPieceRunsOnce(int threads, int count)
    {
        using var team = new Team(threads);
        for (int round = 0; round < 50; round++)
        {
            var runs = new int[count];
            team.Run(count, (piece, thread) =>
            {
                Assert.InRange(thread, 0, threads - 1);
                Interlocked.Increment(ref runs[piece]);
            });
            Assert.All(runs, times => Assert.Equal(1, times));
        }
    }

    [Fact]
    public void AThreadBeginsWithItsOwnStretch()
    {
        const int Threads = 4, Count = 42;
        using var team = new Team(Threads);
        var first = new int[Threads];
        Array.Fill(first, -1);
        using var all = new Barrier(Threads);
        team.Run(Count, (piece, thread) =>
        {
            if (first[thread] >= 0) return;
            first[thread] = piece;
            all.SignalAndWait(); // nobody goes on before everybody has begun
        });
        Assert.Equal([0, 10, 21, 31], first);
    }

    [Fact]
    public void TheStretchOfAThreadThatIsHeldUpIsDoneByTheOthersFromItsEnd()
    {
        const int Count = 20;
        using var team = new Team(2);
        using ManualResetEventSlim heldUp = new(), released = new();
        var pieces = new List<int>(); // of the caller
        int held = -1;
        team.Run(Count, (piece, thread) =>
        {
            if (thread == 1)
            {
                held = piece;
                heldUp.Set();
                released.Wait(TestContext.Current.CancellationToken);
                return;
            }
            heldUp.Wait(TestContext.Current.CancellationToken);
            pieces.Add(piece);
            if (pieces.Count == Count - 1) released.Set();
        });
        Assert.Equal(10, held);
        Assert.Equal([.. Enumerable.Range(0, 10), .. Enumerable.Range(11, 9).Reverse()], pieces);
    }

    [Fact]
    public void AFailureReachesTheCallerAndTheTeamGoesOn()
    {
        using var team = new Team(3);
        Assert.Throws<InvalidDataException>(() => team.Run(30, (piece, _) =>
        {
            if (piece == 17) throw new InvalidDataException();
        }));
        int runs = 0;
        team.Run(30, (_, _) => Interlocked.Increment(ref runs));
        Assert.Equal(30, runs);
    }
}
