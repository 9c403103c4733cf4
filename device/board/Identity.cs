// Who this board is. Secrets are read here and go nowhere but into the signer and the radio: no member but these two returns
// one, and there is no ToString.
//
//   I:\identity.txt    connection=HostName=...;DeviceId=...;SharedAccessKey=...[;GatewayHostName=...]
//                      or  provisioning=IdScope=...;RegistrationId=...;SharedAccessKey=...[;Endpoint=...]
//                      wifi.ssid=...
//                      wifi.password=...
using Agent.Core;

namespace Agent.Board
{
    /// <summary>The identity file, checked.</summary>
    public sealed class Identity
    {
        private const string DefaultEndpoint = "global.azure-devices-provisioning.net";

        private Identity()
        {
        }

        /// <summary>The hub's name, as it stands in tokens; null until the provisioning service has assigned one.</summary>
        public string HostName { get; private set; }

        /// <summary>The device's id at the hub; null until assigned.</summary>
        public string DeviceId { get; private set; }

        /// <summary>What is dialled: the gateway when there is one.</summary>
        public string DialHost { get; private set; }

        /// <summary>The device's key. Secret.</summary>
        public byte[] Key { get; private set; }

        /// <summary>The same as the provisioning client wants it; null with a connection string. Secret.</summary>
        public string ProvisioningKey { get; private set; }

        public string IdScope { get; private set; }

        public string RegistrationId { get; private set; }

        /// <summary>Host of the provisioning service.</summary>
        public string Endpoint { get; private set; }

        public string WifiSsid { get; private set; }

        /// <summary>Secret.</summary>
        public string WifiPassword { get; private set; }

        /// <summary>Whether hub and device id are known.</summary>
        public bool IsAssigned => HostName != null;

        /// <summary>Reads the files' texts; null with what is missing, which never quotes a value.</summary>
        public static Identity Parse(string identityText, string assignedText, out string problem)
        {
            Identity identity = new Identity();
            string connection = NamedValues.Find(identityText, '\n', "connection");
            string provisioning = NamedValues.Find(identityText, '\n', "provisioning");
            problem = connection != null ? identity.TakeConnection(connection)
                : provisioning != null ? identity.TakeProvisioning(provisioning, assignedText)
                : "I:\\identity.txt has neither connection= nor provisioning=";
            identity.WifiSsid = NamedValues.Find(identityText, '\n', "wifi.ssid");
            identity.WifiPassword = NamedValues.Find(identityText, '\n', "wifi.password");
            return problem == null ? identity : null;
        }

        /// <summary>Takes over what the provisioning service assigned.</summary>
        public void Assign(string hostName, string deviceId)
        {
            HostName = hostName;
            DeviceId = deviceId;
            DialHost = hostName;
        }

        private string TakeConnection(string text)
        {
            HostName = NamedValues.Find(text, ';', "hostname");
            DeviceId = NamedValues.Find(text, ';', "deviceid");
            string gateway = NamedValues.Find(text, ';', "gatewayhostname");
            DialHost = string.IsNullOrEmpty(gateway) ? HostName : gateway;
            if (string.IsNullOrEmpty(HostName) || string.IsNullOrEmpty(DeviceId))
            {
                return "connection= lacks HostName or DeviceId";
            }

            return TakeKey(text, "connection= lacks a SharedAccessKey in base64");
        }

        private string TakeProvisioning(string text, string assignedText)
        {
            IdScope = NamedValues.Find(text, ';', "idscope");
            RegistrationId = NamedValues.Find(text, ';', "registrationid");
            ProvisioningKey = NamedValues.Find(text, ';', "sharedaccesskey");
            string endpoint = NamedValues.Find(text, ';', "endpoint");
            Endpoint = string.IsNullOrEmpty(endpoint) ? DefaultEndpoint : endpoint;
            if (string.IsNullOrEmpty(IdScope) || string.IsNullOrEmpty(RegistrationId))
            {
                return "provisioning= lacks IdScope or RegistrationId";
            }

            string host = NamedValues.Find(assignedText, '\n', "hostname");
            string device = NamedValues.Find(assignedText, '\n', "deviceid");
            if (!string.IsNullOrEmpty(host) && !string.IsNullOrEmpty(device))
            {
                Assign(host, device);
            }

            return TakeKey(text, "provisioning= lacks a SharedAccessKey in base64");
        }

        private string TakeKey(string text, string problem)
        {
            byte[] key;
            bool good = SasToken.TryDecodeKey(NamedValues.Find(text, ';', "sharedaccesskey"), out key);
            Key = key;
            return good ? null : problem;
        }
    }
}
