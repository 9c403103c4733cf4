using System.Net.Sockets;
using Agent.Service;
using Agent.Service.Doctor;

// Exit codes as everywhere in this project: 0 done, 1 an expectation failed, 2 bad input, 3 the outside world failed.
CommandLine line;
try
{
    line = CommandLine.Parse(args, Environment.GetEnvironmentVariable);
}
catch (CommandLineException wrong)
{
    Console.Error.WriteLine("command line: " + wrong.Message);
    return 2;
}

switch (line.Verb)
{
    case "help":
        Console.WriteLine(CommandLine.Help);
        return 0;
    case "import":
        return ImportVerb.Run(line, Console.Out, Console.Error, TimeProvider.System);
    case "doctor":
        return await CheckerQuery.ExamineAsync(
            line.Rest, Environment.GetEnvironmentVariable, Console.Out, Console.Error, TimeProvider.System, CancellationToken.None);
    case "bench":
        return await BenchVerb.RunAsync(line, Console.Out, Console.Error);
}

WebApplication application;
try
{
    application = Build(line);
}
catch (StoreException failure)
{
    Console.Error.WriteLine(failure.Message);
    return 3;
}

await using (application)
{
    try
    {
        await application.StartAsync();
    }
    catch (Exception failure) when (failure is IOException or SocketException)
    {
        Console.Error.WriteLine($"cannot listen on {line.Options.Address}:{line.Options.Port}: {failure.Message}");
        return 3;
    }

    Console.WriteLine($"heartbeat checker on {application.Urls.First()}, Ctrl-C ends it");
    await application.WaitForShutdownAsync();
    Task<string> ended = application.Services.GetRequiredService<CheckLoop>().Ended;
    if (ended.IsCompleted)
    {
        Console.Error.WriteLine(ended.Result);
        return 3;
    }
}

return 0;

static WebApplication Build(CommandLine line)
{
    try
    {
        return Server.Build(line.Options, TimeProvider.System);
    }
    catch (StoreException taken) when (
        !line.IsFolderNamed && !line.IsPostgres && line.Options.Alarms is null && taken.InnerException is IOException)
    {
        // Nobody asked for this folder, so another checker that has it is no reason not to start.
        Console.Error.WriteLine($"{taken.Message}: this one keeps nothing; --data DIR gives it a folder of its own");
        return Server.Build(line.Options with { Folder = null }, TimeProvider.System);
    }
}
