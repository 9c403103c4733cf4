// The names the hub gives things: user name and topics (facts/iothub.md sections 1.2 and 1.8).
//
// Everything the hub fixes by spelling stands here once. Device ids go into topics and user names as they are:
// the hub decodes almost nothing, and ids are case-sensitive (facts/iothub.md section 1.2).
using System.Text;

namespace Agent.Core
{
    /// <summary>What a message from the hub is.</summary>
    public enum HubMessageKind
    {
        /// <summary>No topic of ours.</summary>
        Other = 0,

        /// <summary>The answer to a twin request: status, request id, version.</summary>
        TwinResponse = 1,

        /// <summary>Desired properties have changed: version.</summary>
        DesiredPatch = 2,

        /// <summary>A direct method is called: name, request id.</summary>
        Method = 3,
    }

    /// <summary>A topic of the hub's, taken apart.</summary>
    public struct HubMessage
    {
        public HubMessageKind Kind;

        /// <summary>TwinResponse: 200, 204, 400, 429, 5xx.</summary>
        public int Status;

        /// <summary>TwinResponse and Method: as it stands in the topic.</summary>
        public string RequestId;

        /// <summary>Method: its name.</summary>
        public string Method;

        /// <summary>TwinResponse and DesiredPatch: the twin's version; -1 when the topic has none.</summary>
        public long Version;
    }

    /// <summary>User name and topics of one device.</summary>
    public static class HubTopics
    {
        /// <summary>The version the nanoFramework and Node SDKs and the vendor's page use.</summary>
        public const string ApiVersion = "2021-04-12";

        /// <summary>Subscription to the answers to twin requests.</summary>
        public const string TwinResponses = "$iothub/twin/res/#";

        /// <summary>Subscription to changes of desired properties.</summary>
        public const string DesiredPatches = "$iothub/twin/PATCH/properties/desired/#";

        /// <summary>Subscription to direct methods.</summary>
        public const string Methods = "$iothub/methods/POST/#";

        private const string ResponsePrefix = "$iothub/twin/res/";
        private const string PatchPrefix = "$iothub/twin/PATCH/properties/desired/";
        private const string MethodPrefix = "$iothub/methods/POST/";

        /// <summary>
        /// {host}/{deviceId}/?api-version=...&amp;DeviceClientType=...; the last part only when given.
        /// </summary>
        public static string UserName(string hostName, string deviceId, string clientType)
        {
            return UserName(hostName, deviceId, clientType, null);
        }

        /// <summary>The same with the DTDL model the device follows (IoT Plug and Play).</summary>
        public static string UserName(string hostName, string deviceId, string clientType, string modelId)
        {
            StringBuilder text = new StringBuilder(hostName.Length + deviceId.Length + 128);
            text.Append(hostName).Append('/').Append(deviceId).Append("/?api-version=").Append(ApiVersion);
            if (!string.IsNullOrEmpty(clientType))
            {
                text.Append("&DeviceClientType=");
                PercentEncoder.AppendEncoded(text, clientType);
            }

            if (!string.IsNullOrEmpty(modelId))
            {
                text.Append("&model-id=");
                PercentEncoder.AppendEncoded(text, modelId);
            }

            return text.ToString();
        }

        /// <summary>Where telemetry goes; a property bag may follow directly.</summary>
        public static string Telemetry(string deviceId)
        {
            return string.Concat("devices/", deviceId, "/messages/events/");
        }

        /// <summary>Asks for the whole twin.</summary>
        public static string TwinGet(int requestId)
        {
            return string.Concat("$iothub/twin/GET/?$rid=", requestId.ToString());
        }

        /// <summary>Changes reported properties.</summary>
        public static string ReportedPatch(int requestId)
        {
            return string.Concat("$iothub/twin/PATCH/properties/reported/?$rid=", requestId.ToString());
        }

        /// <summary>Answers a direct method.</summary>
        public static string MethodResponse(int status, string requestId)
        {
            return string.Concat("$iothub/methods/res/", status.ToString(), "/?$rid=", requestId);
        }

        /// <summary>Takes apart the topic of a message that came; what fits nothing is Other.</summary>
        public static HubMessage Parse(string topic)
        {
            HubMessage message = new HubMessage();
            message.Version = -1;
            int query = topic.IndexOf("/?");
            string path = query < 0 ? topic : topic.Substring(0, query);
            string parameters = query < 0 ? "" : topic.Substring(query + 2);
            if (topic.StartsWith(ResponsePrefix))
            {
                message.RequestId = Parameter(parameters, "$rid=");
                bool isWhole = TryNumber(path, ResponsePrefix.Length, out long status) && status < 1000;
                message.Status = isWhole ? (int)status : 0;
                message.Kind = isWhole && message.RequestId != null ? HubMessageKind.TwinResponse : HubMessageKind.Other;
            }
            else if (topic.StartsWith(PatchPrefix))
            {
                message.Kind = HubMessageKind.DesiredPatch;
            }
            else if (topic.StartsWith(MethodPrefix))
            {
                message.RequestId = Parameter(parameters, "$rid=");
                bool isWhole = message.RequestId != null && path.Length > MethodPrefix.Length;
                message.Method = isWhole ? path.Substring(MethodPrefix.Length) : null;
                message.Kind = isWhole ? HubMessageKind.Method : HubMessageKind.Other;
            }

            string version = Parameter(parameters, "$version=");
            if (version != null && TryNumber(version, 0, out long number))
            {
                message.Version = number;
            }

            return message;
        }

        private static string Parameter(string parameters, string name)
        {
            int from = parameters.StartsWith(name) ? 0 : parameters.IndexOf(string.Concat("&", name)) + 1;
            if (from == 0 && !parameters.StartsWith(name))
            {
                return null;
            }

            from += name.Length;
            int end = parameters.IndexOf('&', from);
            return end < 0 ? parameters.Substring(from) : parameters.Substring(from, end - from);
        }

        private static bool TryNumber(string text, int from, out long number)
        {
            number = 0;
            for (int i = from; i < text.Length; i++)
            {
                if (text[i] < '0' || text[i] > '9' || i - from > 17)
                {
                    return false;
                }

                number = (number * 10) + (text[i] - '0');
            }

            return text.Length > from;
        }
    }
}
