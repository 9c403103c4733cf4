using System.Globalization;
using System.Text;

namespace Agent.Fleet;

// Two clients that behave alike still write differently: the order of a token's fields, which characters they escape, the
// quality of service they ask for. Nothing of it changes what a hub does, and all of it is what a packet capture shows, so it
// is kept out of the models and in one table here. (facts: sdk-renewal, items 6 and 7 of each section; the C order and its empty
// skn from sastoken.c, the embedded one from az_iot_hub_client_sas.c, Node's from shared_access_signature.js.)

/// <summary>Order of the fields of a shared access signature.</summary>
public enum TokenOrder : byte
{
    /// <summary><c>sr, sig, se[, skn]</c></summary>
    ResourceSignatureExpiry,
    /// <summary><c>sr, sig, se, skn</c>, the last also when it is empty.</summary>
    EmptyPolicy,
    /// <summary><c>sr, sig[, skn], se</c></summary>
    ExpiryLast,
    /// <summary><c>sig, se, sr[, skn]</c></summary>
    ResourceLast,
}

/// <summary>Which characters a client percent-encodes in its DeviceClientType.</summary>
public enum Escaping : byte
{
    /// <summary>All but letters, digits and <c>-_.~</c>.</summary>
    Strict,
    /// <summary>JavaScript's encodeURIComponent: <c>!'()*</c> stay, too.</summary>
    JavaScript,
    /// <summary>The C SDK's: <c>!()*</c> stay, hexadecimal digits are lower-case.</summary>
    LowerCase,
    /// <summary>Written into the source by hand, with nothing but its slash encoded.</summary>
    SlashOnly,
}

/// <summary>What an SDK's packets look like where its behaviour does not show.</summary>
/// <param name="Order">Fields of the password.</param>
/// <param name="Escaping">DeviceClientType in the user name.</param>
/// <param name="CloudToDeviceQos">QoS asked for in SUBSCRIBE of messages.</param>
/// <param name="TwinQos">QoS asked for in SUBSCRIBE of twin topics.</param>
/// <param name="MethodsQos">QoS asked for in SUBSCRIBE of methods.</param>
/// <param name="TwinGetQos">QoS of the twin GET.</param>
/// <param name="GivesTopicsBack">Whether UNSUBSCRIBE precedes the DISCONNECT of a renewal.</param>
public sealed record PacketStyle(
    TokenOrder Order,
    Escaping Escaping,
    byte CloudToDeviceQos = 1,
    byte TwinQos = 1,
    byte MethodsQos = 1,
    byte TwinGetQos = 0,
    bool GivesTopicsBack = false)
{
    /// <summary>The style of an SDK of the catalogue.</summary>
    public static PacketStyle Of(string sdk) => sdk switch
    {
        "java" => new(TokenOrder.ResourceLast, Escaping.Strict, TwinGetQos: 1),
        "node" => new(TokenOrder.ExpiryLast, Escaping.JavaScript, TwinQos: 0, MethodsQos: 0),
        "python" or "python-v3" => new(TokenOrder.ResourceSignatureExpiry, Escaping.Strict, TwinGetQos: 1),
        "c" => new(TokenOrder.EmptyPolicy, Escaping.LowerCase, TwinQos: 0, MethodsQos: 0),
        "freertos" => new(TokenOrder.ResourceSignatureExpiry, Escaping.Strict, TwinQos: 0, MethodsQos: 0),
        "arduino-esp32" or "arduino-central" => new(TokenOrder.ResourceSignatureExpiry, Escaping.SlashOnly),
        "esp8266" => new(TokenOrder.ResourceSignatureExpiry, Escaping.SlashOnly, CloudToDeviceQos: 0),
        "nanoframework" => new(TokenOrder.ResourceSignatureExpiry, Escaping.Strict, GivesTopicsBack: true),
        _ => new(TokenOrder.ResourceSignatureExpiry, Escaping.Strict),
    };

    /// <summary>The user name of a CONNECT packet.</summary>
    public string UserName(string hostName, string deviceId, ConnectFields fields)
    {
        string agent = fields.UserAgent.Length == 0 ? "" : "&DeviceClientType=" + Escape(fields.UserAgent);
        return $"{hostName}/{deviceId}/?api-version={fields.ApiVersion}{agent}";
    }

    /// <summary>The password of a CONNECT packet, from parts that are percent-encoded already.</summary>
    public string Password(string resource, string signature, long expirySeconds, string? policy)
    {
        string expiry = expirySeconds.ToString(CultureInfo.InvariantCulture);
        string signer = policy is null ? "" : "&skn=" + Uri.EscapeDataString(policy);
        return "SharedAccessSignature " + Order switch
        {
            TokenOrder.ExpiryLast => $"sr={resource}&sig={signature}{signer}&se={expiry}",
            TokenOrder.ResourceLast => $"sig={signature}&se={expiry}&sr={resource}{signer}",
            TokenOrder.EmptyPolicy when policy is null => $"sr={resource}&sig={signature}&se={expiry}&skn=",
            _ => $"sr={resource}&sig={signature}&se={expiry}{signer}",
        };
    }

    /// <summary>The QoS asked for with a filter.</summary>
    public byte Qos(Topics topic) => topic switch
    {
        Topics.CloudToDevice => CloudToDeviceQos,
        Topics.Methods => MethodsQos,
        _ => TwinQos,
    };

    private string Escape(string text)
    {
        string kept = Escaping switch
        {
            Escaping.Strict => "-_.~",
            Escaping.JavaScript => "-_.~!'()*",
            Escaping.LowerCase => "-_.!()*",
            _ => "-_.~;()",
        };
        string digits = Escaping == Escaping.LowerCase ? "x2" : "X2";
        var escaped = new StringBuilder(text.Length * 2);
        foreach (byte unit in Encoding.UTF8.GetBytes(text))
        {
            if (char.IsAsciiLetterOrDigit((char)unit) || kept.Contains((char)unit))
            {
                escaped.Append((char)unit);
            }
            else
            {
                escaped.Append('%').Append(unit.ToString(digits, CultureInfo.InvariantCulture));
            }
        }

        return escaped.ToString();
    }
}
