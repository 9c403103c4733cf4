using System.Text.Json;

namespace Agent.Hub;

/// <summary>Reads an identity as a service sends it: the body of a PUT, or one row of a bulk request.</summary>
/// <remarks>
/// SDKs send back what they were given, so members that only the hub sets (<c>generationId</c>, <c>connectionState</c>, …) and ones this
/// hub does not know are passed over; those it does know must be right. All that is wrong is told at once, and never by quoting a value:
/// values may be keys. Empty keys mean "make some", as azure-iothub asks for when its caller names none.
/// </remarks>
internal static class IdentityReader
{
    /// <summary>Longest body of one identity; real ones stay below 2 KB.</summary>
    public const int BodyLengthMax = 65_536;

    private const int ReasonLengthMax = 128;
    private const int KeyLengthMin = 16;
    private const int KeyLengthMax = 64;

    /// <summary>Duplicate members are refused: two readers must not see two identities in one body.</summary>
    public static readonly JsonDocumentOptions Strict = new() { MaxDepth = 32, AllowDuplicateProperties = false };

    /// <summary>
    /// Parses the body of a PUT. The ids come from the path; the body may repeat them but not contradict them.
    /// </summary>
    public static bool TryParse(
        ReadOnlyMemory<byte> body, string deviceId, string? moduleId, out IdentityDraft? draft, out HubError? error)
    {
        draft = null;
        var problems = new List<string>();
        try
        {
            using JsonDocument document = JsonDocument.Parse(body, Strict);
            draft = Read(document.RootElement, "deviceId", deviceId, moduleId, problems);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Text that is no text (a broken surrogate) shows only when it is taken out: InvalidOperationException.
            problems.Add("the body is not valid JSON");
        }

        error = problems.Count == 0 ? null : HubError.ArgumentInvalid(string.Join("; ", problems));
        draft = problems.Count == 0 ? draft : null;
        return error is null;
    }

    /// <summary>
    /// Reads an object; null when it is none. <paramref name="idMember"/>: <c>deviceId</c>, or <c>id</c> in a bulk row.
    /// </summary>
    /// <exception cref="InvalidOperationException">A text has half a surrogate pair.</exception>
    public static IdentityDraft? Read(JsonElement root, string idMember, string deviceId, string? moduleId, List<string> problems)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            problems.Add("an identity must be a JSON object");
            return null;
        }

        Same(root, idMember, deviceId, problems);
        Same(root, "moduleId", moduleId, problems);
        IdentityDraft draft = ReadAuthentication(root, new IdentityDraft(deviceId, moduleId), problems);
        string? status = Text(root, "status", "", 16, problems);
        if (status is not null && !status.Equals("enabled", StringComparison.OrdinalIgnoreCase)
            && !status.Equals("disabled", StringComparison.OrdinalIgnoreCase))
        {
            problems.Add("status must be enabled or disabled");
        }

        return draft with
        {
            IsEnabled = !"disabled".Equals(status, StringComparison.OrdinalIgnoreCase),
            StatusReason = Text(root, "statusReason", "", ReasonLengthMax, problems),
            IsEdge = moduleId is null && ReadEdge(root, problems),
            ManagedBy = moduleId is null ? null : Text(root, "managedBy", "", ReasonLengthMax, problems),
        };
    }

    private static IdentityDraft ReadAuthentication(JsonElement root, IdentityDraft draft, List<string> problems)
    {
        JsonElement authentication = Member(root, "authentication", "", problems);
        JsonElement keys = Member(authentication, "symmetricKey", "authentication.", problems);
        JsonElement thumbprints = Member(authentication, "x509Thumbprint", "authentication.", problems);
        byte[]? primaryKey = Key(keys, "primaryKey", problems);
        byte[]? secondaryKey = Key(keys, "secondaryKey", problems);
        string? primary = Thumbprint(thumbprints, "primaryThumbprint", problems);
        string? secondary = Thumbprint(thumbprints, "secondaryThumbprint", problems);
        bool hasThumbprint = (primary ?? secondary) is not null;
        AuthenticationType type = Type(authentication, draft.ModuleId is not null, hasThumbprint, problems);

        if ((primaryKey is null) != (secondaryKey is null))
        {
            problems.Add("authentication.symmetricKey: give both keys or neither");
        }

        if (type == AuthenticationType.Sas && hasThumbprint)
        {
            problems.Add("authentication.x509Thumbprint goes with the type selfSigned");
        }

        if (type != AuthenticationType.Sas && primaryKey is not null)
        {
            problems.Add("authentication.symmetricKey goes with the type sas");
        }

        if (type == AuthenticationType.SelfSigned && !hasThumbprint)
        {
            problems.Add("authentication.x509Thumbprint: the type selfSigned needs a thumbprint");
        }

        return draft with
        {
            Authentication = type,
            PrimaryKey = primaryKey,
            SecondaryKey = secondaryKey,
            PrimaryThumbprint = primary,
            SecondaryThumbprint = secondary,
        };
    }

    private static AuthenticationType Type(JsonElement authentication, bool isModule, bool hasThumbprint, List<string> problems)
    {
        switch (Text(authentication, "type", "authentication.", 32, problems)?.ToUpperInvariant())
        {
            case null:
                return hasThumbprint ? AuthenticationType.SelfSigned : AuthenticationType.Sas;
            case "SAS":
                return AuthenticationType.Sas;
            case "SELFSIGNED":
                return AuthenticationType.SelfSigned;
            case "CERTIFICATEAUTHORITY":
                return AuthenticationType.CertificateAuthority;
            case "NONE" when isModule:
                return AuthenticationType.None;
            default:
                problems.Add("authentication.type must be sas, selfSigned or certificateAuthority" + (isModule ? ", or none" : ""));
                return AuthenticationType.Sas;
        }
    }

    private static bool ReadEdge(JsonElement root, List<string> problems)
    {
        JsonElement edge = Value(Member(root, "capabilities", "", problems), "iotEdge");
        if (edge.ValueKind is not (JsonValueKind.True or JsonValueKind.False or JsonValueKind.Null or JsonValueKind.Undefined))
        {
            problems.Add("capabilities.iotEdge must be true or false");
        }

        return edge.ValueKind == JsonValueKind.True;
    }

    private static void Same(JsonElement root, string name, string? expected, List<string> problems)
    {
        JsonElement value = Value(root, name);
        bool isAbsent = value.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null;
        if (!isAbsent && (value.ValueKind != JsonValueKind.String || value.GetString() != expected))
        {
            problems.Add(expected is null ? $"{name} does not belong into a device's identity" : $"{name} is not the one in the path");
        }
    }

    private static byte[]? Key(JsonElement keys, string name, List<string> problems)
    {
        string? text = Text(keys, name, "authentication.symmetricKey.", 128, problems);
        if (string.IsNullOrEmpty(text))
        {
            return null;
        }

        byte[] key = new byte[text.Length];
        if (Convert.TryFromBase64String(text, key, out int length) && length is >= KeyLengthMin and <= KeyLengthMax)
        {
            return key[..length];
        }

        problems.Add($"authentication.symmetricKey.{name} must be base64 of {KeyLengthMin} to {KeyLengthMax} bytes");
        return null;
    }

    private static string? Thumbprint(JsonElement thumbprints, string name, List<string> problems)
    {
        string? text = Text(thumbprints, name, "authentication.x509Thumbprint.", 128, problems);
        if (string.IsNullOrEmpty(text))
        {
            return null;
        }

        if (text.Length is 40 or 64 && text.All(char.IsAsciiHexDigit))
        {
            return text.ToUpperInvariant();
        }

        problems.Add($"authentication.x509Thumbprint.{name} must be 40 (SHA-1) or 64 (SHA-256) hex digits");
        return null;
    }

    private static string? Text(JsonElement of, string name, string path, int lengthMax, List<string> problems)
    {
        JsonElement value = Value(of, name);
        switch (value.ValueKind)
        {
            case JsonValueKind.Undefined or JsonValueKind.Null:
                return null;
            case JsonValueKind.String when value.GetString() is { } text && text.Length <= lengthMax:
                return text;
            default:
                problems.Add($"{path}{name} must be a text of at most {lengthMax} characters");
                return null;
        }
    }

    private static JsonElement Member(JsonElement of, string name, string path, List<string> problems)
    {
        JsonElement value = Value(of, name);
        if (value.ValueKind is JsonValueKind.Object or JsonValueKind.Null or JsonValueKind.Undefined)
        {
            return value;
        }

        problems.Add($"{path}{name} must be an object");
        return default;
    }

    private static JsonElement Value(JsonElement of, string name) =>
        of.ValueKind == JsonValueKind.Object && of.TryGetProperty(name, out JsonElement value) ? value : default;
}
