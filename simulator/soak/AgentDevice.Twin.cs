using System.Globalization;
using Agent.Core;

namespace Agent.Soak;

// The hub's side of the talk with the twin, and the people who change it: well, badly, and in a way that loses the connection.
internal sealed partial class AgentDevice
{
    private const int ExamAfterMs = 25 * 60_000;

    private long examVersion = -1;
    private bool isExamDelivered;

    public void ChangeTwin(Dice chance)
    {
        (Setting setting, int value) = chance.Below(10) switch
        {
            0 or 1 => (Setting.RenewAtPercent, 140),
            2 or 3 => (Setting.LifetimeSeconds, SoakWorld.TrapLifetimeSeconds),
            4 => (Setting.KeepAliveSeconds, chance.Of(20, 40, 120)),
            5 => (Setting.RenewAtPercent, chance.Between(40, 90)),
            6 => (Setting.LifetimeSeconds, chance.Of(300, 600, 1200)),
            7 => (Setting.BackoffMaxSeconds, chance.Of(5, 20, 90)),
            _ => (Setting.HeartbeatIntervalSeconds, chance.Of(20, 45, 90, 180)),
        };
        Set(setting, value);
    }

    private void ChangeAtRenewal(RenewMode mode)
    {
        if (World.IsHealing || !World.Plan.Faults.Contains(SoakFault.ChangeAtRenewal) || !dice.Chance(mode == RenewMode.Takeover ? 25 : 5))
        {
            return;
        }

        TroubleMs = World.NowMs;
        World.After(dice.Below(200), () =>
        {
            if (dice.Chance(50))
            {
                CallSome(dice);
            }
            else
            {
                ChangeTwin(dice);
            }
        });
    }

    /// <summary>Someone calls a method of the device, if it listens.</summary>
    public void CallSome(Dice chance)
    {
        (Setting Setting, int Value)[] settings =
        [
            (Setting.HeartbeatIntervalSeconds, chance.Of(25, 70)), (Setting.LifetimeSeconds, SoakWorld.TrapLifetimeSeconds),
            (Setting.KeepAliveSeconds, 90),
        ];
        (Setting setting, int value) = chance.OneOf(settings);
        (string method, string payload) = chance.Below(6) switch
        {
            0 => ("reboot", ""),
            1 => ("renewNow", ""),
            2 => ("clearDiagnostics", ""),
            3 => ("getDiagnostics", "{\"below\":5}"),
            _ => ("setSettings", SoakTwin.Members([(setting, value)])),
        };
        if (Books.HeldLink is { IsSubscribed: true } held)
        {
            World.SendDown(held, () => Answer(held, method, payload, setting, value));
        }
    }

    private void Answer(SoakLink on, string method, string payload, Setting setting, int value)
    {
        if (on != link || IsHung)
        {
            return; // The hub gives up after a while; nobody waits for a method.
        }

        World.Tell(this, $"method {method} {payload}");
        if (method == "setSettings")
        {
            twin.Know(agent!.Settings.InForce, setting, value);
        }
        else if (method == "clearDiagnostics")
        {
            keptNumber = -1;
        }

        Receive(on, $"$iothub/methods/POST/{method}/?$rid=r{World.Events}", payload);
    }

    /// <summary>The faults have stopped: what is wrong in the twin is mended, and when everybody is back one last change made.</summary>
    public void Examine()
    {
        if (twin.IsAsking)
        {
            Mend();
        }

        World.After(ExamAfterMs, () =>
        {
            Set(Setting.HeartbeatIntervalSeconds, dice.Between(20, 60));
            examVersion = twin.Version;
        });
    }

    private void Mend()
    {
        string payload = twin.Mend(Setting.RenewAtPercent);
        Notify(payload);
        Notify(twin.Mend(Setting.LifetimeSeconds));
    }

    private void Set(Setting setting, int value)
    {
        string payload = twin.Set(setting, value);
        World.Tell(this, $"twin version {twin.Version}: {payload}");
        Notify(payload);
    }

    private void Notify(string payload)
    {
        long version = twin.Version;
        if (Books.HeldLink is not { IsSubscribed: true } held)
        {
            return;
        }

        World.SendDown(held, () =>
        {
            isExamDelivered |= version == examVersion && held == link && Session.State == SessionState.Connected;
            Receive(held, $"$iothub/twin/PATCH/properties/desired/?$version={version}", payload);
        });
    }

    private void Answer(SoakLink on, string topic, string payload)
    {
        int at = topic.IndexOf("$rid=", StringComparison.Ordinal);
        string request = at < 0 ? "" : topic[at..];
        if (topic.StartsWith("$iothub/twin/GET/", StringComparison.Ordinal))
        {
            string document = twin.Document();
            World.SendDown(on, () => Receive(on, $"$iothub/twin/res/200/?{request}", document));
        }
        else if (topic.StartsWith("$iothub/twin/PATCH/", StringComparison.Ordinal))
        {
            if (Number(payload, "\"ac\":") is { } code && Number(payload, "\"av\":") is { } version)
            {
                World.Tell(this, $"answers twin version {version} with {code}");
                (twin.AnsweredCode, twin.AnsweredVersion) = ((int)code, version);
            }

            World.SendDown(on, () => Receive(on, $"$iothub/twin/res/204/?{request}&$version=1", ""));
        }
    }

    private void CheckExam()
    {
        if (!isExamDelivered)
        {
            return;
        }

        SettingsKeeper keeper = agent!.Settings;
        if (keeper.Version != examVersion || twin.AnsweredVersion != examVersion)
        {
            SoakWorld.Broken(
                Invariants.SettingsFollow, this,
                $"version {examVersion} reached it, it has {keeper.Version} and answered {twin.AnsweredVersion}");
        }

        if (twin.Asked is { } asked && !keeper.InForce.IsSameAs(asked))
        {
            SoakWorld.Broken(Invariants.SettingsFollow, this, $"version {examVersion} is answered with {keeper.Code} and not in force");
        }
    }

    private static long? Number(string json, string name)
    {
        int at = json.IndexOf(name, StringComparison.Ordinal);
        if (at < 0)
        {
            return null;
        }

        int end = at + name.Length;
        while (end < json.Length && char.IsAsciiDigit(json[end]))
        {
            end++;
        }

        return long.Parse(json.AsSpan(at + name.Length, end - at - name.Length), CultureInfo.InvariantCulture);
    }
}
