// Reads a compiled assembly and lists what the nanoFramework CLR would not run although the compiler accepts it
// (shared facts, nanoframework.md section 4): anything generic, arrays of more than one dimension, stackalloc,
// checked arithmetic, default interface methods, an enum made into text, and members the board's libraries do not
// have. Attributes are left alone: the compiler puts them in for the host, and the firmware build brings its own.
using System.Collections.Immutable;
using System.Reflection;
using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace Agent.Tests.Core;

internal sealed class BoardRules
{
    private static readonly Dictionary<int, OpCode> OpCodesByValue = typeof(OpCodes)
        .GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => (int)(ushort)code.Value);

    private readonly MetadataReader metadata;
    private readonly PEReader image;
    private readonly Names names = new();
    private readonly IReadOnlySet<string> boardMembers;
    private readonly SortedSet<string> findings = new(StringComparer.Ordinal);

    private BoardRules(PEReader image, IReadOnlySet<string> boardMembers)
    {
        this.image = image;
        this.boardMembers = boardMembers;
        metadata = image.GetMetadataReader();
    }

    /// <summary>One line per offence: what kind, then where or what.</summary>
    public static IReadOnlyCollection<string> Check(string assemblyPath, IReadOnlySet<string> boardMembers)
    {
        using PEReader image = new(File.OpenRead(assemblyPath));
        BoardRules rules = new(image, boardMembers);
        rules.CheckTables();
        foreach (TypeDefinitionHandle type in rules.metadata.TypeDefinitions)
        {
            rules.CheckType(rules.metadata.GetTypeDefinition(type));
        }

        return rules.findings;
    }

    private void CheckTables()
    {
        if (metadata.GetTableRowCount(TableIndex.GenericParam) > 0)
        {
            findings.Add("generic: a type or method of its own with type parameters");
        }

        if (metadata.GetTableRowCount(TableIndex.MethodSpec) > 0)
        {
            findings.Add("generic: a call of a generic method");
        }

        for (int row = 1; row <= metadata.GetTableRowCount(TableIndex.TypeSpec); row++)
        {
            TypeSpecification type = metadata.GetTypeSpecification(MetadataTokens.TypeSpecificationHandle(row));
            NoteName(type.DecodeSignature(names, null), "a type written in code");
        }

        HashSet<EntityHandle> attributes = AttributeConstructors();
        foreach (MemberReferenceHandle handle in metadata.MemberReferences.Where(handle => !attributes.Contains(handle)))
        {
            CheckReference(metadata.GetMemberReference(handle));
        }
    }

    private HashSet<EntityHandle> AttributeConstructors() =>
        [.. metadata.CustomAttributes.Select(handle => metadata.GetCustomAttribute(handle).Constructor)];

    private void CheckReference(MemberReference member)
    {
        if (member.Parent.Kind != HandleKind.TypeReference)
        {
            return; // array or generic types are judged as TypeSpec rows
        }

        string type = names.GetTypeFromReference(metadata, (TypeReferenceHandle)member.Parent, 0);
        string name = metadata.GetString(member.Name);
        string id = member.GetKind() == MemberReferenceKind.Field
            ? $"F:{type}.{name}"
            : MethodId(type, name, member.DecodeMethodSignature(names, null).ParameterTypes);
        if (!boardMembers.Contains(id))
        {
            findings.Add($"not on the board: {id}");
        }
    }

    private static string MethodId(string type, string name, ImmutableArray<string> parameters)
    {
        bool reads = name.StartsWith("get_", StringComparison.Ordinal);
        bool writes = name.StartsWith("set_", StringComparison.Ordinal);
        IEnumerable<string> shown = writes ? parameters.SkipLast(1) : parameters;
        string list = shown.Any() ? $"({string.Join(",", shown)})" : "";
        return reads || writes ? $"P:{type}.{name[4..]}{list}" : $"M:{type}.{name.Replace('.', '#')}{list}";
    }

    private void CheckType(TypeDefinition type)
    {
        string typeName = metadata.GetString(type.Name);
        foreach (FieldDefinitionHandle handle in type.GetFields())
        {
            FieldDefinition field = metadata.GetFieldDefinition(handle);
            NoteName(field.DecodeSignature(names, null), $"{typeName}.{metadata.GetString(field.Name)}");
        }

        foreach (MethodDefinitionHandle handle in type.GetMethods())
        {
            MethodDefinition method = metadata.GetMethodDefinition(handle);
            string place = $"{typeName}.{metadata.GetString(method.Name)}";
            MethodSignature<string> signature = method.DecodeSignature(names, null);
            NoteName(signature.ReturnType, place);
            signature.ParameterTypes.ToList().ForEach(parameter => NoteName(parameter, place));
            bool isStatic = (method.Attributes & MethodAttributes.Static) != 0;
            if ((type.Attributes & TypeAttributes.Interface) != 0 && method.RelativeVirtualAddress != 0 && !isStatic)
            {
                findings.Add($"default interface method: {place}");
            }

            if (method.RelativeVirtualAddress != 0)
            {
                CheckBody(image.GetMethodBody(method.RelativeVirtualAddress), place);
            }
        }
    }

    private void CheckBody(MethodBodyBlock body, string place)
    {
        if (!body.LocalSignature.IsNil)
        {
            StandaloneSignature locals = metadata.GetStandaloneSignature(body.LocalSignature);
            locals.DecodeLocalSignature(names, null).ToList().ForEach(local => NoteName(local, place));
        }

        BlobReader code = body.GetILReader();
        while (code.RemainingBytes > 0)
        {
            int value = code.ReadByte();
            OpCode operation = OpCodesByValue[value == 0xFE ? 0xFE00 | code.ReadByte() : value];
            CheckOperation(operation, code, place);
            Skip(ref code, operation);
        }
    }

    private void CheckOperation(OpCode operation, BlobReader operand, string place)
    {
        if (operation == OpCodes.Localloc)
        {
            findings.Add($"stackalloc: {place}");
        }
        else if (operation.Name!.Contains(".ovf", StringComparison.Ordinal))
        {
            findings.Add($"checked arithmetic: {place}");
        }
        else if ((operation == OpCodes.Constrained || operation == OpCodes.Box)
            && IsEnum(MetadataTokens.EntityHandle(operand.ReadInt32())))
        {
            findings.Add($"enum made into an object or text: {place}");
        }
    }

    private bool IsEnum(EntityHandle type)
    {
        if (type.Kind == HandleKind.TypeReference)
        {
            return Type.GetType(names.GetTypeFromReference(metadata, (TypeReferenceHandle)type, 0))?.IsEnum == true;
        }

        if (type.Kind != HandleKind.TypeDefinition)
        {
            return false;
        }

        EntityHandle parent = metadata.GetTypeDefinition((TypeDefinitionHandle)type).BaseType;
        return parent.Kind == HandleKind.TypeReference
            && names.GetTypeFromReference(metadata, (TypeReferenceHandle)parent, 0) == "System.Enum";
    }

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

    private void NoteName(string typeName, string place)
    {
        if (typeName.Contains('<') || typeName.Contains('!'))
        {
            findings.Add($"generic: {typeName} in {place}");
        }

        if (typeName.Contains("[,", StringComparison.Ordinal))
        {
            findings.Add($"array of several dimensions: {typeName} in {place}");
        }
    }

    /// <summary>Types as documentation ids spell them; what is forbidden gets a spelling of its own.</summary>
    private sealed class Names : ISignatureTypeProvider<string, object?>
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

        public string GetTypeFromSpecification(
            MetadataReader reader, object? context, TypeSpecificationHandle handle, byte kind) =>
            reader.GetTypeSpecification(handle).DecodeSignature(this, context);

        public string GetSZArrayType(string element) => $"{element}[]";

        public string GetArrayType(string element, ArrayShape shape) =>
            $"{element}[{new string(',', Math.Max(1, shape.Rank - 1))}]";

        public string GetByReferenceType(string element) => $"{element}@";

        public string GetPointerType(string element) => $"{element}*";

        public string GetPinnedType(string element) => element;

        public string GetGenericInstantiation(string type, ImmutableArray<string> arguments) =>
            $"{type}<{string.Join(",", arguments)}>";

        public string GetGenericMethodParameter(object? context, int index) => $"!!{index}";

        public string GetGenericTypeParameter(object? context, int index) => $"!{index}";

        public string GetModifiedType(string modifier, string unmodified, bool isRequired) => unmodified;

        public string GetFunctionPointerType(MethodSignature<string> signature) => "function<pointer>";
    }
}
