using System.Text;
using System.Text.RegularExpressions;
using Agent.Fleet;
using Agent.Hub;
using Agent.Wire;

namespace Agent.Verify;

/// <summary>Reads what is comparable out of a CONNECT packet, and says the same of a model's.</summary>
internal static partial class ConnectReading
{
    /// <summary>The packet of a genuine client. Nothing secret is kept: of the password only names and the expiry.</summary>
    public static ConnectFacts Read(in ConnectPacket packet, string deviceId, long utcMs)
    {
        string user = Encoding.UTF8.GetString(packet.UserName);
        string agent = AgentValue().Match(user) is { Success: true } match
            ? PercentText.DecodeLenient(Encoding.UTF8.GetBytes(match.Value)) : "";
        bool isToken = SasTokenParts.TryParse(packet.Password, out SasTokenParts parts);
        long leftMs = isToken ? (parts.ExpirySeconds * 1000) - utcMs : 0;
        return Make(
            packet.KeepAliveSeconds, packet.CleanSession, packet.HasWill, Encoding.UTF8.GetString(packet.ClientId) == deviceId,
            user, agent, Encoding.UTF8.GetString(packet.Password), leftMs, deviceId);
    }

    /// <summary>The packet a model would send.</summary>
    public static ConnectFacts Of(ConnectFields fields, PacketStyle style, long msLeft) => Make(
        fields.KeepAliveSeconds, fields.CleanSession, hasWill: false, idIsDevice: true,
        style.UserName("host", "id", fields), fields.UserAgent, style.Password("r", "s", 1, null), msLeft, "id");

    private static ConnectFacts Make(
        int keepAlive, bool clean, bool hasWill, bool idIsDevice, string user, string agent, string password, long leftMs,
        string deviceId)
    {
        string name = agent.Split(' ', '(', ';')[0];
        int slash = name.LastIndexOf('/');
        return new ConnectFacts
        {
            KeepAliveSeconds = keepAlive,
            CleanSession = clean,
            HasWill = hasWill,
            IdIsDevice = idIsDevice,
            UserName = AgentValue().Replace(HostPart().Replace(user, "{host}/"), "…")
                .Replace($"/{deviceId}/", "/{id}/", StringComparison.Ordinal),
            Client = slash < 0 ? name : name[..slash],
            ClientVersion = slash < 0 ? "" : name[(slash + 1)..],
            TokenFields = string.Join(',', FieldName().Matches(password).Select(match => match.Groups[1].Value)),
            TokenMsLeft = leftMs,
        };
    }

    [GeneratedRegex("^[^/]*/")]
    private static partial Regex HostPart();

    [GeneratedRegex("(?<=[?&]DeviceClientType=)[^&]*")]
    private static partial Regex AgentValue();

    [GeneratedRegex("(?:^SharedAccessSignature |&)([a-z]+)=")]
    private static partial Regex FieldName();
}
