// The names the hub gives things: user name and topics (facts/iothub.md sections 1.2 and 1.8).
//
// Everything the hub fixes by spelling stands here once. Device ids go into topics and user names as they are:
// the hub decodes almost nothing, and ids are case-sensitive (facts/iothub.md section 1.2).
using System.Text;

namespace Agent.Core
{
    /// <summary>User name and topics of one device.</summary>
    public static class HubTopics
    {
        /// <summary>The version the nanoFramework and Node SDKs and the vendor's page use.</summary>
        public const string ApiVersion = "2021-04-12";

        /// <summary>
        /// {host}/{deviceId}/?api-version=...&amp;DeviceClientType=...; the last part only when given.
        /// </summary>
        public static string UserName(string hostName, string deviceId, string clientType)
        {
            StringBuilder text = new StringBuilder(hostName.Length + deviceId.Length + 80);
            text.Append(hostName).Append('/').Append(deviceId).Append("/?api-version=").Append(ApiVersion);
            if (!string.IsNullOrEmpty(clientType))
            {
                text.Append("&DeviceClientType=");
                PercentEncoder.AppendEncoded(text, clientType);
            }

            return text.ToString();
        }

        /// <summary>Where telemetry goes; a property bag may follow directly.</summary>
        public static string Telemetry(string deviceId)
        {
            return string.Concat("devices/", deviceId, "/messages/events/");
        }
    }
}
