// First-time identity: the board knows its registration and its key, and asks the provisioning service for hub and device id.
// Once; the answer is no secret and is kept in a file, so that a service that is down later costs nothing.
// The vendor's client does MQTT and TLS of its own, with the usual freeze; it is let go before the first connection to the hub.
// It also brings 44 KB of assemblies (itself, Json, Logging), which would take the image over its budget for one use in a device's
// life. So it is in the image only when asked for: AGENT_PROVISIONING, set by WithProvisioning=true in device/Agent.nfproj. An image
// without it connects with what an earlier one was assigned, and otherwise says what it lacks.
#if AGENT_PROVISIONING
using System;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using nanoFramework.Azure.Devices.Provisioning.Client;

namespace Agent.Board
{
    /// <summary>Registers the device at the provisioning service.</summary>
    public static class DeviceProvisioning
    {
        private const int PatienceMs = 90000;

        /// <summary>True when the identity now has hub and device id; otherwise the problem in words without secrets.</summary>
        public static bool TryAssign(Identity identity, X509Certificate roots, out string problem)
        {
            problem = null;
            ProvisioningDeviceClient client = null;
            try
            {
                client = ProvisioningDeviceClient.Create(
                    identity.Endpoint, identity.IdScope, identity.RegistrationId, identity.ProvisioningKey, roots);
                DeviceRegistrationResult result = client.Register(new CancellationTokenSource(PatienceMs).Token);
                if (result == null || result.Status != ProvisioningRegistrationStatusType.Assigned)
                {
                    problem = result == null ? "no answer" : "not assigned, service error " + result.ErrorCode.ToString();
                    return false;
                }

                identity.Assign(result.AssignedHub, result.DeviceId);
                BoardFiles.WriteText(
                    BoardFiles.Assigned, "hostname=" + result.AssignedHub + "\ndeviceid=" + result.DeviceId + "\n");
                return true;
            }
            catch (Exception fault)
            {
                problem = fault.GetType().Name;
                return false;
            }
            finally
            {
                if (client != null)
                {
                    client.Dispose();
                }
            }
        }
    }
}
#else
using System.Security.Cryptography.X509Certificates;

namespace Agent.Board
{
    /// <summary>An image without the provisioning client.</summary>
    public static class DeviceProvisioning
    {
        /// <summary>Always false, and says why.</summary>
        public static bool TryAssign(Identity identity, X509Certificate roots, out string problem)
        {
            problem = "this image was built without it (WithProvisioning=true in device/Agent.nfproj)";
            return false;
        }
    }
}
#endif
