using System.Text;
using Agent.Service;

namespace Agent.Tests.Service;

public sealed class ConnectionsReaderTests
{
    private const string Connect = """
        {"time":"2019-08-13T18:53:33Z","category":"Connections","operationName":"deviceConnect","level":"Information",
         "properties":"{\"deviceId\":\"truck-4\"}"}
        """;

    [Theory]
    [InlineData("connections.jsonl", 15)]
    [InlineData("logs-2019.jsonl", 2)]
    [InlineData("logs-documented.jsonl", 1)]
    [InlineData("logs-eventhub.json", 1)]
    public void Records_are_read_in_every_form_they_come_in(string file, int atLeast)
    {
        ReadOutcome outcome = Read(File.ReadAllBytes(Path.Combine(Repo.Repository.Root, "tests", "golden", file)));

        Assert.InRange(outcome.Facts.Count + outcome.Ignored, atLeast, 10_000);
        Assert.InRange(outcome.Facts.Count, 1, 10_000);
    }

    [Fact]
    public void A_cut_connection_carries_its_code()
    {
        ReadOutcome outcome = Read(File.ReadAllBytes(Path.Combine(Repo.Repository.Root, "tests", "golden", "logs-documented.jsonl")));
        Fact fact = outcome.Facts.Facts[0];

        Assert.Equal((FactKind.LoggedDisconnect, 404104), (fact.Kind, HubCodes.Number(fact.HubCode)));
        Assert.Equal("sensor-1"u8, outcome.Facts.Id(fact));
    }

    [Fact]
    public void Lines_arrays_and_the_event_hubs_wrapper_say_the_same()
    {
        string one = Connect.Trim();
        string wrapped = $"{{\"records\":[{one},{one}]";
        foreach (string body in new[] { one + "\n" + one, $"[{one},{one}]", wrapped + "}", wrapped + ",\"more\":[1]}\n" })
        {
            Assert.Equal(2, Read(Encoding.UTF8.GetBytes(body)).Facts.Count);
        }
    }

    [Theory]
    [InlineData("\"deviceConnect\"", "\"other\"")]
    [InlineData("\"Connections\"", "\"Routes\"")]
    public void Other_records_of_the_stream_are_ignored(string from, string to)
    {
        ReadOutcome outcome = Read(Encoding.UTF8.GetBytes(Connect.Replace(from, to, StringComparison.Ordinal)));

        Assert.Equal((0, 1), (outcome.Facts.Count, outcome.Ignored));
    }

    [Theory]
    [InlineData("7", "record [0] is not an object")]
    [InlineData("[7]", "record [0] is not an object")]
    [InlineData("{\"records\":7}", "records is not an array")]
    [InlineData("[]", "there is no record in it")]
    [InlineData("{\"category\":\"Connections\",\"operationName\":\"deviceConnect\"}", "record [0] time is missing or not an ISO 8601 moment")]
    [InlineData(
        "{\"time\":\"2019-08-13T18:53:33Z\",\"category\":\"Connections\",\"operationName\":\"deviceConnect\",\"properties\":\"{]\"}",
        "record [0] properties.deviceId is missing or not a device id")]
    public void A_wrong_body_is_refused_naming_the_place(string body, string expected)
    {
        var outcome = new ReadOutcome();
        Assert.False(new ConnectionsReader().TryRead(Encoding.UTF8.GetBytes(body), outcome));
        Assert.Equal(expected, outcome.Error);
    }

    [Fact]
    public void Prefixes_and_mutations_never_throw()
    {
        byte[] good = File.ReadAllBytes(Path.Combine(Repo.Repository.Root, "tests", "golden", "logs-eventhub.json"));
        var reader = new ConnectionsReader();
        var outcome = new ReadOutcome();
        for (int length = 0; length < good.AsSpan().TrimEnd("\r\n "u8).Length; length++)
        {
            outcome.Clear();
            bool isRead = reader.TryRead(good.AsSpan(0, length), outcome);
            Assert.True(!isRead || length == 0);
        }

        var draw = new Random(8);
        int refused = 0;
        for (int round = 0; round < 10_000; round++)
        {
            byte[] bad = [.. good];
            for (int flips = 1 + draw.Next(4); flips > 0; flips--)
            {
                bad[draw.Next(bad.Length)] = (byte)draw.Next(256);
            }

            outcome.Clear();
            refused += reader.TryRead(bad, outcome) ? 0 : 1;
        }

        Assert.InRange(refused, 1, 9_999);
    }

    private static ReadOutcome Read(byte[] body)
    {
        var outcome = new ReadOutcome();
        Assert.True(new ConnectionsReader().TryRead(body, outcome), outcome.Error);
        return outcome;
    }
}
