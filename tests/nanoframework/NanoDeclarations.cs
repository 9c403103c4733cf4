using System.Text;

namespace Agent.Tests.NanoFramework;

// One list is one assembly. A line is KIND:ID  [DESCRIPTION]; the id names type, member and parameter types the way XML
// documentation does, the description has kind, modifiers, result type and the parameters' names. Everything is turned into the
// shortest declaration with the same signature; bodies throw.

/// <summary>Makes C# declarations of one assembly's API list.</summary>
internal sealed class NanoDeclarations
{
    private static readonly Dictionary<string, string> Operators = new()
    {
        ["op_Equality"] = "==",
        ["op_Inequality"] = "!=",
        ["op_GreaterThan"] = ">",
        ["op_LessThan"] = "<",
        ["op_GreaterThanOrEqual"] = ">=",
        ["op_LessThanOrEqual"] = "<=",
        ["op_Addition"] = "+",
        ["op_Subtraction"] = "-",
        ["op_UnaryNegation"] = "-",
        ["op_UnaryPlus"] = "+",
        ["op_Multiply"] = "*",
        ["op_Division"] = "/",
    };

    private readonly Dictionary<string, string> types = [];
    private readonly Dictionary<string, List<string>> members = [];
    private readonly StringBuilder source = new();

    private NanoDeclarations(IEnumerable<string> lines)
    {
        foreach (string line in lines.Where(line => line.Length > 2 && line[1] == ':'))
        {
            int split = line.IndexOf("  [", StringComparison.Ordinal);
            string id = line[2..split];
            if (line[0] == 'T')
            {
                types[id] = line[(split + 3)..^1];
                continue;
            }

            int parameters = id.IndexOf('(', StringComparison.Ordinal);
            string path = parameters < 0 ? id.Split('~')[0] : id[..parameters];
            string owner = path[..path.LastIndexOf('.')];
            members.TryAdd(owner, []);
            members[owner].Add(line);
        }
    }

    public static string Of(IEnumerable<string> lines)
    {
        NanoDeclarations declarations = new(lines);
        foreach (string type in declarations.types.Keys.Where(type => !declarations.types.ContainsKey(OwnerOf(type))))
        {
            string space = OwnerOf(type);
            declarations.source.Append("namespace ").Append(space).Append(" { ");
            declarations.Type(type);
            declarations.source.AppendLine("}");
        }

        return declarations.source.ToString();
    }

    private static string OwnerOf(string path) => path.Contains('.', StringComparison.Ordinal) ? path[..path.LastIndexOf('.')] : "";

    private void Type(string type)
    {
        string description = types[type];
        string name = type[(type.LastIndexOf('.') + 1)..];
        string[] kindAndBases = description.Split(" : ");
        string kind = kindAndBases[0].Trim();
        List<string> own = members.GetValueOrDefault(type, []);
        if (kind == "delegate")
        {
            Delegate(type, name, own);
            return;
        }

        if (kind == "enum")
        {
            Enumeration(name, own);
            return;
        }

        string bases = kindAndBases.Length > 1 ? " : " + string.Join(", ", kindAndBases[1].Split(", ").Select(Reference)) : "";
        source.Append("public ").Append(kind).Append(' ').Append(name).Append(type == "System.Object" ? "" : bases).AppendLine(" {");
        own.ForEach(member => Member(kind, name, member));
        foreach (string nested in types.Keys.Where(other => OwnerOf(other) == type))
        {
            Type(nested);
        }

        source.AppendLine("}");
    }

    private void Delegate(string type, string name, List<string> own)
    {
        string invoke = own.Single(line => line.StartsWith($"M:{type}.Invoke", StringComparison.Ordinal));
        int arity = name.Contains('`', StringComparison.Ordinal) ? name[^1] - '0' : 0;
        string[] letters = [.. Enumerable.Range(0, arity).Select(index => $"T{index}")];
        string result = ResultOf(invoke);
        string generic = arity == 0 ? "" : $"<{string.Join(", ", letters)}>";
        source.Append("public delegate ").Append(result == "TResult" ? letters[^1] : Reference(result)).Append(' ')
            .Append(name.Split('`')[0]).Append(generic).Append('(').Append(Parameters(invoke)).AppendLine(");");
    }

    private void Enumeration(string name, List<string> own)
    {
        // A flag beyond 32 bits makes the whole enumeration 64 bits wide, as it is on the board.
        bool wide = own.Any(line => ValueOf(line) is var value && long.TryParse(value, out long number) && number > uint.MaxValue / 2);
        source.Append("public enum ").Append(name).Append(wide ? " : long" : "").Append(" { ");
        foreach (string line in own.Where(line => line[0] == 'F'))
        {
            string member = line[2..line.IndexOf("  [", StringComparison.Ordinal)];
            source.Append(member[(member.LastIndexOf('.') + 1)..]).Append(" = ").Append(ValueOf(line)).Append(", ");
        }

        source.AppendLine("}");
    }

    private void Member(string kind, string typeName, string line)
    {
        string description = line[(line.IndexOf("  [", StringComparison.Ordinal) + 3)..^1];
        string id = line[2..line.IndexOf("  [", StringComparison.Ordinal)];
        string path = id.Split('(')[0].Split('~')[0];
        string name = path[(path.LastIndexOf('.') + 1)..];
        if (name.Contains('#', StringComparison.Ordinal) && name != "#ctor")
        {
            return; // explicit interface implementations
        }

        bool isInterface = kind == "interface";
        bool isClosed = kind is "struct" or "sealed class";
        string access = isInterface ? "" : description.Contains("protected ", StringComparison.Ordinal) ? "protected " : "public ";
        string modifiers = string.Concat(
            access,
            description.StartsWith("static ", StringComparison.Ordinal) || kind == "static class" ? "static " : "",
            !isInterface && description.StartsWith("abstract ", StringComparison.Ordinal) ? "abstract " : "",
            !isClosed && description.StartsWith("virtual ", StringComparison.Ordinal) ? "virtual " : "");
        bool bodiless = isInterface || modifiers.Contains("abstract ", StringComparison.Ordinal);
        switch (line[0])
        {
            case 'F':
                Field(access, name, description);
                break;
            case 'P':
                Property(modifiers, name, line, description, bodiless);
                break;
            case 'E':
                source.Append(modifiers).Append("event ").Append(Reference(description.Split(' ')[^1])).Append(' ').Append(name)
                    .AppendLine(bodiless ? ";" : " { add { } remove { } }");
                break;
            default:
                Method(modifiers, typeName, name, line, bodiless);
                break;
        }
    }

    private void Field(string access, string name, string description)
    {
        string value = description.StartsWith("const ", StringComparison.Ordinal) ? description.Split(" = ")[1] : "";
        string type = description.Split(" = ")[0].Split(' ')[^1];
        bool whole = long.TryParse(value, out _) || ulong.TryParse(value, out _);
        source.Append(access).Append(whole ? "const " : "static readonly ").Append(Reference(type)).Append(' ').Append(name)
            .AppendLine(whole ? $" = unchecked(({Reference(type)})({value}));" : ";");
    }

    private void Property(string modifiers, string name, string line, string description, bool bodiless)
    {
        string[] words = description.Split(' ');
        string type = words[^(words.Contains("get") && words.Contains("set") ? 3 : 2)];
        string get = bodiless ? "get;" : "get => throw null;";
        string set = bodiless ? "set;" : "set { }";
        string parameters = Parameters(line);
        bool indexed = parameters.Length > 0;
        source.Append(indexed && name != "Item" ? $"[System.Runtime.CompilerServices.IndexerName(\"{name}\")] " : "")
            .Append(modifiers).Append(Reference(type)).Append(' ')
            .Append(indexed ? $"this[{parameters}]" : name).Append(" { ")
            .Append(words.Contains("get") ? get : "").Append(' ').Append(words.Contains("set") ? set : "").AppendLine(" }");
    }

    private void Method(string modifiers, string typeName, string name, string line, bool bodiless)
    {
        string end = bodiless ? ";" : " => throw null;";
        string parameters = Parameters(line);
        string result = Reference(ResultOf(line));
        if (name == "#ctor")
        {
            source.Append(modifiers).Append(typeName);
        }
        else if (name is "op_Implicit" or "op_Explicit")
        {
            source.Append(modifiers).Append(name[3..].ToLowerInvariant()).Append(" operator ").Append(result);
        }
        else if (name.StartsWith("op_", StringComparison.Ordinal))
        {
            source.Append(modifiers).Append(result).Append(" operator ").Append(Operators[name]);
        }
        else
        {
            source.Append(modifiers).Append(result).Append(' ').Append(name);
        }

        source.Append('(').Append(parameters).Append(')').AppendLine(end);
    }

    /// <summary>The type in front of the parameter names in the description.</summary>
    private static string ResultOf(string line)
    {
        string description = line[(line.IndexOf("  [", StringComparison.Ordinal) + 3)..];
        int names = description.IndexOf('(', StringComparison.Ordinal);
        return names <= 0 ? "System.Void" : description[..names].Trim().Split(' ')[^1];
    }

    private static string ValueOf(string line) => line.Contains(" = ", StringComparison.Ordinal) ? line.Split(" = ")[^1].TrimEnd(']') : "";

    private static string Parameters(string line)
    {
        int split = line.IndexOf("  [", StringComparison.Ordinal);
        string id = line[2..split];
        if (!id.Contains('(', StringComparison.Ordinal))
        {
            return "";
        }

        string[] typesOf = id[(id.IndexOf('(', StringComparison.Ordinal) + 1)..id.IndexOf(')', StringComparison.Ordinal)].Split(',');
        string description = line[split..];
        int open = description.IndexOf('(', StringComparison.Ordinal);
        string[] names = open < 0
            ? [.. typesOf.Select((_, index) => $"index{index}")]
            : description[(open + 1)..description.LastIndexOf(')')].Split(", ");
        return string.Join(", ", typesOf.Select((type, index) => Parameter(id, type, names[index], index == typesOf.Length - 1)));
    }

    private static string Parameter(string id, string type, string name, bool last)
    {
        string[] nameAndDefault = name.Split(" = ");
        string initial = nameAndDefault.Length == 1 ? "" : " = " + Default(nameAndDefault[1], Reference(type));
        // The lists show neither ref against out nor params: those few are known by name.
        bool byReference = type.EndsWith('@');
        bool isRef = id.Contains("Interlocked", StringComparison.Ordinal) || id.Contains("ReceiveFrom", StringComparison.Ordinal);
        bool isParams = last && type.EndsWith("[]", StringComparison.Ordinal) && IsParams(id);
        string prefix = byReference ? (isRef ? "ref " : "out ") : isParams ? "params " : "";
        return $"{prefix}{Reference(type.TrimEnd('@'))} @{nameAndDefault[0]}{initial}";
    }

    private static bool IsParams(string id) =>
        id.StartsWith("System.String.", StringComparison.Ordinal)
        && (id.Contains(".Format(", StringComparison.Ordinal) || id.Contains(".Concat(", StringComparison.Ordinal)
            || id.Contains(".Split(", StringComparison.Ordinal) || id.Contains(".Trim", StringComparison.Ordinal));

    private static string Default(string text, string type) => text switch
    {
        "True" => "true",
        "False" => "false",
        _ => int.TryParse(text, out int number) && number != 0 ? $"({type})({number})" : "default",
    };

    private static string Reference(string type)
    {
        if (type.StartsWith('`'))
        {
            return "T" + type[1..];
        }

        return type == "System.Void" ? "void" : "global::" + type.Replace('/', '.');
    }
}
