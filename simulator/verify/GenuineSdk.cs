using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Agent.Verify;

/// <summary>The genuine SDK, or what runs it, is not on this machine.</summary>
public sealed class MissingSdkException(string message) : Exception(message);

/// <summary>How a driver is started: program, arguments before the contract's own, version of the SDK behind it.</summary>
public sealed record DriverCommand(string Program, IReadOnlyList<string> Arguments, string Version);

/// <summary>A client somebody else wrote, the driver that runs it, and the model it is laid beside.</summary>
/// <param name="Id">The word on the command line.</param>
/// <param name="Model">The scenario's <c>sdk</c>.</param>
/// <param name="Package">Name of the package, for people.</param>
/// <param name="HowToGet">What to do when it is missing.</param>
public sealed record GenuineSdk(string Id, string Model, string Package, string HowToGet)
{
    /// <summary>Whether a renewal margin can be set.</summary>
    public bool TakesMargin { get; init; }

    /// <summary>A margin built into the SDK, seconds; 0 = none.</summary>
    public long FixedMarginSeconds { get; init; }

    /// <summary>Whether it can dial no other port than 8883.</summary>
    public bool NeedsPort8883 { get; init; }

    /// <summary>What it is told to call the hub. Java wants a dot in it.</summary>
    public string HostName { get; init; } = "localhost";

    /// <summary>Finds the driver; null = there is none in this repository.</summary>
    public Func<string, DriverCommand?>? Locate { get; init; }

    /// <summary>In the order in which they are listed.</summary>
    public static IReadOnlyList<GenuineSdk> All { get; } =
    [
        new("node", "node", "azure-iot-device (npm)", "npm ci --prefix simulator/real/node")
        {
            TakesMargin = true,
            Locate = FindNode,
        },
        new("dotnet", "dotnet", "Microsoft.Azure.Devices.Client 1.42.3 (NuGet)", "dotnet build simulator/real/dotnet -p:GenuineSdk=true")
        {
            TakesMargin = true,
            NeedsPort8883 = true,
            Locate = real => FindDotnet(real, "dotnet", "DotnetDriver.dll", "Microsoft.Azure.Devices.Client"),
        },
        new("java", "java", "com.microsoft.azure.sdk.iot:iot-device-client 2.5.1 (Maven)", "mvn -f simulator/real/java package")
        {
            NeedsPort8883 = true,
            HostName = "127.0.0.1",
            Locate = FindJava,
        },
        new("python", "python", "azure-iot-device (pip)", "pip install -r simulator/real/python/requirements.txt")
        {
            FixedMarginSeconds = 120,
            NeedsPort8883 = true,
            Locate = FindPython,
        },
        new("mqttnet", "embedded-c", "MQTTnet (NuGet)", "dotnet build simulator/real/mqttnet -p:GenuineSdk=true")
        {
            Locate = real => FindDotnet(real, "mqttnet", "MqttnetDriver.dll", "MQTTnet"),
        },
        Without("dotnet-v2", "Microsoft.Azure.Devices.Client 2.0.0-preview008 (NuGet)"),
        Without("python-v3", "azure-iot-device 3.0.0b2 (pip)"),
        Without("c", "azure-iot-sdk-c"),
        Without("embedded-c", "azure-sdk-for-c"),
        Without("arduino-esp32", "azure-sdk-for-c-arduino"),
        Without("arduino-central", "azure-sdk-for-c-arduino"),
        Without("esp8266", "azure-sdk-for-c-arduino"),
        Without("freertos", "azure-iot-middleware-freertos"),
        Without("nanoframework", "nanoFramework.Azure.Devices.Client, which runs on a board only"),
        Without("agent", "this project's own agent; run it with: dotnet run --project device/host"),
    ];

    /// <summary>The row of an id; null when there is none.</summary>
    public static GenuineSdk? Find(string id) => All.FirstOrDefault(sdk => sdk.Id == id);

    /// <summary>How to start it.</summary>
    /// <exception cref="MissingSdkException">It is not to be had on this machine.</exception>
    public DriverCommand Require()
    {
        if (Locate is null)
        {
            throw new MissingSdkException($"{Id}: there is no driver for the genuine SDK in simulator/real ({Package})");
        }

        string real = RealFolder() ?? throw new MissingSdkException(
            $"{Id}: the folder simulator/real is neither above the program nor above the current folder; run it in the repository");
        return Locate(real) ?? throw new MissingSdkException($"{Id}: the genuine SDK is missing: {Package}; get it with: {HowToGet}");
    }

    /// <summary>The fleet of MQTTnet clients for <c>bench peers</c>; null where it is not built.</summary>
    public static DriverCommand? FindMqttnetFleet() =>
        RealFolder() is { } real ? FindDotnet(real, "mqttnetfleet", "MqttnetFleet.dll", "MQTTnet") : null;

    private static GenuineSdk Without(string id, string package) => new(id, id, package, "");

    private static DriverCommand? FindNode(string real)
    {
        string package = Path.Combine(real, "node", "node_modules", "azure-iot-device", "package.json");
        if (!File.Exists(package) || !Directory.Exists(Path.Combine(real, "node", "node_modules", "azure-iot-device-mqtt"))
            || OnPath("node") is not { } node)
        {
            return null;
        }

        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(package));
        string version = document.RootElement.GetProperty("version").GetString() ?? "";
        return new DriverCommand(node, [Path.Combine(real, "node", "driver.js")], version);
    }

    // Built without its switch the driver is an empty program; with it, the SDK's own library lies beside it.
    private static DriverCommand? FindDotnet(string real, string folder, string driver, string library)
    {
        string bin = Path.Combine(real, folder, "bin");
        string? found = Directory.Exists(bin)
            ? Directory.EnumerateFiles(bin, driver, SearchOption.AllDirectories)
                .Where(path => File.Exists(Path.Combine(Path.GetDirectoryName(path)!, library + ".dll")))
                .MaxBy(File.GetLastWriteTimeUtc)
            : null;
        if (found is null || OnPath("dotnet") is not { } dotnet)
        {
            return null;
        }

        string libraryPath = Path.Combine(Path.GetDirectoryName(found)!, library + ".dll");
        string version = FileVersionInfo.GetVersionInfo(libraryPath).ProductVersion ?? "";
        return new DriverCommand(dotnet, [found], version.Split('+')[0]);
    }

    private static DriverCommand? FindJava(string real)
    {
        string target = Path.Combine(real, "java", "target");
        string library = Path.Combine(target, "lib");
        string? sdk = Directory.Exists(library)
            ? Directory.EnumerateFiles(library, "iot-device-client-*.jar").FirstOrDefault()
            : null;
        return sdk is not null && File.Exists(Path.Combine(target, "driver.jar")) && OnPath("java") is { } java
            ? new DriverCommand(
                java,
                ["-cp", Path.Combine(target, "driver.jar") + Path.PathSeparator + Path.Combine(library, "*"), "Driver"],
                Path.GetFileNameWithoutExtension(sdk)["iot-device-client-".Length..])
            : null;
    }

    private static DriverCommand? FindPython(string real)
    {
        string own = Path.Combine(real, "python", ".venv", "bin", "python");
        string? python = File.Exists(own) ? own : OnPath("python3") ?? OnPath("python");
        if (python is null)
        {
            return null;
        }

        const string Question = "import azure.iot.device.constant as c; from azure.iot.device import IoTHubDeviceClient; print(c.VERSION)";
        string? version = Ask(python, "-c", Question);
        return version is null ? null : new DriverCommand(python, ["-u", Path.Combine(real, "python", "driver.py")], version.Trim());
    }

    /// <summary>What a program prints; null when it fails or takes too long.</summary>
    private static string? Ask(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        process.ErrorDataReceived += (_, _) => { };
        process.BeginErrorReadLine();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(TimeSpan.FromSeconds(30)))
        {
            process.Kill(entireProcessTree: true);
            return null;
        }

        return process.ExitCode == 0 ? output.GetAwaiter().GetResult() : null;
    }

    private static string? OnPath(string name) => (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .Select(folder => Path.Combine(folder, OperatingSystem.IsWindows() ? name + ".exe" : name))
        .FirstOrDefault(File.Exists);

    private static string? RealFolder([CallerFilePath] string source = "")
    {
        // Output may lie outside the tree; then the current folder or the place of this file says where the tree is.
        foreach (string start in new[] { AppContext.BaseDirectory, Directory.GetCurrentDirectory(), source })
        {
            for (DirectoryInfo? at = new(start); at is not null; at = at.Parent)
            {
                string real = Path.Combine(at.FullName, "simulator", "real");
                if (File.Exists(Path.Combine(real, "README.md")))
                {
                    return real;
                }
            }
        }

        return null;
    }
}
