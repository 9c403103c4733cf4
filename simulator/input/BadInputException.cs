namespace Agent.Input;

/// <summary>
/// Input a person gave us is wrong: one line that names the place, what is wrong and what is allowed. Programs end with
/// exit code 2 and print exactly this line.
/// </summary>
public sealed class BadInputException(string message) : Exception(message);
