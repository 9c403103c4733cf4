using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace Agent.Tests.Service.Doctor;

/// <summary>A listener on a free port that treats each connection as the test says.</summary>
internal sealed class TlsPeer : IDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource ending = new();

    private TlsPeer(Func<NetworkStream, CancellationToken, Task> treat)
    {
        listener.Start();
        _ = Task.Run(() => AcceptAsync(treat));
    }

    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    public static TlsPeer With(X509Certificate2 certificate) => new(async (stream, cancellation) =>
    {
        using var tls = new SslStream(stream);
        await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = certificate }, cancellation);
        await tls.CopyToAsync(Stream.Null, cancellation);
    });

    public static TlsPeer Silent() => new((_, cancellation) => Task.Delay(Timeout.InfiniteTimeSpan, cancellation));

    public static TlsPeer Saying(byte[] bytes) => new(async (stream, cancellation) =>
    {
        await stream.WriteAsync(bytes, cancellation);
        await stream.CopyToAsync(Stream.Null, cancellation);
    });

    public static TlsPeer Closing() => new((_, _) => Task.CompletedTask);

    public void Dispose()
    {
        ending.Cancel();
        listener.Dispose();
        ending.Dispose();
    }

    private async Task AcceptAsync(Func<NetworkStream, CancellationToken, Task> treat)
    {
        CancellationToken cancellation = ending.Token;
        try
        {
            while (true)
            {
                TcpClient client = await listener.AcceptTcpClientAsync(cancellation);
                _ = Task.Run(async () =>
                {
                    using (client)
                    {
                        try
                        {
                            await treat(client.GetStream(), cancellation);
                        }
                        catch (Exception)
                        {
                            // The probe goes when it has seen enough.
                        }
                    }
                });
            }
        }
        catch (Exception failure) when (failure is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }
}
