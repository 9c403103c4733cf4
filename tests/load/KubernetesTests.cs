using System.Text.RegularExpressions;
using Agent.Tests.Hub;
using Agent.Tests.Repo;
using YamlDotNet.RepresentationModel;

namespace Agent.Tests.Load;

/// <summary>The manifests for many machines are YAML, their parts fit together, and their commands are ours.</summary>
public partial class KubernetesTests
{
    private const string Folder = "simulator/kubernetes/";

    [Theory]
    [InlineData("fleet.yaml", 2)]
    [InlineData("merge.yaml", 1)]
    public void A_manifest_is_yaml_with_a_kind_and_a_name_in_each_document(string file, int documents)
    {
        IList<YamlDocument> read = Read(file);

        Assert.Equal(documents, read.Count);
        Assert.All(read, document =>
        {
            Assert.NotEmpty(Text(document.RootNode, "apiVersion"));
            Assert.NotEmpty(Text(document.RootNode, "kind"));
            Assert.NotEmpty(Text(document.RootNode["metadata"], "name"));
        });
    }

    [Theory]
    [InlineData("fleet.yaml")]
    [InlineData("merge.yaml")]
    public void Every_volume_that_is_mounted_is_there(string file)
    {
        YamlNode pod = Read(file)[0].RootNode["spec"]["template"]["spec"];
        IEnumerable<string> there = Items(pod["volumes"]).Select(volume => Text(volume, "name"));
        IEnumerable<string> mounted = Items(Items(pod["containers"]).Single()["volumeMounts"]).Select(mount => Text(mount, "name"));

        Assert.Equal(there.Order(), mounted.Order());
    }

    [Fact]
    public void Each_index_runs_its_own_shard_and_merge_reads_every_one()
    {
        YamlNode job = Read("fleet.yaml")[0].RootNode["spec"];
        int shards = int.Parse(Text(job, "completions"));

        Assert.Equal("Indexed", Text(job, "completionMode"));
        Assert.Equal(shards.ToString(), Text(job, "parallelism"));
        for (int index = 0; index < shards; index++)
        {
            string[] words = Words("fleet.yaml", index);
            Assert.Equal($"{index + 1}/{shards}", words[Array.IndexOf(words, "--shard") + 1]);
            string folder = words[Array.IndexOf(words, "--out") + 1];
            Assert.Contains($"{folder}/result.json", Words("merge.yaml", 0));
        }

        Assert.Equal(shards, Words("merge.yaml", 0).Count(word => word.EndsWith("result.json", StringComparison.Ordinal)));
    }

    // Our own parser takes every word; what it then misses is the file, which only the pod has.
    [Theory]
    [InlineData("fleet.yaml")]
    [InlineData("merge.yaml")]
    public async Task The_command_is_one_that_our_command_line_takes(string file)
    {
        string[] words = Words(file, 0);
        Assert.Equal("simulator", words[0]);
        string missing = words.First(word => word.EndsWith(".json", StringComparison.Ordinal));

        await using ChildProcess program = ChildProcess.Start("simulator.dll", words[1..]);
        await program.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(1));

        Assert.Equal(2, program.ExitCode);
        Assert.Contains(missing, program.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("try --help", program.Error, StringComparison.Ordinal);
    }

    private static IList<YamlDocument> Read(string file)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(Repository.Read(Folder + file)));
        return stream.Documents;
    }

    /// <summary>The words the shell would make of the command in the pod with this index.</summary>
    private static string[] Words(string file, int index)
    {
        YamlNode container = Items(Read(file)[0].RootNode["spec"]["template"]["spec"]["containers"]).Single();
        string[] command = [.. Items(container["command"]).Select(part => ((YamlScalarNode)part).Value!)];
        Assert.Equal(["/bin/sh", "-c"], command[..2]);
        string text = command[2].Trim()
            .Replace("$((JOB_COMPLETION_INDEX + 1))", $"{index + 1}", StringComparison.Ordinal)
            .Replace("$JOB_COMPLETION_INDEX", $"{index}", StringComparison.Ordinal)
            .Replace("$HUB", "localhost:8883", StringComparison.Ordinal)
            .Replace("$POLICY", "HostName=localhost;SharedAccessKeyName=device;SharedAccessKey=a2V5", StringComparison.Ordinal);
        Assert.DoesNotContain('$', text);
        Assert.StartsWith("exec ", text, StringComparison.Ordinal);
        return [.. Word().Matches(text["exec ".Length..]).Select(word => word.Value.Trim('"'))];
    }

    private static IEnumerable<YamlNode> Items(YamlNode node) => (YamlSequenceNode)node;

    private static string Text(YamlNode node, string key) => ((YamlScalarNode)node[key]).Value!;

    [GeneratedRegex("\"[^\"]*\"|\\S+")]
    private static partial Regex Word();
}
