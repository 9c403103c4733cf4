using System.Text.Json;
using Agent.Core;
using Agent.Service;
using Agent.Service.Doctor;

namespace Agent.Tests.Service.Doctor;

public sealed class ChecklistTests
{
    private const long Now = 1_772_366_400_000; // 2026-03-01 12:00:00 UTC
    private const long Minute = 60_000;
    private const long Day = 1440 * Minute;

    [Fact]
    public void A_healthy_device_has_nothing_wrong_and_is_left_alone()
    {
        Diagnosis diagnosis = Checklist.Walk(Healthy());

        Assert.Equal(
            ["registered", "enabled", "heard", "lastError", "credentials", "port8883", "certificate", "port443", "fleet", "blackBox"],
            diagnosis.Steps.Select(step => step.Id));
        Assert.DoesNotContain(diagnosis.Steps, step => step.Verdict is StepVerdict.Trouble or StepVerdict.Unknown);
        Assert.Equal(0, diagnosis.ExitCode);
        Assert.StartsWith("Nothing:", Assert.Single(diagnosis.Next), StringComparison.Ordinal);
    }

    [Fact]
    public void With_nothing_to_look_at_the_doctor_says_so_and_not_that_all_is_well()
    {
        Diagnosis diagnosis = Checklist.Walk(new Findings { DeviceId = "x", NowMs = Now, CheckerProblem = "no answer" });

        Assert.All(diagnosis.Steps, step => Assert.Equal(StepVerdict.Unknown, step.Verdict));
        Assert.Equal(3, diagnosis.ExitCode);
        Assert.NotEmpty(diagnosis.Next);
    }

    [Fact]
    public void A_device_nobody_registered_is_to_be_registered()
    {
        Diagnosis diagnosis = Checklist.Walk(Healthy() with { Registry = new RegistryAnswer { Outcome = RegistryOutcome.NotFound } });

        Assert.Equal(StepVerdict.Trouble, Step(diagnosis, "registered").Verdict);
        Assert.Equal(StepVerdict.Unknown, Step(diagnosis, "enabled").Verdict);
        Assert.StartsWith("Register", diagnosis.Next[0], StringComparison.Ordinal);
    }

    [Fact]
    public void A_disabled_device_is_said_to_be_disabled_and_why()
    {
        Findings findings = Healthy();
        Diagnosis diagnosis = Checklist.Walk(findings with
        {
            Registry = findings.Registry! with { IsEnabled = false, StatusReason = "stolen" },
        });

        Assert.Contains("stolen", Step(diagnosis, "enabled").Finding, StringComparison.Ordinal);
        Assert.Equal(1, diagnosis.ExitCode);
    }

    [Fact]
    public void A_registry_that_refuses_us_is_no_trouble_of_the_device() =>
        Assert.Equal(StepVerdict.Unknown, Step(Checklist.Walk(Healthy() with
        {
            Registry = new RegistryAnswer { Outcome = RegistryOutcome.Refused, Problem = "the policy is not accepted" },
        }), "registered").Verdict);

    [Fact]
    public void An_error_after_which_it_was_not_heard_is_named_with_cause_and_fix()
    {
        Diagnosis diagnosis = Checklist.Walk(Silent(new HubError(404104, "deviceDisconnect", Now - (10 * Minute))));
        Step step = Step(diagnosis, "lastError");

        Assert.Equal(StepVerdict.Trouble, step.Verdict);
        Assert.StartsWith(
            "404104 DeviceConnectionClosedRemotely, 10 min ago: the connection ended without a goodbye", step.Finding,
            StringComparison.Ordinal);
        Assert.Contains("keep-alive", step.Advice, StringComparison.Ordinal);
    }

    [Fact]
    public void The_errors_of_a_client_that_lets_its_token_run_out_are_no_trouble()
    {
        Findings findings = Healthy();
        Step step = Step(Checklist.Walk(findings with
        {
            Device = findings.Device! with
            {
                LastError = new HubError(401003, "deviceDisconnect", Now - (10 * Minute)),
                LastConnectMs = Now - (9 * Minute),
                Rhythm = ".NET: token of 60 min",
            },
        }), "lastError");

        Assert.Equal(StepVerdict.Note, step.Verdict);
        Assert.StartsWith("Nothing", step.Advice, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(401002, true)]
    [InlineData(401003, true)]
    [InlineData(404104, false)]
    public void A_refused_sign_in_points_to_clock_then_key(int code, bool isOfCredentials)
    {
        Step step = Step(Checklist.Walk(Silent(new HubError(code, "deviceConnect", Now - Minute))), "credentials");

        Assert.Equal(isOfCredentials ? StepVerdict.Trouble : StepVerdict.Good, step.Verdict);
    }

    [Theory]
    [InlineData(6 * Minute, "behind")]
    [InlineData(-6 * Minute, "ahead of")]
    public void Our_own_wrong_clock_is_found_out(long aheadMs, string word)
    {
        Findings findings = Healthy();
        Step step = Step(Checklist.Walk(findings with { Registry = findings.Registry! with { HubAheadMs = aheadMs } }), "credentials");

        Assert.Equal(StepVerdict.Trouble, step.Verdict);
        Assert.Contains($"clock is 6 min {word} the hub's", step.Finding, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_went_silent_when_it_was_to_renew_is_asked_for_its_token()
    {
        Findings findings = Silent(null);
        KnownDevice device = findings.Device! with { RenewalMs = Now - (4 * Minute) };
        Step step = Step(Checklist.Walk(findings with { Device = device }), "credentials");

        Assert.Equal(StepVerdict.Trouble, step.Verdict);
    }

    [Fact]
    public void Port_8883_closed_while_443_passes_is_a_firewall()
    {
        Findings findings = Healthy();
        PortFinding closed = findings.Ports[0] with { Stage = PortStage.Tcp, Problem = "no answer within 5 s", Certificate = null };
        Diagnosis diagnosis = Checklist.Walk(findings with { Ports = [closed, findings.Ports[1]] });

        Assert.Equal(StepVerdict.Trouble, Step(diagnosis, "port8883").Verdict);
        Assert.Contains("WebSocket on 443", diagnosis.Next[0], StringComparison.Ordinal);
        Assert.Equal(StepVerdict.Good, Step(diagnosis, "certificate").Verdict);
    }

    [Theory]
    [InlineData(-1, true, "", StepVerdict.Trouble)]
    [InlineData(5, true, "", StepVerdict.Note)]
    [InlineData(300, true, "", StepVerdict.Good)]
    [InlineData(300, false, "", StepVerdict.Trouble)]
    [InlineData(300, true, "UntrustedRoot", StepVerdict.Trouble)]
    public void A_certificate_is_judged_by_dates_name_and_chain(int daysLeft, bool isNameRight, string problem, StepVerdict verdict)
    {
        Findings findings = Healthy();
        var certificate = new CertificateFinding(["hub", "CA", "root"], Now - (400 * Day), Now + (daysLeft * Day), isNameRight, problem);
        PortFinding port = findings.Ports[0] with { Certificate = certificate };

        Step step = Step(Checklist.Walk(findings with { Ports = [port, findings.Ports[1]] }), "certificate");

        Assert.Equal(verdict, step.Verdict);
    }

    [Fact]
    public void Trouble_of_the_whole_fleet_comes_first_in_the_advice()
    {
        Findings findings = Silent(new HubError(404104, "deviceDisconnect", Now - Minute)) with
        {
            Fleet = new KnownFleet(1000, 400, IsLost: false, IsSiteLost: false, IsInDoubt: false),
        };

        Assert.Contains("not at this device", Checklist.Walk(findings).Next[0], StringComparison.Ordinal);
    }

    [Fact]
    public void A_checker_in_doubt_accuses_nobody() =>
        Assert.Equal(StepVerdict.Note, Step(Checklist.Walk(Silent(null) with
        {
            Fleet = new KnownFleet(1000, 900, IsLost: true, IsSiteLost: true, IsInDoubt: true),
        }), "fleet").Verdict);

    [Fact]
    public void The_black_box_is_read_newest_first_and_its_newest_reason_advised_upon()
    {
        Findings findings = Silent(null);
        Diagnosis diagnosis = Checklist.Walk(findings with
        {
            Device = findings.Device! with { BlackBox = [new(0x45, Now - Minute), new(0x4E, null), new(0xEE, null)] },
        });

        Assert.Equal(
            "Newest first: port 8883 blocked (60 s ago); keep-alive not answered; unlisted reason 0xEE.",
            Step(diagnosis, "blackBox").Finding);
        Assert.Contains(diagnosis.Next, advice => advice.StartsWith("Open outbound TCP 8883", StringComparison.Ordinal));
    }

    [Fact]
    public void A_silent_device_with_nothing_found_sends_somebody_there() =>
        Assert.Contains(Checklist.Walk(Silent(null)).Next, advice => advice.Contains("go to the device", StringComparison.Ordinal));

    [Fact]
    public void Every_reason_of_the_agent_has_the_agents_words()
    {
        foreach (DisconnectReason reason in Enum.GetValues<DisconnectReason>())
        {
            Assert.Equal(DisconnectReasonText.Of(reason), DeviceReasons.Of((int)reason).Text);
        }
    }

    [Fact]
    public void Every_error_has_a_cause_and_a_fix_and_is_listed_once()
    {
        Assert.All(ErrorCauses.All, cause => Assert.True(cause.Cause.EndsWith('.') && cause.Fix.EndsWith('.'), $"{cause.Code}"));
        Assert.Equal(ErrorCauses.All.Count, ErrorCauses.All.Select(cause => cause.Code).Distinct().Count());
        Assert.Contains("not in the doctor's list", ErrorCauses.Of(123456).Cause, StringComparison.Ordinal);
    }

    [Fact]
    public void Whatever_is_missing_the_doctor_still_speaks()
    {
        Findings full = Silent(new HubError(500001, "", Now - Minute));
        for (int mask = 0; mask < 32; mask++)
        {
            Diagnosis diagnosis = Checklist.Walk(full with
            {
                Device = (mask & 1) != 0 ? full.Device : null,
                Fleet = (mask & 2) != 0 ? full.Fleet : null,
                Registry = (mask & 4) != 0 ? full.Registry : null,
                Ports = (mask & 8) != 0 ? full.Ports : [],
                CheckerProblem = (mask & 16) != 0 ? "no answer" : null,
            });

            Assert.NotEmpty(diagnosis.Next);
            Assert.All(diagnosis.Steps, step => Assert.EndsWith(".", step.Finding, StringComparison.Ordinal));
            Assert.DoesNotContain("..", DoctorText.Text(diagnosis), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_text_and_the_JSON_say_the_same()
    {
        Diagnosis diagnosis = Checklist.Walk(Silent(new HubError(404104, "deviceDisconnect", Now - Minute)));
        string text = DoctorText.Text(diagnosis);
        JsonElement json = JsonDocument.Parse(DoctorText.Json(diagnosis)).RootElement;

        Assert.Equal("device-0001", json.GetProperty("device").GetString());
        Assert.False(json.GetProperty("ok").GetBoolean());
        Assert.Equal(10, json.GetProperty("steps").GetArrayLength());
        foreach (JsonElement step in json.GetProperty("steps").EnumerateArray())
        {
            Assert.Contains(step.GetProperty("title").GetString()!, text, StringComparison.Ordinal);
            Assert.Contains(step.GetProperty("finding").GetString()!, text, StringComparison.Ordinal);
        }

        Assert.StartsWith("device-0001 at 2026-03-01T12:00:00Z\n\n[  good ] Is it registered?\n", text, StringComparison.Ordinal);
    }

    private static Step Step(Diagnosis diagnosis, string id) => diagnosis.Steps.Single(step => step.Id == id);

    private static Findings Silent(HubError? error)
    {
        Findings findings = Healthy();
        return findings with
        {
            Device = findings.Device! with
            {
                Status = "silent",
                SinceMs = Now - (5 * Minute),
                LastSignMs = Now - (20 * Minute),
                LastConnectMs = Now - (600 * Minute),
                LastError = error,
                BlackBox = [],
            },
        };
    }

    private static Findings Healthy() => new()
    {
        DeviceId = "device-0001",
        NowMs = Now,
        HubHost = "hub.example",
        Device = new KnownDevice
        {
            Status = "online",
            SinceMs = Now - Day,
            LastSignMs = Now - 20_000,
            LastHeartbeatMs = Now - 20_000,
            IntervalSeconds = 60,
            RenewalMs = Now + (30 * Minute),
            LastConnectMs = Now - (10 * Minute),
            BlackBox = [new(0x10, Now - (10 * Minute))],
        },
        Fleet = new KnownFleet(1000, 3, IsLost: false, IsSiteLost: false, IsInDoubt: false),
        Registry = new RegistryAnswer
        {
            Outcome = RegistryOutcome.Found,
            IsEnabled = true,
            ConnectionState = "Connected",
            AuthenticationType = "sas",
            HubAheadMs = 300,
        },
        Ports =
        [
            Open(8883, isMqtt: true),
            Open(443, isMqtt: false),
        ],
    };

    private static PortFinding Open(int port, bool isMqtt) => new()
    {
        Host = "hub.example",
        Port = port,
        IsMqtt = isMqtt,
        Stage = PortStage.Open,
        TcpMs = 20,
        TlsMs = 45,
        Protocol = "Tls13",
        Certificate = new CertificateFinding(["hub.example", "CA", "root"], Now - (10 * Day), Now + (200 * Day), true, ""),
    };
}
