// Radio, time, pins, memory and power.
using System;
using System.Threading;
using Agent.NanoMachine;

namespace System.Device.Wifi
{
    public enum WifiReconnectionKind
    {
        Automatic = 0,
        Manual = 1,
    }

    public class WifiAvailableNetwork
    {
        public string Ssid { get; internal set; }

        public double NetworkRssiInDecibelMilliwatts { get; internal set; }
    }

    public class WifiNetworkReport
    {
        public WifiAvailableNetwork[] AvailableNetworks { get; internal set; }
    }

    public sealed class WifiAdapter
    {
        public WifiNetworkReport NetworkReport { get; internal set; }
    }
}

namespace nanoFramework.Networking
{
    using System.Device.Wifi;

    public enum NetworkHelperStatus
    {
        None = 0,
        NetworkIsReady = 2,
        TokenExpiredWaitingIPAddress = 4,
    }

    /// <summary>The stored network is found again by itself; an unknown one is joined with its name.</summary>
    /// <remarks>The name is the library's; we would not call anything so (hence the sign that names it apart).</remarks>
    public static class @WifiNetworkHelper
    {
        private static bool known;

        public static WifiAdapter WifiAdapter { get; private set; }

        public static NetworkHelperStatus Status { get; private set; }

        public static bool Reconnect(bool requiresDateTime = false, int wifiAdapterId = 0, CancellationToken token = default) =>
            known && Wait(token);

        public static bool ConnectDhcp(
            string ssid, string password, WifiReconnectionKind reconnectionKind = WifiReconnectionKind.Automatic,
            bool requiresDateTime = false, int wifiAdapterId = 0, CancellationToken token = default)
        {
            known = true;
            WifiAvailableNetwork[] seen = { new() { Ssid = ssid, NetworkRssiInDecibelMilliwatts = -61 } };
            WifiAdapter = new WifiAdapter { NetworkReport = new WifiNetworkReport { AvailableNetworks = seen } };
            return Wait(token);
        }

        private static bool Wait(CancellationToken token)
        {
            while (!Machine.WifiUp && !token.IsCancellationRequested)
            {
                BoardThread.Sleep(100);
            }

            Status = Machine.WifiUp ? NetworkHelperStatus.NetworkIsReady : NetworkHelperStatus.TokenExpiredWaitingIPAddress;
            return Machine.WifiUp;
        }
    }

    public class Sntp
    {
        public static string Server1 { get; set; }

        public static string Server2 { get; set; }

        public static bool IsStarted { get; private set; }

        public static void Start() => IsStarted = true;

        public static void UpdateNow() => Machine.AskTime();
    }
}

namespace System.Device.Gpio
{
    public enum PinMode
    {
        Output = 3,
    }

    public struct PinValue
    {
        private bool high;

        public static PinValue High => new() { high = true };

        public static PinValue Low => default;

        public static explicit operator bool(PinValue value) => value.high;
    }

    public sealed class GpioPin
    {
        public void Write(PinValue value) => _ = (bool)value;
    }

    public sealed class GpioController
    {
        public GpioPin OpenPin(int pinNumber, PinMode mode) => new();
    }
}

namespace nanoFramework.Runtime.Native
{
    public enum RebootOption
    {
        NormalReboot = 0,
    }

    public class Power
    {
        public static void RebootDevice(RebootOption rebootOption = RebootOption.NormalReboot) => Machine.Reboot();
    }

    public static class GC
    {
        public static uint Run(bool compactHeap)
        {
            Machine.Pass();
            return 100000;
        }
    }
}

namespace nanoFramework.Hardware.Esp32
{
    public class NativeMemory
    {
        public enum MemoryType
        {
            All = 0,
            Internal = 1,
            SpiRam = 2,
        }

        public static void GetMemoryInfo(
            MemoryType memType, out uint totalSize, out uint totalFreeSize, out uint largestFreeBlock)
        {
            totalSize = 320000;
            totalFreeSize = (uint)Machine.NativeFree;
            largestFreeBlock = (uint)Machine.NativeFree / 2;
        }
    }
}

namespace nanoFramework.Azure.Devices.Provisioning.Client
{
    using System.Security.Cryptography.X509Certificates;

    public enum ProvisioningRegistrationStatusType
    {
        Unassigned = 1,
        Assigned = 3,
        Failed = 4,
    }

    public class DeviceRegistrationResult
    {
        public ProvisioningRegistrationStatusType Status { get; set; }

        public string AssignedHub { get; set; }

        public string DeviceId { get; set; }

        public int ErrorCode { get; set; }
    }

    /// <summary>A service without a wire: assigns localhost to registrations that are named like its devices.</summary>
    public class ProvisioningDeviceClient : IDisposable
    {
        private readonly string registrationId;

        private ProvisioningDeviceClient(string registrationId) => this.registrationId = registrationId;

        public static ProvisioningDeviceClient Create(
            string globalDeviceEndpoint, string idScope, string registrationId, string securityProvider,
            X509Certificate azureCert = null) => new(registrationId);

        public DeviceRegistrationResult Register(CancellationToken cancellationToken) =>
            registrationId.StartsWith("device-", StringComparison.Ordinal)
                ? new() { Status = ProvisioningRegistrationStatusType.Assigned, AssignedHub = "localhost", DeviceId = registrationId }
                : new() { Status = ProvisioningRegistrationStatusType.Failed, ErrorCode = 401002 };

        public void Dispose()
        {
        }
    }
}
