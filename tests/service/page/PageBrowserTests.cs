using Agent.Service.Doctor;
using Microsoft.Playwright;

namespace Agent.Tests.Service.Page;

/// <summary>The page in a real browser: what it shows, how soon, and that nothing a device says becomes markup.</summary>
[Collection(RealTime.Name)]
public sealed class PageBrowserTests : IAsyncLifetime
{
    private const float LiveWithinMs = 2_000;

    private readonly List<string> requests = [];
    private readonly List<string> complaints = [];
    private PageRig rig = null!;
    private IPlaywright? playwright;
    private IBrowser? browser;

    public async ValueTask InitializeAsync()
    {
        rig = await PageRig.StartAsync();
        if (Chromium.Path is null)
        {
            return;
        }

        Assertions.SetDefaultExpectTimeout(15_000);
        playwright = await Playwright.CreateAsync();
        browser = await playwright.Chromium.LaunchAsync(new() { ExecutablePath = Chromium.Path, Args = ["--no-sandbox"] });
    }

    public async ValueTask DisposeAsync()
    {
        if (browser is not null)
        {
            await browser.DisposeAsync();
        }

        playwright?.Dispose();
        await rig.DisposeAsync();
    }

    [Fact]
    public async Task An_empty_service_says_how_to_begin()
    {
        IPage page = await OpenAsync();

        await Is(page, "#empty").ToBeVisibleAsync();
        await Is(page, "[data-total=total] b").ToHaveTextAsync("0");
        await Is(page, "#worst-none").ToBeVisibleAsync();
        await Is(page, "#alarms-none").ToBeVisibleAsync();
        await ShotAsync(page, "empty");
    }

    [Fact]
    public async Task Totals_outage_alarm_and_recovery_are_shown_live()
    {
        IPage page = await OpenAsync();
        await rig.BeatAsync(40, i => ($"device-{i:d2}", i < 3 ? 60 : 3600, i % 2 == 0 ? "north" : "south"));
        await Is(page, "[data-total=online] b").ToHaveTextAsync("40", new() { Timeout = LiveWithinMs });
        await Is(page, "#sites tr").ToHaveCountAsync(2);
        await Is(page, "#empty").ToBeHiddenAsync();
        await ShotAsync(page, "online");

        rig.MoveTo(131);
        await Is(page, "[data-total=silent] b").ToHaveTextAsync("3", new() { Timeout = LiveWithinMs });
        await Is(page, "#alarms-count").ToHaveTextAsync("3");
        await Is(page, "#alarms li").ToHaveCountAsync(3);
        await Is(page, ":nth-match(#alarms li, 1)").ToContainTextAsync(" silent, raised 12:02:11: no word from the hub");
        await Is(page, "#worst tr").ToHaveCountAsync(3);
        await Is(page, ":nth-match(#worst tr, 1)").ToContainTextAsync("device-00");
        await Is(page, ":nth-match(#worst tr .status, 1)").ToHaveTextAsync("silent");
        await ShotAsync(page, "alarm");

        await rig.PostAsync([.. Enumerable.Range(0, 3).Select(i => HubMessages.Heartbeat($"device-{i:d2}", 130, seq: "2"))]);
        await Is(page, "[data-total=silent] b").ToHaveTextAsync("0", new() { Timeout = LiveWithinMs });
        await Is(page, "#worst tr").ToHaveCountAsync(0);
        await Is(page, "#alarms-none").ToBeVisibleAsync();
    }

    [Fact]
    public async Task A_hundred_thousand_devices_are_one_page_of_rows_and_one_request()
    {
        await rig.BeatAsync(100_000, i => ($"device-{i:d6}", i % 2 == 0 ? 60 : 7200, $"site-{i % 100:d2}"));
        rig.MoveTo(75);
        await rig.GetAsync("/alarms"); // Half of the fleet is late at once, by which the checker knows that it is not each of them.
        rig.MoveTo(131);
        await rig.GetAsync("/alarms");
        await Task.Delay(600); // The page comes after the news of it, so that what it asks is asked once.

        IPage page = await OpenAsync();
        await Is(page, "[data-total=total] b").ToHaveTextAsync("100,000");
        await Is(page, "[data-total=silent] b").ToHaveTextAsync("50,000");
        await Is(page, "#worst tr").ToHaveCountAsync(50);
        await Is(page, "#alarms li").ToHaveCountAsync(1);
        await Is(page, "#alarms li").ToContainTextAsync("fleet lost");
        Assert.Equal(1, Asked("/worst"));
        Assert.Equal(1, Asked("/sites"));
        Assert.Equal(0, requests.Count(url => url.Contains("/devices", StringComparison.Ordinal)));
        await ShotAsync(page, "outage");

        await page.Locator("#worst-more").ClickAsync();
        await Is(page, "#worst tr").ToHaveCountAsync(100);
        Assert.Equal(2, Asked("/worst"));
        await Is(page, "#worst tr:nth-child(51) button").ToBeFocusedAsync();
        await Is(page, "#worst tr:nth-child(51) button").ToHaveTextAsync("device-000100");
        Assert.InRange(await page.EvaluateAsync<int>("document.querySelectorAll('*').length"), 100, 3000);

        await page.GetByRole(AriaRole.Button, new() { Name = "site-02", Exact = true }).ClickAsync();
        await Is(page, "#site-all").ToBeFocusedAsync();
        await Is(page, "#worst tr").ToHaveCountAsync(50);
        await Is(page, "#worst tr:nth-child(2) button").ToHaveTextAsync("device-000102");
    }

    [Fact]
    public async Task The_lane_of_a_device_shows_changes_heartbeats_renewals_and_reasons()
    {
        await rig.PostAsync(HubMessages.Heartbeat("a%2b?#(1)", 0, renewal: "90"), HubMessages.Connection("a%2b?#(1)", true, 0, 1));
        IPage page = await OpenAsync("#" + Uri.EscapeDataString("a%2b?#(1)"));
        await Is(page, "#lane-title").ToHaveTextAsync("a%2b?#(1) online");
        await Is(page, "#lane-title").ToBeFocusedAsync();
        rig.MoveTo(60);
        await rig.PostAsync(HubMessages.Heartbeat("a%2b?#(1)", 60, seq: "2", renewal: "30"));
        rig.MoveTo(91);
        await Is(page, "#lane-title .status").ToHaveTextAsync("renewing");
        rig.MoveTo(94);
        await rig.PostAsync(
            HubMessages.Connection("a%2b?#(1)", false, 91, 2),
            HubMessages.Connection("a%2b?#(1)", true, 92, 3),
            HubMessages.Telemetry("a%2b?#(1)", 94, """
                {"type":"heartbeat","seq":"3","interval":"60","renewal":"3000","reason":"16","down":"1"}
                """));
        await Is(page, "#lane-title .status").ToHaveTextAsync("online");
        rig.MoveTo(300);
        await Is(page, "#lane-title .status").ToHaveTextAsync("silent");

        await Is(page, "#lane-chart svg path.renewal").ToHaveCountAsync(1);
        await Is(page, "#lane-chart svg path.told").ToHaveCountAsync(1);
        await Is(page, "#lane-chart svg line.connect").ToHaveCountAsync(2);
        Assert.InRange(await page.Locator("#lane-chart svg line.heartbeat").CountAsync(), 2, 3);
        await Is(page, "#lane-chart svg rect.renewing").ToHaveCountAsync(1);
        await Is(page, "#lane-chart svg rect.silent").ToHaveCountAsync(1);
        await Is(page, "#lane-rows").ToContainTextAsync("the device says: planned renewal; it was away 1 s");
        await Is(page, "#lane-why").ToContainTextAsync("no word from the hub");
        await ShotAsync(page, "device-lane");

        await page.Keyboard.PressAsync("Escape");
        await Is(page, "#lane").ToBeHiddenAsync();
        await Is(page, "#alarms button.id").ToBeFocusedAsync();
    }

    [Fact]
    public async Task The_keyboard_goes_through_the_page_in_reading_order()
    {
        await rig.BeatAsync(2, i => ($"device-{i}", i == 0 ? 60 : 120, "north"));
        rig.MoveTo(131);
        IPage page = await OpenAsync();
        await Is(page, "#worst tr").ToHaveCountAsync(2);
        await Is(page, "#sites tr").ToHaveCountAsync(1);
        await Is(page, "#alarms li").ToHaveCountAsync(1);

        var order = new List<string>();
        for (int i = 0; i < 10; i++)
        {
            await page.Keyboard.PressAsync("Tab");
            order.Add(await page.EvaluateAsync<string>("document.activeElement.id || document.activeElement.textContent"));
        }

        Assert.Equal(
            ["skip", "find-id", "Show", "span-hour", "span-day", "device-0", "Acknowledge", "device-0", "device-1", "north"], order);

        await page.FocusAsync("#worst tr:nth-child(2) button");
        await page.Keyboard.PressAsync("Enter");
        await Is(page, "#lane-title").ToBeFocusedAsync();
        await Is(page, "#lane-title").ToContainTextAsync("device-1");
        await page.Keyboard.PressAsync("Tab");
        await Is(page, "#lane-doctor").ToBeFocusedAsync();
        await page.Keyboard.PressAsync("Tab");
        await Is(page, "#lane-reach").ToBeFocusedAsync();
        await page.Keyboard.PressAsync("Tab");
        await Is(page, "#lane-close").ToBeFocusedAsync();
        await page.Keyboard.PressAsync("Escape");
        await Is(page, "#worst tr:nth-child(2) button").ToBeFocusedAsync();
    }

    [Fact]
    public async Task An_alarm_is_acknowledged_from_the_keyboard_and_everybody_sees_by_whom()
    {
        await rig.DisposeAsync();
        rig = await PageRig.StartAsync(isTelling: true);
        await rig.BeatAsync(2, i => ($"device-{i}", 60, null));
        rig.MoveTo(131);
        IPage page = await OpenAsync();
        IPage other = await OpenAsync();
        await Is(page, "#alarms li").ToHaveCountAsync(2);
        await Is(page, "#told").ToContainTextAsync("ops is told of warning and worse; quiet hours until 23:59:00");
        await Is(page, "#told").ToContainTextAsync("2 waiting");

        await page.FocusAsync(":nth-match(#alarms button.act, 1)");
        await page.Keyboard.PressAsync("Enter");
        await Is(page, "#ack-by").ToBeFocusedAsync();
        await ShotAsync(page, "acknowledge");
        await page.Keyboard.PressAsync("Escape");
        await Is(page, "#ack").ToBeHiddenAsync();
        await Is(page, ":nth-match(#alarms button.act, 1)").ToBeFocusedAsync();

        await page.Keyboard.PressAsync("Enter");
        await page.Keyboard.TypeAsync("kim <b>night shift</b>");
        await page.Keyboard.PressAsync("Enter");
        await Is(page, "#ack").ToBeHiddenAsync();
        await Is(page, ":nth-match(#alarms li, 1)").ToContainTextAsync("acknowledged by kim <b>night shift</b> at 12:02:11");
        await Is(page, ":nth-match(#alarms li, 1)").ToBeFocusedAsync();
        await Is(page, "#alarms button.act").ToHaveCountAsync(1);
        await Is(other, ":nth-match(#alarms li, 1)").ToContainTextAsync("acknowledged by kim", new() { Timeout = LiveWithinMs });
        await ShotAsync(other, "acknowledged");

        await page.ClickAsync("#alarms button.act");
        await Is(page, "#ack-by").ToHaveValueAsync("kim <b>night shift</b>"); // The browser remembers him.
        await rig.PostAsync(HubMessages.Heartbeat("device-0", 130, seq: "2"), HubMessages.Heartbeat("device-1", 130, seq: "2"));
        await page.Keyboard.PressAsync("Enter");
        await Is(page, "#ack-wrong").ToHaveTextAsync("no such alarm is open");
    }

    [Fact]
    public async Task The_doctor_examines_a_device_at_the_press_of_a_button()
    {
        await rig.DisposeAsync();
        var options = new Dictionary<string, string> { ["--hub"] = "127.0.0.1", ["--hub-port"] = "9", ["--hub-https-port"] = "9" };
        HubAccess? hub = HubAccess.TryRead(options, _ => null, out _);
        rig = await PageRig.StartAsync(hub: hub);
        await rig.PostAsync(HubMessages.Heartbeat("a%2b?#(1)", 0));
        rig.MoveTo(131);
        IPage page = await OpenAsync("#" + Uri.EscapeDataString("a%2b?#(1)"));
        await Is(page, "#lane-title .status").ToHaveTextAsync("silent");

        await page.FocusAsync("#lane-doctor");
        await page.Keyboard.PressAsync("Enter");
        await Is(page, "#doctor h3").ToHaveTextAsync(["Something is wrong", "Try next"], new() { Timeout = 40_000 });
        await Is(page, "#doctor .steps .trouble").Not.ToHaveCountAsync(0);
        await Is(page, "#doctor").ToContainTextAsync("refused");
        await Is(page, "#lane-doctor").ToBeFocusedAsync();
        await ShotAsync(page, "doctor");

        await page.Keyboard.PressAsync("Escape");
        await Is(page, "#lane").ToBeHiddenAsync();
    }

    [Fact]
    public async Task What_devices_say_stays_text()
    {
        const string hostile = "<img src=x onerror=alert(1)>";
        await rig.PostAsync(HubMessages.Telemetry(
            "a'@$(;)", 0, $$"""{ "type":"heartbeat","seq":"1","interval":"60","site":"{{hostile}}" }"""));
        rig.MoveTo(131);
        IPage page = await OpenAsync();

        await Is(page, "#sites button").ToHaveTextAsync(hostile);
        await Is(page, "#worst button").ToHaveTextAsync("a'@$(;)");
        await page.Locator("#worst button").ClickAsync();
        await Is(page, "#lane-facts").ToContainTextAsync(hostile);
        await page.EvaluateAsync($"location.hash = {System.Text.Json.JsonSerializer.Serialize(Uri.EscapeDataString(hostile))}");
        await Is(page, "#lane-title").ToHaveTextAsync(hostile);
        await Is(page, "#lane-why").ToContainTextAsync("nothing was ever heard of this device");
        await Is(page, "main img, main script").ToHaveCountAsync(0);
        Assert.DoesNotContain(complaints, line => !line.Contains("404", StringComparison.Ordinal));
        await Assert.ThrowsAsync<PlaywrightException>(() => page.EvaluateAsync("document.body.innerHTML = '<b>x</b>'"));
    }

    [Fact]
    public async Task A_phone_shows_it_without_scrolling_sideways()
    {
        await rig.BeatAsync(5, i => ($"a-rather-long-device-id-as-factories-give-them-{i:d20}", i < 2 ? 60 : 3600, "north"));
        rig.MoveTo(131);
        IPage page = await OpenAsync("", width: 360);
        await Is(page, "#worst tr").ToHaveCountAsync(2);
        await Is(page, "#sites tr").ToHaveCountAsync(1);

        Assert.Equal(360, await page.EvaluateAsync<int>("document.documentElement.scrollWidth"));
        await ShotAsync(page, "phone");
        await page.Locator("#worst button").First.ClickAsync();
        await Is(page, "#lane-chart svg").ToBeVisibleAsync();
        Assert.Equal(360, await page.EvaluateAsync<int>("document.documentElement.scrollWidth"));
        await ShotAsync(page, "phone-lane");
        await page.EmulateMediaAsync(new() { ColorScheme = ColorScheme.Dark });
        Assert.Equal("rgb(15, 18, 22)", await page.EvaluateAsync<string>("getComputedStyle(document.body).backgroundColor"));
        await ShotAsync(page, "phone-dark");
    }

    [Fact]
    public async Task A_service_with_a_key_asks_for_it_once()
    {
        await rig.DisposeAsync();
        rig = await PageRig.StartAsync(isKeyAsked: true);
        await rig.BeatAsync(1, _ => ("a", 60, null));
        IPage page = await OpenAsync("", isKeyAsked: true);
        await Is(page, "#key").ToBeVisibleAsync();
        await Is(page, "#key-text").ToBeFocusedAsync();
        await ShotAsync(page, "key-asked");

        await page.FillAsync("#key-text", "not the key, but as long as one");
        await page.Keyboard.PressAsync("Enter");
        await Is(page, "#key-wrong").ToHaveTextAsync("The service does not accept this key.");
        await Is(page, "[data-total=total] b").ToHaveCountAsync(0);

        await page.FillAsync("#key-text", PageRig.Key);
        await page.Keyboard.PressAsync("Enter");
        await Is(page, "#key").ToBeHiddenAsync();
        await Is(page, "[data-total=total] b").ToHaveTextAsync("1");
        await page.ReloadAsync();
        await Is(page, "[data-total=total] b").ToHaveTextAsync("1");
        await Is(page, "#key").ToBeHiddenAsync();
        Assert.DoesNotContain(requests, url => url.Contains("key", StringComparison.Ordinal));
    }

    private static ILocatorAssertions Is(IPage page, string selector) => Assertions.Expect(page.Locator(selector));

    private int Asked(string path) => requests.Count(url => new Uri(url).AbsolutePath == path);

    private async Task<IPage> OpenAsync(string hash = "", int width = 1200, bool isKeyAsked = false)
    {
        Assert.SkipWhen(browser is null, Chromium.WhyNot);
        IPage page = await browser!.NewPageAsync(new()
        {
            ViewportSize = new() { Width = width, Height = 800 },
            ReducedMotion = ReducedMotion.Reduce,
        });
        page.SetDefaultTimeout(15_000);
        page.Request += (_, request) => requests.Add(request.Url);
        page.Console += (_, line) => complaints.Add(line.Text);
        page.PageError += (_, error) => complaints.Add(error);
        await page.GotoAsync(rig.Address + hash);
        await Assertions.Expect(page.Locator("#link")).ToHaveTextAsync(isKeyAsked ? "a key is needed" : "live", new() { Timeout = 15_000 });
        return page;
    }

    private static async Task ShotAsync(IPage page, string name)
    {
        string folder = System.IO.Path.Combine(Repo.Repository.Root, "out", "tests", "screenshots");
        string file = System.IO.Path.Combine(folder, name + ".png");
        byte[] picture = await page.ScreenshotAsync(new() { Path = file, FullPage = true });
        Assert.True(picture.Length > 5_000, $"{file} has {picture.Length} bytes: an empty picture");
    }
}
