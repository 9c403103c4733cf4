namespace Agent.Tests.Hub.Http;

/// <summary>Clients that take their time; by real clocks.</summary>
[Collection(RealTime.Name)]
public sealed class SlowHttpTests
{
    [Fact]
    public async Task A_body_that_does_not_come_is_given_up_on_and_others_are_served_meanwhile()
    {
        await using HttpRig rig = await HttpRig.StartAsync();
        await using RawHttp slow = await RawHttp.DialAsync(rig);
        await slow.SendAsync($"PUT /devices/pump?{HttpRig.Version} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {rig.Token()}\r\n"
            + "Content-Length: 1000\r\n\r\n{");
        await using RawHttp mute = await RawHttp.DialAsync(rig);
        await mute.SendAsync("GET / HT");
        (await rig.GetAsync("/healthz")).Ok();

        Assert.Matches("^(HTTP/1.1 408 |$)", await slow.ReadToEndAsync(30));
        Assert.Matches("^(HTTP/1.1 408 |$)", await mute.ReadToEndAsync(30));
        (await rig.GetAsync("/devices/pump")).Refused(404, "DeviceNotFound");
    }
}
