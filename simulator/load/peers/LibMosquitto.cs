using System.Runtime.InteropServices;

namespace Agent.Load.Peers;

/// <summary>What is used of mosquitto's own client library (libmosquitto 2.0), as its header declares it.</summary>
internal static unsafe partial class LibMosquitto
{
    public const int Success = 0;
    public const int OptionNoDelay = 11;

    private const string Library = "libmosquitto.so.1";

    /// <summary>Whether it is installed.</summary>
    public static bool IsThere => NativeLibrary.TryLoad(Library, out _);

    [LibraryImport(Library, EntryPoint = "mosquitto_lib_init")]
    public static partial int Start();

    [LibraryImport(Library, EntryPoint = "mosquitto_new", StringMarshalling = StringMarshalling.Utf8)]
    public static partial nint New(string id, [MarshalAs(UnmanagedType.U1)] bool cleanSession, nint user);

    [LibraryImport(Library, EntryPoint = "mosquitto_destroy")]
    public static partial void Destroy(nint client);

    [LibraryImport(Library, EntryPoint = "mosquitto_tls_set", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SetTls(nint client, string authority, nint folder, nint certificate, nint key, nint password);

    [LibraryImport(Library, EntryPoint = "mosquitto_int_option")]
    public static partial int SetOption(nint client, int option, int value);

    [LibraryImport(Library, EntryPoint = "mosquitto_max_inflight_messages_set")]
    public static partial int SetUnderWayMax(nint client, uint count);

    [LibraryImport(Library, EntryPoint = "mosquitto_username_pw_set", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SetUser(nint client, string name, string password);

    [LibraryImport(Library, EntryPoint = "mosquitto_connect_callback_set")]
    public static partial void OnConnect(nint client, delegate* unmanaged<nint, nint, int, void> callback);

    [LibraryImport(Library, EntryPoint = "mosquitto_publish_callback_set")]
    public static partial void OnPublish(nint client, delegate* unmanaged<nint, nint, int, void> callback);

    [LibraryImport(Library, EntryPoint = "mosquitto_connect", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Connect(nint client, string host, int port, int keepAliveSeconds);

    [LibraryImport(Library, EntryPoint = "mosquitto_disconnect")]
    public static partial int Disconnect(nint client);

    [LibraryImport(Library, EntryPoint = "mosquitto_socket")]
    public static partial int Socket(nint client);

    [LibraryImport(Library, EntryPoint = "mosquitto_want_write")]
    [return: MarshalAs(UnmanagedType.U1)]
    public static partial bool WantsToWrite(nint client);

    [LibraryImport(Library, EntryPoint = "mosquitto_loop_read")]
    public static partial int Read(nint client, int packetsMax);

    [LibraryImport(Library, EntryPoint = "mosquitto_loop_write")]
    public static partial int Write(nint client, int packetsMax);

    [LibraryImport(Library, EntryPoint = "mosquitto_publish")]
    public static partial int Publish(
        nint client, int* packetId, byte* topic, int length, byte* payload, int qos, [MarshalAs(UnmanagedType.U1)] bool retain);
}
