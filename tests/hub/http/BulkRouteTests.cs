using System.Text.Json;

namespace Agent.Tests.Hub.Http;

/// <summary>Many identities in one request.</summary>
public sealed class BulkRouteTests
{
    [Fact]
    public async Task Rows_are_worked_off_each_for_itself_and_what_failed_is_listed()
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply reply = (await PostAsync(rig, """
            [ {"id":"a","importMode":"create","status":"disabled"},
              {"id":"device-0001","importMode":"create"},
              {"id":"b c","importMode":"create"},
              {"id":"nobody","importMode":"delete"},
              {"id":"d","importMode":"create"} ]
            """)).Ok(400);

        Assert.False(reply.Json.GetProperty("isSuccessful").GetBoolean());
        Assert.Equal(0, reply.Json.GetProperty("warnings").GetArrayLength());
        Assert.Equal(
            ["device-0001 DeviceAlreadyExists create", "b c ArgumentInvalid create", "nobody DeviceNotFound delete"], Errors(reply));
        Assert.Equal("disabled", (await rig.GetAsync("/devices/a")).Ok().Json.GetProperty("status").GetString());
        (await rig.GetAsync("/devices/d")).Ok();
    }

    [Fact]
    public async Task Modes_compare_etags_where_their_name_says_so()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        string eTag = (await rig.GetAsync("/devices/device-0001")).Ok().ETag;

        HttpReply reply = await PostAsync(rig, """[{"id":"device-0001","importMode":"updateIfMatchETag","eTag":"AAAA"}]""");
        Assert.Equal(["device-0001 PreconditionFailed updateIfMatchETag"], Errors(reply));
        reply = await PostAsync(rig, """[{"id":"device-0001","importMode":"UpdateIfMatchETag"}]""");
        Assert.Equal(["device-0001 ArgumentInvalid UpdateIfMatchETag"], Errors(reply));
        reply = await PostAsync(rig, """[{"id":"device-0001","importMode":"createIfMatchETag","eTag":"*"}]""");
        Assert.Equal(["device-0001 ArgumentInvalid createIfMatchETag"], Errors(reply));
        (await PostAsync(rig, $$"""
            [{"id":"device-0001","importMode":"updateIfMatchETag","etag":"{{eTag}}","statusReason":"one"}]
            """)).Ok();
        reply = await PostAsync(rig, $$"""[{"id":"device-0001","importMode":"deleteIfMatchETag","eTag":"{{eTag}}"}]""");
        Assert.Equal(["device-0001 PreconditionFailed deleteIfMatchETag"], Errors(reply));
        (await PostAsync(rig, """[{"id":"device-0001","importMode":"deleteIfMatchEtag","eTag":"*"}]""")).Ok();

        (await rig.GetAsync("/devices/device-0001")).Refused(404, "DeviceNotFound");
    }

    [Fact]
    public async Task Without_a_mode_a_row_creates_or_updates_and_may_carry_a_twin()
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        (await PostAsync(rig, """
            [ {"id":"a","tags":{"site":"mill"},"properties":{"desired":{"speed":3}}},
              {"id":"a","moduleId":"m","importMode":"create"},
              {"id":"device-0001","statusReason":"seen"} ]
            """)).Ok();
        (await PostAsync(rig, """[{"id":"device-0002","importMode":"updateTwin","tags":{"site":"pit"}}]""")).Ok();

        JsonElement twin = (await rig.GetAsync("/twins/a")).Ok().Json;
        Assert.Equal("mill", twin.GetProperty("tags").GetProperty("site").GetString());
        Assert.Equal(3, twin.GetProperty("properties").GetProperty("desired").GetProperty("speed").GetInt32());
        (await rig.GetAsync("/devices/a/modules/m")).Ok();
        Assert.Equal("seen", (await rig.GetAsync("/devices/device-0001")).Ok().Json.GetProperty("statusReason").GetString());
        Assert.Equal("pit", (await rig.GetAsync("/twins/device-0002")).Ok().Json.GetProperty("tags").GetProperty("site").GetString());
        HttpReply bad = await PostAsync(rig, """[{"id":"a","importMode":"update","tags":{"x":7e999}}]""");
        Assert.Equal(["a ArgumentInvalid update"], Errors(bad));
    }

    [Fact]
    public async Task An_identity_twice_in_a_list_is_an_error_of_the_second()
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply reply = await PostAsync(rig, """[{"id":"a","importMode":"create"},{"id":"a","importMode":"delete"}]""");

        Assert.Equal(["a DeviceDefinedMultipleTimes delete"], Errors(reply));
        (await rig.GetAsync("/devices/a")).Ok();
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("""[{"id":"a"}""")]
    [InlineData("""[{"id":"a","id":"b"}]""")]
    public async Task A_body_that_is_no_list_is_refused_as_a_whole(string body)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        (await PostAsync(rig, body)).Refused(400, "ArgumentInvalid");
    }

    [Theory]
    [InlineData("7")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"id":7}""")]
    [InlineData("""{"id":"a","importMode":"destroy"}""")]
    [InlineData("""{"id":"a","importMode":"1"}""")]
    [InlineData("""{"id":"a","moduleId":"x/y"}""")]
    [InlineData("""{"id":"\ud800"}""")]
    [InlineData("""{"id":"a","status":"broken"}""")]
    public async Task A_bad_row_is_an_error_of_its_own(string row)
    {
        await using HttpRig rig = await HttpRig.StartAsync();

        HttpReply reply = (await PostAsync(rig, $$"""[{{row}},{"id":"good"}]""")).Ok(400);

        Assert.Contains(" ArgumentInvalid ", Assert.Single(Errors(reply)));
        (await rig.GetAsync("/devices/good")).Ok();
    }

    [Fact]
    public async Task A_hundred_rows_are_taken_and_one_more_is_not()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        string Rows(int count) => "[" + string.Join(',', Enumerable.Range(0, count).Select(number => $$"""{"id":"n{{number}}"}""")) + "]";

        (await PostAsync(rig, Rows(101))).Refused(400, "ArgumentInvalid");
        Assert.Equal("""{"isSuccessful":true,"errors":[],"warnings":[]}""", (await PostAsync(rig, Rows(100))).Ok().Body);
    }

    private static Task<HttpReply> PostAsync(HttpRig rig, string rows) => rig.SendAsync("POST", "/devices", rows);

    /// <summary>Id, code and operation of each error.</summary>
    private static string[] Errors(HttpReply reply)
    {
        string[] names = ["deviceId", "errorCode", "operation"];
        return [.. reply.Ok(400).Json.GetProperty("errors").EnumerateArray()
            .Select(error => string.Join(' ', names.Select(name => error.GetProperty(name).GetString())))];
    }
}
