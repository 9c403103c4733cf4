using System.Collections.Immutable;
using System.Reflection;
using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace Agent.Tests.NanoFramework;

// What compiles for the board and does not run on it (facts/nanoframework.md section 4). The damage is not small: one generic
// type and the whole application never starts, without a message. So the compiled image is read, not the source: what the
// compiler makes of a harmless-looking line (a lambda, a string switch, an interpolated string) counts, and nothing else does.
//
// Left alone: attributes (never executed), exception filters and lambdas (both work, RAN).

/// <summary>Lists what an image holds that the board's CLR cannot run.</summary>
internal sealed class IlRules
{
    private static readonly Dictionary<int, OpCode> OpCodesByValue = typeof(OpCodes)
        .GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => (int)(ushort)code.Value);

    private readonly MetadataReader metadata;
    private readonly PEReader image;
    private readonly SignatureText texts = new();
    private readonly SortedSet<string> findings = new(StringComparer.Ordinal);

    private IlRules(PEReader image)
    {
        this.image = image;
        metadata = image.GetMetadataReader();
    }

    /// <summary>One line per offence: which rule, then where.</summary>
    public static IReadOnlyCollection<string> Check(byte[] assembly)
    {
        using PEReader image = new([.. assembly]);
        IlRules rules = new(image);
        rules.CheckTables();
        foreach (TypeDefinitionHandle type in rules.metadata.TypeDefinitions)
        {
            rules.CheckType(rules.metadata.GetTypeDefinition(type));
        }

        return rules.findings;
    }

    private void CheckTables()
    {
        if (metadata.GetTableRowCount(TableIndex.MethodSpec) > 0)
        {
            findings.Add("generic: a call of a generic method");
        }

        for (int row = 1; row <= metadata.GetTableRowCount(TableIndex.TypeSpec); row++)
        {
            TypeSpecification type = metadata.GetTypeSpecification(MetadataTokens.TypeSpecificationHandle(row));
            CheckTypeText(type.DecodeSignature(texts, null), "a type written in code");
        }
    }

    private void CheckType(TypeDefinition type)
    {
        string typeName = metadata.GetString(type.Name);
        if (type.GetGenericParameters().Count > 0)
        {
            findings.Add($"generic: the type {typeName}");
        }

        foreach (FieldDefinitionHandle handle in type.GetFields())
        {
            FieldDefinition field = metadata.GetFieldDefinition(handle);
            CheckTypeText(field.DecodeSignature(texts, null), $"{typeName}.{metadata.GetString(field.Name)}");
        }

        foreach (MethodDefinitionHandle handle in type.GetMethods())
        {
            CheckMethod(type, typeName, metadata.GetMethodDefinition(handle));
        }
    }

    private void CheckMethod(TypeDefinition type, string typeName, MethodDefinition method)
    {
        string place = $"{typeName}.{metadata.GetString(method.Name)}";
        if (method.GetGenericParameters().Count > 0)
        {
            findings.Add($"generic: the method {place}");
        }

        MethodSignature<string> signature = method.DecodeSignature(texts, null);
        CheckTypeText(signature.ReturnType, place);
        signature.ParameterTypes.ToList().ForEach(parameter => CheckTypeText(parameter, place));
        if ((type.Attributes & TypeAttributes.Interface) != 0 && method.RelativeVirtualAddress != 0)
        {
            findings.Add($"interface method with a body: {place}");
        }

        if (method.RelativeVirtualAddress != 0)
        {
            CheckBody(image.GetMethodBody(method.RelativeVirtualAddress), place);
        }
    }

    private void CheckBody(MethodBodyBlock body, string place)
    {
        if (!body.LocalSignature.IsNil)
        {
            StandaloneSignature locals = metadata.GetStandaloneSignature(body.LocalSignature);
            locals.DecodeLocalSignature(texts, null).ToList().ForEach(local => CheckTypeText(local, place));
        }

        BlobReader code = body.GetILReader();
        EntityHandle constrained = default;
        while (code.RemainingBytes > 0)
        {
            int value = code.ReadByte();
            OpCode operation = OpCodesByValue[value == 0xFE ? 0xFE00 | code.ReadByte() : value];
            CheckOperation(operation, code, place, ref constrained);
            Skip(ref code, operation);
        }
    }

    private void CheckOperation(OpCode operation, BlobReader operand, string place, ref EntityHandle constrained)
    {
        if (operation == OpCodes.Localloc)
        {
            findings.Add($"stackalloc: {place}");
        }
        else if (operation.Name!.Contains(".ovf", StringComparison.Ordinal))
        {
            findings.Add($"checked arithmetic: {place}"); // wraps instead
        }
        else if (operation == OpCodes.Box && IsEnum(MetadataTokens.EntityHandle(operand.ReadInt32())))
        {
            findings.Add($"enum made into an object: {place}"); // its text would be the number
        }
        else if (operation == OpCodes.Constrained)
        {
            constrained = MetadataTokens.EntityHandle(operand.ReadInt32());
        }
        else if (operation == OpCodes.Callvirt && !constrained.IsNil)
        {
            if (IsEnum(constrained))
            {
                findings.Add($"enum made into text: {place}");
            }

            constrained = default;
        }
    }

    private bool IsEnum(EntityHandle type) => type.Kind switch
    {
        HandleKind.TypeReference => BoardEnums.Value.Contains(
            texts.GetTypeFromReference(metadata, (TypeReferenceHandle)type, 0)),
        HandleKind.TypeDefinition =>
            metadata.GetTypeDefinition((TypeDefinitionHandle)type).BaseType is { Kind: HandleKind.TypeReference } parent
            && texts.GetTypeFromReference(metadata, (TypeReferenceHandle)parent, 0) == "System.Enum",
        _ => false,
    };

    /// <summary>The enumerations of the board's libraries; a foreign type reference does not say that it is one.</summary>
    private static readonly Lazy<HashSet<string>> BoardEnums = new(() =>
        [.. Directory.GetFiles(Path.Combine(FirmwareSources.Root, "tests/golden/nf-api"), "*.txt").SelectMany(File.ReadLines)
            .Where(line => line.StartsWith("T:", StringComparison.Ordinal) && line.EndsWith("[enum]", StringComparison.Ordinal))
            .Select(line => line[2..line.IndexOf("  [", StringComparison.Ordinal)])]);

    private static void Skip(ref BlobReader code, OpCode operation)
    {
        int length = operation.OperandType switch
        {
            OperandType.InlineNone => 0,
            OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
            OperandType.InlineVar => 2,
            OperandType.InlineI8 or OperandType.InlineR => 8,
            OperandType.InlineSwitch => 4 * code.ReadInt32(),
            _ => 4,
        };
        code.Offset += length;
    }

    private void CheckTypeText(string type, string place)
    {
        if (type.Contains('<', StringComparison.Ordinal))
        {
            findings.Add($"generic: {type} in {place}");
        }

        if (type.Contains("[,", StringComparison.Ordinal))
        {
            findings.Add($"array of several dimensions: {type} in {place}");
        }

        if (type.EndsWith('*'))
        {
            findings.Add($"pointer: {type} in {place}");
        }
    }

    /// <summary>Types in words; what is forbidden gets a mark of its own.</summary>
    private sealed class SignatureText : ISignatureTypeProvider<string, object?>
    {
        public string GetPrimitiveType(PrimitiveTypeCode code) => $"System.{code}";

        public string GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte kind) =>
            reader.GetString(reader.GetTypeDefinition(handle).Name).Replace('<', '(');

        public string GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte kind)
        {
            TypeReference type = reader.GetTypeReference(handle);
            string name = reader.GetString(type.Name);
            return type.ResolutionScope.Kind == HandleKind.TypeReference
                ? $"{GetTypeFromReference(reader, (TypeReferenceHandle)type.ResolutionScope, 0)}.{name}"
                : $"{reader.GetString(type.Namespace)}.{name}";
        }

        public string GetTypeFromSpecification(MetadataReader reader, object? context, TypeSpecificationHandle handle, byte kind) =>
            reader.GetTypeSpecification(handle).DecodeSignature(this, context);

        public string GetSZArrayType(string element) => $"{element}[]";

        public string GetArrayType(string element, ArrayShape shape) => $"{element}[{new string(',', Math.Max(1, shape.Rank - 1))}]";

        public string GetByReferenceType(string element) => $"{element}@";

        public string GetPointerType(string element) => $"{element}*";

        public string GetPinnedType(string element) => element;

        public string GetGenericInstantiation(string type, ImmutableArray<string> arguments) => $"{type}<{string.Join(",", arguments)}>";

        public string GetGenericMethodParameter(object? context, int index) => $"<{index}>";

        public string GetGenericTypeParameter(object? context, int index) => $"<{index}>";

        public string GetModifiedType(string modifier, string unmodified, bool isRequired) => unmodified;

        public string GetFunctionPointerType(MethodSignature<string> signature) => "function<pointer>";
    }
}
