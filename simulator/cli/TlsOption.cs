using System.CommandLine;
using Agent.Wire;

namespace Agent.Cli;

/// <summary>The option <c>--tls</c> of every verb that opens connections.</summary>
public static class TlsOption
{
    /// <summary>A fresh one: a verb owns its options.</summary>
    public static Option<TlsEngine> Create() => new("--tls")
    {
        Description = "Who does the work of TLS: .NET everywhere, or OpenSSL 3 driven directly (Linux; a third of the memory).",
        HelpName = string.Join('|', TlsEngines.Names),
        CustomParser = result =>
        {
            string word = result.Tokens[0].Value;
            for (int i = 0; i < TlsEngines.Names.Count; i++)
            {
                if (TlsEngines.Names[i] == word)
                {
                    return (TlsEngine)i;
                }
            }

            result.AddError($"--tls {word}: allowed are {string.Join(" and ", TlsEngines.Names)}");
            return default;
        },
    };
}
