using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Agent.Input;

namespace Agent.Logs;

/// <summary>One place records come from.</summary>
internal abstract class LogSource
{

    /// <summary>The name in reports.</summary>
    public abstract string Name { get; }

    /// <summary>Bytes; null = not known.</summary>
    public virtual long? Length => null;

    public abstract Stream Open();

    /// <summary>Checks and orders all sources before anything is printed.</summary>
    /// <exception cref="BadInputException">A source is not what it must be.</exception>
    public static List<LogSource> OpenAll(LogsOptions options)
    {
        if (options.Sources.Count == 0)
        {
            throw new BadInputException("logs: no file given; allowed: files, - (standard input), https://localhost:PORT of a running hub");
        }

        var files = new List<(DateTime First, LogSource Source)>();
        var streams = new List<LogSource>();
        foreach (string source in options.Sources)
        {
            if (source == "-")
            {
                streams.Add(new InputSource());
            }
            else if (source.Contains("://", StringComparison.Ordinal))
            {
                streams.Add(HubSource.Make(source, options));
            }
            else
            {
                var file = new FileSource(source);
                files.Add((FirstMoment(file), file));
            }
        }

        // Rotated files come in the order of a shell's pattern, which is seldom the order of time.
        return [.. files.OrderBy(file => file.First).Select(file => file.Source), .. streams];
    }

    // Looks for a first record, so that a picture or a result file is refused in one line instead of a table of nothing.
    private static DateTime FirstMoment(FileSource file)
    {
        using var reader = new ConnectionsReader(file.Open(), file.Name);
        while (reader.TryRead(out ConnectionsEntry? entry))
        {
            return entry.TimeGenerated;
        }

        if (reader.BadLines > 0 && reader.OtherRecords == 0)
        {
            throw new BadInputException(
                $"{reader.FirstBadLines[0]}; no Connections record in this file; allowed: one JSON object a line, "
                + "or {\"records\":[…]}, as IoT Hub and `simulator hub` write them");
        }

        return DateTime.MaxValue;
    }

    private sealed class FileSource : LogSource
    {
        private readonly string path;

        public FileSource(string path)
        {
            this.path = path;
            if (Directory.Exists(path))
            {
                throw new BadInputException($"{Name}: is a folder; allowed: files, such as {Path.Combine(path, "connections.jsonl")}");
            }

            if (!File.Exists(path))
            {
                throw new BadInputException($"{Name}: no such file");
            }
        }

        public override string Name => Shown.Clip(path, 200);

        public override long? Length => new FileInfo(path).Length;

        // A hub may be writing to it.
        public override Stream Open() => new FileStream(path, new FileStreamOptions
        {
            Share = FileShare.ReadWrite | FileShare.Delete,
            Options = FileOptions.SequentialScan,
            BufferSize = 0,
        });
    }

    private sealed class InputSource : LogSource
    {
        public override string Name => "standard input";

        public override Stream Open() => Console.OpenStandardInput();
    }
}

/// <summary>A hub running on this machine: <c>GET /local/logs</c>.</summary>
internal sealed class HubSource : LogSource
{
    private readonly Uri address;
    private readonly X509Certificate2Collection? roots;

    private HubSource(Uri address, X509Certificate2Collection? roots)
    {
        this.address = address;
        this.roots = roots;
    }

    public override string Name => address.GetLeftPart(UriPartial.Authority);

    public static HubSource Make(string text, LogsOptions options)
    {
        string shown = Shown.Clip(text, 100);
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? uri) || uri.Scheme != Uri.UriSchemeHttps || uri.UserInfo.Length > 0
            || uri.AbsolutePath is not ("/" or "/local/logs") || uri.Query.Length > 0)
        {
            throw new BadInputException($"{shown}: not the address of a hub; allowed: https://localhost:8443");
        }

        // The records go over no network, and what is asked of the hub is not for others to answer.
        if (!uri.IsLoopback)
        {
            throw new BadInputException($"{shown}: only a hub on this machine is asked; allowed: localhost, 127.0.0.1, [::1]");
        }

        string query = options.Device is null ? "" : "?device=" + Uri.EscapeDataString(options.Device);
        return new HubSource(new Uri(uri, "/local/logs" + query), ReadRoots(options.CaPath));
    }

    public override Stream Open()
    {
        var handler = new SocketsHttpHandler
        {
            UseProxy = false,
            AllowAutoRedirect = false,
            UseCookies = false,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            SslOptions = new SslClientAuthenticationOptions
            {
                CertificateChainPolicy = roots is null ? null : PolicyFor(roots),
            },
        };
        var client = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(30) };
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, address);
            HttpResponseMessage response = client.Send(request, HttpCompletionOption.ResponseHeadersRead);
            if (!response.IsSuccessStatusCode)
            {
                throw new IOException($"{Name}: answered {(int)response.StatusCode}; is this `simulator hub`?");
            }

            return new PatientStream(response.Content.ReadAsStream(), client, Name);
        }
        catch (Exception exception) when (exception is HttpRequestException or OperationCanceledException or IOException)
        {
            client.Dispose();
            throw exception is IOException ? exception : new IOException($"{Name}: {Reason(exception)}", exception);
        }
    }

    private static string Reason(Exception exception) => exception switch
    {
        HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } =>
            "its certificate is not trusted; give --ca FILE, the path the hub printed last at its start",
        HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError } => "nothing answers there; is the hub running?",
        OperationCanceledException => "no answer within 30 s",
        _ => exception.Message.ReplaceLineEndings(" "),
    };

    private static X509Certificate2Collection? ReadRoots(string? path)
    {
        if (path is null)
        {
            return null;
        }

        try
        {
            var roots = new X509Certificate2Collection();
            roots.ImportFromPemFile(path);
            return roots.Count > 0 ? roots : throw new CryptographicException("no certificate in it");
        }
        catch (Exception exception) when (exception is CryptographicException or IOException or ArgumentException)
        {
            throw new BadInputException(
                $"--ca {Shown.Clip(path, 200)}: {exception.Message.ReplaceLineEndings(" ")}; allowed: a PEM file with the hub's CA");
        }
    }

    private static X509ChainPolicy PolicyFor(X509Certificate2Collection roots)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(roots);
        return policy;
    }

    /// <summary>A response that may not stall for ever.</summary>
    private sealed class PatientStream(Stream inner, HttpClient client, string name) : Stream
    {
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            using var patience = new CancellationTokenSource(Patience);
            try
            {
                return inner.ReadAsync(buffer.AsMemory(offset, count), patience.Token).AsTask().GetAwaiter().GetResult();
            }
            catch (OperationCanceledException exception)
            {
                throw new IOException($"{name}: no more data for {Patience.TotalSeconds:0} s", exception);
            }
            catch (HttpRequestException exception)
            {
                throw new IOException($"{name}: {exception.Message.ReplaceLineEndings(" ")}", exception);
            }
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                inner.Dispose();
                client.Dispose();
            }

            base.Dispose(disposing);
        }
    }
}
