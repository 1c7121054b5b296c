namespace DiffWave.Engine;

/// <summary>Distance between the predicted and the true noise.</summary>
public enum LossKind
{
    /// <summary>Mean absolute error, as lmnt trains.</summary>
    L1,
    /// <summary>Mean squared error, as the paper's equation 7.</summary>
    Mse,
}
