using System.Globalization;
using System.Net.Sockets;
using Agent.Service;

// Exit codes as everywhere in this project: 0 done, 2 bad input, 3 the outside world failed.
int port = Server.DefaultPort;
if (args is ["--help"] or ["-h"])
{
    Console.WriteLine($"""
        agent-service [--port N]
          Serves the heartbeat checker on http://127.0.0.1:N (default {Server.DefaultPort}; 0 takes any free port).
        """);
    return 0;
}

if (args.Length != 0
    && !(args is ["--port", string text]
        && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out port)
        && port <= ushort.MaxValue))
{
    Console.Error.WriteLine("command line: only --port N with N from 0 to 65535 is understood");
    return 2;
}

WebApplication application = Server.Build(port, TimeProvider.System);
try
{
    await application.StartAsync();
}
catch (Exception failure) when (failure is IOException or SocketException)
{
    Console.Error.WriteLine($"cannot listen on 127.0.0.1:{port}: {failure.Message}");
    return 3;
}

Console.WriteLine($"heartbeat checker on {application.Urls.First()}, Ctrl-C ends it");
await application.WaitForShutdownAsync();
return 0;
