namespace Agent.Service;

/// <summary>The page itself: five files without a word about any device.</summary>
/// <remarks>
/// They need no key, so that there is a place to enter one. The policy allows the page its own script, style and requests and nothing
/// else: no inline script, no foreign address, no frame around it, and no way to turn text into markup (trusted types).
/// </remarks>
public static class PageFiles
{
    private const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        + "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

    private static readonly (string Path, string File, string Type)[] Files =
    [
        ("/", "page.html", "text/html; charset=utf-8"),
        ("/page.css", "page.css", "text/css; charset=utf-8"),
        ("/page.js", "page.js", "text/javascript; charset=utf-8"),
        ("/lane.js", "lane.js", "text/javascript; charset=utf-8"),
        ("/stream.js", "stream.js", "text/javascript; charset=utf-8"),
    ];

    /// <summary>Whether a path is one of the page's files.</summary>
    public static bool Has(PathString path) =>
        Array.Exists(Files, file => path.Equals(file.Path, StringComparison.Ordinal));

    /// <summary>Adds their routes.</summary>
    public static void Map(WebApplication application)
    {
        foreach ((string path, string file, string type) in Files)
        {
            application.MapGet(path, (HttpResponse response) =>
            {
                response.Headers.ContentSecurityPolicy = Policy;
                response.Headers.XContentTypeOptions = "nosniff";
                response.Headers["Referrer-Policy"] = "no-referrer";
                response.Headers.CacheControl = "no-cache"; // A new version of the service is a new page.
                return Results.Stream(typeof(PageFiles).Assembly.GetManifestResourceStream("Agent.Service.page." + file)!, type);
            });
        }
    }
}
