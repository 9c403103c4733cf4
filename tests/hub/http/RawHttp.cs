using System.Net.Security;
using System.Net.Sockets;
using System.Text;

namespace Agent.Tests.Hub.Http;

/// <summary>A client that can do wrong: bytes over TLS, as they are given.</summary>
internal sealed class RawHttp : IAsyncDisposable
{
    private readonly TcpClient tcp;
    private readonly SslStream tls;

    private RawHttp(TcpClient tcp, SslStream tls)
    {
        this.tcp = tcp;
        this.tls = tls;
    }

    public static async Task<RawHttp> DialAsync(HttpRig rig)
    {
        var tcp = new TcpClient();
        await tcp.ConnectAsync(rig.Http.Address.Host, rig.Http.Address.Port);
        var tls = new SslStream(tcp.GetStream());
        await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            CertificateChainPolicy = HttpRig.Trust(rig.Authority),
        });
        return new RawHttp(tcp, tls);
    }

    public async Task SendAsync(string text)
    {
        await tls.WriteAsync(Encoding.Latin1.GetBytes(text));
        await tls.FlushAsync();
    }

    /// <summary>All that comes until the server ends the connection.</summary>
    public async Task<string> ReadToEndAsync(int seconds = 20)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        var all = new MemoryStream();
        try
        {
            await tls.CopyToAsync(all, patience.Token);
        }
        catch (IOException)
        {
            // A reset is an end, too.
        }

        return Encoding.UTF8.GetString(all.ToArray());
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await tls.DisposeAsync();
        }
        catch (IOException)
        {
            // The server was first.
        }

        tcp.Dispose();
    }
}
