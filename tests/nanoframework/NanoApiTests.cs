namespace Agent.Tests.NanoFramework;

/// <summary>The firmware against the board's libraries and the board's CLR, as far as can be told without either.</summary>
public sealed class NanoApiTests
{
    [Fact]
    public void The_lists_make_whole_reference_assemblies() => Repo.Repository.AssertNone(NanoApi.Faults());

    /// <summary>
    /// The lean image must do without the Azure client, and with every library there is: whoever builds it may reference more.
    /// </summary>
    [Theory]
    [InlineData("core", "board")]
    [InlineData("core", "board", "provisioning", "tests")]
    [InlineData("core", "board", "provisioning", "+AGENT_PROVISIONING")]
    public void The_firmware_compiles_against_the_boards_libraries_alone_and_holds_nothing_its_CLR_cannot_run(params string[] halves)
    {
        (byte[]? image, IReadOnlyList<string> errors) = FirmwareSources.Compile(
            FirmwareSources.Read(FirmwareSources.Files),
            NanoPackages().Where(package => halves.Contains(package.Half)).Select(package => package.Assembly),
            symbols: [.. halves.Where(half => half[0] == '+').Select(half => half[1..])]);
        Assert.Empty(errors);
        Assert.Empty(IlRules.Check(image!));
    }

    [Fact]
    public void The_core_compiles_with_the_packages_of_its_half()
    {
        IEnumerable<string> core = FirmwareSources.Files.Where(file => file.Contains("/core/", StringComparison.Ordinal));
        Assert.Empty(FirmwareSources.Compile(
            FirmwareSources.Read(core),
            NanoPackages().Where(package => package.Half == "core").Select(package => package.Assembly)).Errors);
    }

    [Fact]
    public void Every_pinned_package_has_its_API_list()
    {
        Assert.Empty(NanoPackages().Select(package => package.Assembly).Except(NanoApi.Assemblies));
    }

    private static IEnumerable<(string Assembly, string Half)> NanoPackages() =>
        System.Xml.Linq.XDocument.Load(Path.Combine(FirmwareSources.Root, "nf.props")).Descendants()
            .Where(element => element.Name.LocalName == "NanoPackage" && element.Attribute("Include") is not null)
            .Select(element => (element.Attribute("Assembly")!.Value, element.Attribute("Half")!.Value));

    // Each is one way to write firmware that works on a PC. The number is the compiler's.
    [Theory]
    [InlineData("CS1061", "class X { static string F(string t) => t.Replace('a', 'b'); }")]
    [InlineData("CS0117", "class X { static string F(string[] t) => string.Join(\",\", t); }")]
    [InlineData("CS0117", "class X { static bool F(string t) => string.IsNullOrWhiteSpace(t); }")]
    [InlineData("CS0117", "class X { static System.DateTime F() => System.DateTime.Now; }")]
    [InlineData("CS0246", "class X { System.OverflowException f; }", "CS0234")]
    [InlineData("CS0234", "class X { System.Collections.Generic.List<int> f; }")]
    [InlineData("CS0234", "using System.Linq; class X { }")]
    [InlineData("CS0234", "class X { System.Threading.Tasks.Task f; }")]
    [InlineData("CS0234", "class X { async void F() { await System.Threading.Tasks.Task.Yield(); } }")]
    [InlineData("CS0518", "class X { static int? F() => null; }")]
    [InlineData("CS0518", "class X { static (int A, int B) F() => (1, 2); }", "CS8179")]
    [InlineData("CS1980", "class X { static dynamic F(dynamic a) => a.B; }")]
    [InlineData("CS1593", "class X { static void F() => new System.Threading.Thread((object o) => { }).Start(); }")]
    [InlineData("CS1501", "class X { static void F(System.Threading.Thread t) => t.Start(1); }")]
    [InlineData("CS1061", "class X { static string F(System.Enum e) => e.GetTypeCode().ToString(); }")]
    [InlineData("CS8652", "class X { required int f; }", "CS8773", "CS8400")]
    [InlineData("CS8773", "global using System;", "CS8400")]
    [InlineData("CS1061", "class X { static int F(nanoFramework.M2Mqtt.MqttClient c) => c.Reason; }")]
    [InlineData("CS1501", "class X { static void F(nanoFramework.M2Mqtt.MqttClient c) => c.Publish(\"t\", null, 1, 2, 3, 4, 5); }")]
    public void What_the_boards_libraries_or_language_lack_does_not_compile(string error, string text, params string[] orErrors)
    {
        IReadOnlyList<string> errors = FirmwareSources.Compile([("planted.cs", text)]).Errors;
        Assert.Contains(errors, seen => orErrors.Append(error).Any(code => seen.Contains(code, StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("generic: System.Func`1<System.Int32>", "class X { System.Func<int> f = () => 1; }")]
    [InlineData("generic: System.Action`1<System.String>", "class X { void F(System.Action<string> f) => f(\"\"); }")]
    [InlineData("generic: the type X`1", "class X<T> { T f; }")]
    [InlineData("generic: the method X.F", "class X { T F<T>(T a) => a; }")]
    [InlineData("generic: a call of a generic method", "class X { T F<T>(T a) => a; int G() => F(1); }")]
    [InlineData("array of several dimensions: System.Int32[,]", "class X { int[,] f = new int[2, 2]; }")]
    [InlineData("array of several dimensions: System.Byte[,,]", "class X { int F() { var a = new byte[1, 2, 3]; return a[0, 0, 0]; } }")]
    [InlineData("stackalloc: X.F", "class X { unsafe int F() { int* a = stackalloc int[4]; return a[1]; } }")]
    [InlineData("pointer: System.Int32*", "class X { unsafe int F(int* a) => *a; }")]
    [InlineData("checked arithmetic: X.F", "class X { int F(int a, int b) => checked(a + b); }")]
    [InlineData("checked arithmetic: X.F", "class X { byte F(int a) { checked { return (byte)a; } } }")]
    [InlineData("enum made into text: X.F", "enum E { A } class X { string F(E e) => e.ToString(); }")]
    [InlineData("enum made into text: X.F", "class X { string F(System.DayOfWeek e) => e.ToString(); }")]
    [InlineData("enum made into an object: X.F", "enum E { A } class X { string F(E e) => $\"state {e}, {1}\"; }")]
    [InlineData("enum made into an object: X.F", "enum E { A } class X { object F(E e) => e; }")]
    [InlineData("enum made into text: X.F", "enum E { A } class X { string F(E e) => \"state \" + e; }", "enum made into an object: X.F")]
    [InlineData("generic: ", "class X { void F() { System.EventHandler<System.EventArgs> h = null; h(this, null); } }")]
    public void What_compiles_but_does_not_run_is_found(string finding, string text, params string[] orFindings)
    {
        (byte[]? image, IReadOnlyList<string> errors) = FirmwareSources.Compile([("planted.cs", text)], allowUnsafe: true);
        Assert.True(image is not null, string.Join('\n', errors));
        IReadOnlyCollection<string> findings = IlRules.Check(image);
        Assert.Contains(findings, seen => orFindings.Append(finding).Any(start => seen.StartsWith(start, StringComparison.Ordinal)));
    }

    // The other way round: a check that forbids what the board runs would be circumvented.
    [Theory]
    [InlineData("class X { string F(int a) => $\"{a,5:D2} {\"x\"}\"; }")]
    [InlineData("class X { int F(string a) { switch (a) { case \"b\": return 1; case \"c\": return 2; default: return a switch { \"d\" => 3, _ => 4 }; } } }")]
    [InlineData("class X { void F(int a) { System.Action f = () => a++; f(); System.Threading.ThreadStart g = L; g(); void L() { a--; } } }")]
    [InlineData("class X { int F() { try { return 1; } catch (System.Exception e) when (e.Message == \"x\") { return 2; } finally { G(); } } void G() { } }")]
    [InlineData("class X { byte[][] f = { new byte[] { 1, 2, 3, 4, 5, 6, 7, 8, 9 } }; int F() { int n = 0; foreach (byte b in f[0]) { n += b; } return n; } }")]
    [InlineData("class X { event System.EventHandler E; void F() { lock (this) { E?.Invoke(this, System.EventArgs.Empty); } } public int P { get; } }")]
    public void What_the_board_runs_is_left_alone(string text)
    {
        (byte[]? image, IReadOnlyList<string> errors) = FirmwareSources.Compile([("good.cs", text)]);
        Assert.True(image is not null, string.Join('\n', errors));
        Assert.Empty(IlRules.Check(image));
    }
}
