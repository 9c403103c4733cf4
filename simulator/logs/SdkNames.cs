namespace Agent.Logs;

/// <summary>Which SDK a record's <c>sdkVersion</c> speaks of.</summary>
internal enum SdkFamily
{
    Unknown,
    Dotnet,
    Java,
    Node,
    Python,
    PythonV3,
    C,
    EmbeddedC,
    FreeRtos,
    Nano,
    Arduino,
    Agent,
}

/// <summary>Reads <c>sdkVersion</c>: the <c>DeviceClientType</c> each SDK puts into its user name (facts/sdk-renewal.md).</summary>
internal static class SdkNames
{
    // The first match counts.
    private static readonly (string Start, SdkFamily Family)[] Starts =
    [
        (".NET/", SdkFamily.Dotnet),
        ("Microsoft.Azure.Devices.Client", SdkFamily.Dotnet),
        ("com.microsoft.azure.sdk.iot", SdkFamily.Java),
        ("azure-iot-device-iothub-py/3", SdkFamily.PythonV3),
        ("azure-iot-device-iothub-py/", SdkFamily.Python),
        ("azure-iot-device/", SdkFamily.Node),
        ("iothubclient/", SdkFamily.C),
        ("azsdk-c/", SdkFamily.EmbeddedC),
        ("azure-iot-middleware-freertos/", SdkFamily.FreeRtos),
        ("nano;", SdkFamily.Nano),
        ("agent/", SdkFamily.Agent),
    ];

    public static SdkFamily FamilyOf(string? sdkVersion)
    {
        if (string.IsNullOrEmpty(sdkVersion))
        {
            return SdkFamily.Unknown;
        }

        foreach ((string start, SdkFamily family) in Starts)
        {
            if (sdkVersion.StartsWith(start, StringComparison.OrdinalIgnoreCase))
            {
                return family;
            }
        }

        return sdkVersion.Contains("(ard;", StringComparison.Ordinal) ? SdkFamily.Arduino : SdkFamily.Unknown;
    }
}
