// The name of the model in device/model, as CONNECT announces it (IoT Plug and Play). A change that is not compatible gets
// a new number at the end, and a new file.
namespace Agent.Core
{
    /// <summary>The device's DTDL model.</summary>
    public static class DeviceModel
    {
        public const string Id = "dtmi:agent:device;1";
    }
}
