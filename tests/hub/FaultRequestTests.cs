using System.Text;
using Agent.Hub;

namespace Agent.Tests.Hub;

/// <summary>The vendor's test messages as its SDKs put them on the wire.</summary>
public sealed class FaultRequestTests
{
    private const string T = "AzIoTHub_FaultOperationType=";
    private const string R = "AzIoTHub_FaultOperationCloseReason=";
    private const string L = "AzIoTHub_FaultOperationDelayInSecs=";
    private const string U = "AzIoTHub_FaultOperationDurationInSecs=";

    // Values and order of properties: azure-iot-sdk-csharp FaultInjection.cs (boom, byebye; TotalSeconds), azure-iot-sdk-java
    // ErrorInjectionHelper.java ("Boom"), azure-iot-sdk-node throttle_disconnect.js and d2c_disconnect.js (duration before delay,
    // reasons with blanks), azure-iot-sdk-python fault tests (no duration), azure-iot-sdk-c e2e ("20").
    [Theory]
    [InlineData(T + "KillTcp&" + R + "boom&" + L + "5&" + U + "5", RequestedFault.KillTcp, 5000, 5000)]
    [InlineData("$.mid=2d31&" + T + "KillTcp&" + R + "Boom&" + L + "1&" + U + "5", RequestedFault.KillTcp, 1000, 5000)]
    [InlineData(T + "ShutDownMqtt&" + R + "byebye&" + L + "1&" + U + "10", RequestedFault.ShutDownMqtt, 1000, 10_000)]
    [InlineData(T + "ShutDownMqtt&" + R + "%20cleanly%20shutdowns%20the%20MQTT%20connection%20&" + L + "5", RequestedFault.ShutDownMqtt, 5000, 0)]
    [InlineData(T + "InvokeThrottling&" + R + "%20throttle%20connection%20&" + U + "5&" + L + "0", RequestedFault.InvokeThrottling, 0, 5000)]
    [InlineData(T + "InvokeMaxMessageQuota&" + R + "20&" + L + "1", RequestedFault.InvokeMaxMessageQuota, 1000, 0)]
    [InlineData(T + "InvokeAuthError&" + R + "boom&" + L + "0.5&" + U + "2.5", RequestedFault.InvokeAuthError, 500, 2500)]
    [InlineData(T + "KillTcp", RequestedFault.KillTcp, 0, 0)]
    public void What_the_SDKs_send_is_read(string bag, RequestedFault fault, long delayMs, long durationMs)
    {
        Assert.True(FaultRequest.TryRead(Encoding.UTF8.GetBytes(bag), out FaultRequest request));
        Assert.Equal(new FaultRequest(fault, delayMs, durationMs), request);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a=b&c=d")]
    [InlineData("AzIoTHub_FaultOperationType")]
    [InlineData(T)]
    [InlineData(T + "killtcp")]
    [InlineData(T + "KillAmqpConnection&" + R + "boom&" + L + "1&" + U + "5")]
    [InlineData(T + "ShutDownAmqp&" + R + "byebye")]
    [InlineData("x" + T + "KillTcp")]
    [InlineData(T + "KillTcp&" + L + "-1")]
    [InlineData(T + "KillTcp&" + L + "soon")]
    [InlineData(T + "KillTcp&" + L)]
    [InlineData(T + "KillTcp&" + L + "3601")]
    [InlineData(T + "KillTcp&" + U + "1e9")]
    [InlineData(T + "KillTcp&" + U + "99999999999999999999999999999")]
    [InlineData(T + "KillTcp&" + U + "5 ")]
    [InlineData(R + "boom&" + L + "1")]
    public void Anything_else_is_telemetry(string bag) => Assert.False(FaultRequest.TryRead(Encoding.UTF8.GetBytes(bag), out _));

    [Fact]
    public void Prefixes_and_damaged_bags_never_throw()
    {
        byte[] whole = Encoding.UTF8.GetBytes(T + "KillTcp&" + R + "%20boom&" + L + "12.5&" + U + "5");
        for (int length = 0; length < whole.Length; length++)
        {
            FaultRequest.TryRead(whole.AsSpan(0, length), out _);
        }

        var random = new Random(11);
        for (int round = 0; round < 20_000; round++)
        {
            byte[] damaged = [.. whole];
            for (int i = random.Next(1, 4); i > 0; i--)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }

            if (FaultRequest.TryRead(damaged, out FaultRequest request))
            {
                Assert.InRange(request.DelayMs, 0, FaultRequest.LengthMsMax);
                Assert.InRange(request.DurationMs, 0, FaultRequest.LengthMsMax);
            }
        }
    }
}
